import { errorCodeOf } from '../../mcp/incoming.js'
import { ERROR_CODES, ownId } from '../../mcp/jsonrpc.js'
import { isObject, type JsonObject, stringsMember, tryParseJson } from '../../util/json.js'
import { AnswerReader, type AnswerReaderListener } from '../answer-reader.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { UpstreamController, UpstreamRequest } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import type { TranslatorParts } from './options.js'
import { ownRequest, statelessHeadersOf } from './stateless-wire.js'
import type { Listening, TranslatedSession } from './translated-session.js'

export interface ListenStreamOptions {
  parts: TranslatorParts
  call: PendingCall
  request: UpstreamRequest
  session: TranslatedSession
}

const LISTEN = 'subscriptions/listen'

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

const ACK_MS = 10_000

/** One subscription at the target for this stream. */
interface Asked {
  /** Counts up: the latest subscription covers all that the client wants to hear. */
  readonly number: number
  /** Ends it at the target, and ends the wait for its acknowledgement. */
  giveUp(reason: Error): void
}

/**
 * The GET stream of a client of the session-based protocol, filled by `subscriptions/listen`. When the client
 * wants to hear of another resource, a new subscription takes the place of the old one.
 *
 * @see [MCP 2026-07-28, subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions)
 */
export class ListenStream implements Listening {
  readonly #options: ListenStreamOptions
  /** Those that the target has acknowledged or may still acknowledge. */
  readonly #asked = new Set<Asked>()
  /** The one that feeds the stream; the first one does so even before it is acknowledged. */
  #current: Asked | undefined
  #count = 0

  constructor(options: ListenStreamOptions) {
    this.#options = options
  }

  start(): void {
    const { call, session, request } = this.#options
    session.streams.add(this)
    call.onOver = (end) => {
      if (end === 'left') this.#close()
    }
    void this.renew(request.headers)
  }

  renew(headers: readonly string[]): Promise<readonly string[] | undefined> {
    const { parts, call, session } = this.#options
    const id = ownId()
    const notifications: JsonObject = {
      toolsListChanged: true,
      promptsListChanged: true,
      resourcesListChanged: true,
      ...(session.uris.size > 0 && { resourceSubscriptions: [...session.uris] }),
    }
    const body = ownRequest(id, LISTEN, { notifications }, session)
    return new Promise((resolve) => {
      let controller: UpstreamController | undefined
      const cancelTimer = parts.clock.after(ACK_MS, () => {
        answer.abort(new Error('nothing was acknowledged'))
        over(() => call.fail(new UpstreamError('timeout', 'it did not acknowledge in time')))
      })
      /** When a new subscription fails, the stream stays with the current one. */
      const over = (end: () => void) => {
        cancelTimer()
        resolve([])
        this.#asked.delete(asked)
        if (asked !== this.#current) return
        this.#close()
        end()
      }
      const listener: AnswerReaderListener = {
        started: (started) => {
          controller = started
          if (asked === this.#current) call.follow(started)
        },
        streaming: () => call.openStream(),
        kept: (bytes) => call.write(bytes),
        notified: (text) => {
          const accepted = acknowledged(text)
          if (accepted === undefined) return call.event(text)
          cancelTimer()
          resolve(accepted)
          if (this.#take(asked) && controller !== undefined) call.follow(controller)
        },
        // a graceful end, or an error
        responded: (text) =>
          over(() => (call.isStreaming ? call.end() : refuse(call, codeIn(text)))),
        refused: (status, head, content, error) => {
          const code = codeIn(error)
          const says = code !== undefined && hasNoStream(code)
          over(() => (says ? refuse(call, code) : call.respond(status, head, content)))
        },
        failed: (error) => over(() => call.fail(error)),
      }
      const answer = new AnswerReader(id, listener, parts.memory)
      const asked: Asked = {
        number: ++this.#count,
        giveUp(reason) {
          cancelTimer()
          resolve(undefined)
          answer.abort(reason)
        },
      }
      this.#asked.add(asked)
      this.#current ??= asked
      parts.inner.send(
        {
          ...{ method: 'POST', isStream: true, body, headersTimeout: ACK_MS, bodyTimeout: 0 },
          headers: statelessHeadersOf(headers, { method: LISTEN, params: {} }),
        },
        answer,
      )
    })
  }

  /** Makes an acknowledged subscription the current one, unless a later one is; tells whether it did. */
  #take(asked: Asked): boolean {
    const current = this.#current
    if (current === asked) return true
    const isLater = current === undefined || asked.number > current.number
    const other = isLater ? current : asked
    if (isLater) this.#current = asked
    if (other !== undefined && this.#asked.delete(other)) {
      other.giveUp(new Error('another one took its place'))
    }
    return isLater
  }

  #close(): void {
    this.#options.session.streams.delete(this)
    this.#current = undefined
    for (const asked of this.#asked) asked.giveUp(new Error('the client left'))
    this.#asked.clear()
  }
}

/** Answers 405 where the target has no stream, and fails where it may have one later. */
function refuse(call: PendingCall, code: number | undefined): void {
  if (code === undefined || hasNoStream(code)) return call.respond(405, {})
  call.fail(new UpstreamError('http_status', `it refused ${LISTEN} with error ${code}`, 503))
}

function codeIn(response: string | undefined): number | undefined {
  return errorCodeOf(tryParseJson(response ?? ''))
}

/** The target does not know the method, or wants capabilities that the client lacks. */
function hasNoStream(code: number): boolean {
  return code === ERROR_CODES.methodNotFound || code === ERROR_CODES.missingClientCapability
}

/** Returns the URIs that an acknowledgement accepts; `undefined` when the message is none. */
function acknowledged(text: string): readonly string[] | undefined {
  const message = tryParseJson(text)
  if (!isObject(message) || message['method'] !== ACKNOWLEDGED) return undefined
  const { params } = message
  const accepted = isObject(params) ? params['notifications'] : undefined
  return isObject(accepted) ? stringsMember(accepted, 'resourceSubscriptions') : []
}
