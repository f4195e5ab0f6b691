import { errorCodeOf } from '../../mcp/incoming.js'
import { ERROR_CODES, ownId } from '../../mcp/jsonrpc.js'
import {
  isObject,
  type JsonObject,
  objectMember,
  stringsMember,
  tryParseJson,
} from '../../util/json.js'
import { AnswerReader, type AnswerReaderListener } from '../answer-reader.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { UpstreamController } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import type { Turn } from './options.js'
import { ownRequest, statelessHeadersOf } from './stateless-wire.js'
import type { Listening } from './translated-session.js'

const LISTEN = 'subscriptions/listen'

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

const ACK_MS = 10_000

/** One subscription at the target for this stream. */
interface TargetSubscription {
  /** Counts up: the latest subscription covers all that the client wants to hear. */
  readonly number: number
  /** Ends it at the target, and ends the wait for its acknowledgement. */
  giveUp(reason: Error): void
}

/**
 * Opens the GET stream of a client of the session-based protocol, filled by `subscriptions/listen`. When
 * the client wants to hear of another resource, a new subscription takes the place of the old one.
 *
 * @see [MCP 2026-07-28, subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions)
 */
export function startListening({
  parts,
  call,
  request,
  session,
}: Omit<Turn, 'message' | 'isKept'>): void {
  /** Those that the target has acknowledged or may still acknowledge. */
  const open = new Set<TargetSubscription>()
  /** The one that feeds the stream; the first one does so even before it is acknowledged. */
  let current: TargetSubscription | undefined
  let count = 0
  const stream: Listening = { renew }

  function renew(headers: readonly string[]): Promise<readonly string[] | undefined> {
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
        open.delete(subscription)
        if (subscription !== current) return
        close()
        end()
      }
      const listener: AnswerReaderListener = {
        started(started) {
          controller = started
          if (subscription === current) call.follow(started)
        },
        streaming: () => call.openStream(),
        kept: (bytes) => call.write(bytes),
        notified(text) {
          const accepted = acknowledged(text)
          if (accepted === undefined) return call.event(text)
          cancelTimer()
          resolve(accepted)
          if (take(subscription) && controller !== undefined) call.follow(controller)
        },
        // a graceful end, or an error
        responded: (text) =>
          over(() => (call.isStreaming ? call.end() : refuse(call, codeIn(text)))),
        refused(status, head, content, error) {
          const code = codeIn(error)
          const says = code !== undefined && hasNoStream(code)
          over(() => (says ? refuse(call, code) : call.respond(status, head, content)))
        },
        failed: (error) => over(() => call.fail(error)),
      }
      const answer = new AnswerReader(id, listener, parts.memory)
      const subscription: TargetSubscription = {
        number: ++count,
        giveUp(reason) {
          cancelTimer()
          resolve(undefined)
          answer.abort(reason)
        },
      }
      open.add(subscription)
      current ??= subscription
      const post = {
        method: 'POST',
        isStream: true,
        headersTimeout: ACK_MS,
        bodyTimeout: 0,
      } as const
      const own = statelessHeadersOf(headers, { method: LISTEN, params: {} })
      parts.inner.send({ ...post, headers: own, body }, answer)
    })
  }

  /** Makes an acknowledged subscription the current one, unless a later one is; tells whether it did. */
  function take(subscription: TargetSubscription): boolean {
    if (current === subscription) return true
    const isLater = current === undefined || subscription.number > current.number
    const other = isLater ? current : subscription
    if (isLater) current = subscription
    if (other !== undefined && open.delete(other)) {
      other.giveUp(new Error('another one took its place'))
    }
    return isLater
  }

  function close(): void {
    session.streams.delete(stream)
    current = undefined
    for (const subscription of open) subscription.giveUp(new Error('the client left'))
    open.clear()
  }

  session.streams.add(stream)
  call.onOver = (end) => {
    if (end === 'left') close()
  }
  void renew(request.headers)
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
  const accepted = objectMember(message['params'], 'notifications') ?? {}
  return stringsMember(accepted, 'resourceSubscriptions')
}
