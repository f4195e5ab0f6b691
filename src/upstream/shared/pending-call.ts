import { errorResponse } from '../../mcp/jsonrpc.js'
import { writeEvent } from '../../mcp/sse.js'
import { STATELESS_VERSION, sessionBasedOnly } from '../../mcp/versions.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import {
  headerOf,
  type UpstreamController,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../upstream.js'
import { codedError, UpstreamError } from '../upstream-error.js'

type Head = Parameters<NonNullable<UpstreamHandler['onResponseStart']>>[2]

const JSON_HEAD = { 'content-type': 'application/json' }

const STREAM_HEAD = { 'content-type': 'text/event-stream' }

/** How a call ended: answered, given up by its client, or failed on our side. */
export type CallEnd = 'answered' | 'left' | 'failed'

/**
 * One request to a peer that answers on a stream of its own, told as if its answer came on the
 * request: as JSON, or as an event stream once a message precedes the answer.
 */
export class PendingCall implements UpstreamController {
  readonly #handler: UpstreamHandler
  readonly #clock: Pick<Clock, 'after'>
  readonly #times: Pick<UpstreamRequest, 'headersTimeout' | 'bodyTimeout'>
  #cancelTimer = () => {}
  #reason: Error | null = null
  #isStreaming = false
  #isPaused = false
  #isEnding = false
  /** Events that the client is too slow for. */
  #kept: Buffer[] = []
  #keptBytes = 0
  isOver = false
  /** Told to the client with the answer. */
  sessionId: string | undefined
  /** Called once, when the call is over. */
  onOver: (end: CallEnd) => void = () => {}
  /** Called when the client took what was kept for it. */
  onCaughtUp: () => void = () => {}

  constructor(
    handler: UpstreamHandler,
    clock: Pick<Clock, 'after'>,
    times: Pick<UpstreamRequest, 'headersTimeout' | 'bodyTimeout'>,
  ) {
    this.#handler = handler
    this.#clock = clock
    this.#times = times
    handler.onRequestStart?.(this, {})
    this.#expect(times.headersTimeout, 'UND_ERR_HEADERS_TIMEOUT')
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get reason(): Error | null {
    return this.#reason
  }

  get paused(): boolean {
    return this.#isPaused
  }

  /** Bytes that wait for the client. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    while (!this.#isPaused && !this.isOver) {
      const chunk = this.#kept.shift()
      if (chunk === undefined) break
      this.#keptBytes -= chunk.length
      this.#handler.onResponseData?.(this, chunk)
    }
    if (this.#kept.length > 0) return
    this.onCaughtUp()
    if (this.#isEnding) this.end()
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    if (!this.isOver) this.#finish('left')
  }

  /** The answer came. */
  answer(data: string): void {
    if (this.isOver) return
    if (this.#isStreaming) this.event(data)
    else this.respond(200, this.#head(JSON_HEAD), data)
    this.end()
  }

  /** Answers with a status, and a body where there is one. */
  respond(status: number, headers: Head, body?: string): void {
    if (this.isOver) return
    this.#cancelTimer()
    this.#handler.onResponseStart?.(this, status, headers)
    if (body !== undefined) this.#handler.onResponseData?.(this, Buffer.from(body))
    this.end()
  }

  /** Becomes an event stream, if it is none yet. */
  listen(): void {
    if (this.isOver || this.#isStreaming) return
    this.#isStreaming = true
    this.#handler.onResponseStart?.(this, 200, this.#head(STREAM_HEAD))
  }

  /** Sends a message on the event stream. */
  event(data: string): void {
    this.listen()
    if (this.isOver) return
    this.#expect(this.#times.bodyTimeout, 'UND_ERR_BODY_TIMEOUT')
    const chunk = Buffer.from(writeEvent(data))
    if (!this.#isPaused) return void this.#handler.onResponseData?.(this, chunk)
    this.#kept.push(chunk)
    this.#keptBytes += chunk.length
  }

  end(): void {
    if (this.isOver) return
    this.#isEnding = true
    if (this.#kept.length > 0) return
    this.#finish('answered')
    this.#handler.onResponseEnd?.(this, {})
  }

  fail(error: Error): void {
    if (this.isOver) return
    this.#finish('failed')
    this.#handler.onResponseError?.(this, error)
  }

  #head(head: Head): Head {
    return this.sessionId === undefined ? head : { ...head, 'mcp-session-id': this.sessionId }
  }

  /** Waits that long for the next sign of life; 0 waits for ever. */
  #expect(ms: number, code: string): void {
    this.#cancelTimer()
    if (ms > 0 && !this.isOver) {
      this.#cancelTimer = this.#clock.after(ms, () => this.fail(codedError(code)))
    }
  }

  #finish(end: CallEnd): void {
    this.isOver = true
    this.#cancelTimer()
    this.#kept = []
    this.#keptBytes = 0
    this.onOver(end)
    this.onCaughtUp()
  }
}

/** What a request to a peer says, read once. */
export interface SharedRequest {
  readonly request: UpstreamRequest
  readonly call: PendingCall
  /** The message that a POST carries; `undefined` when it is none. */
  readonly message: JsonObject | undefined
  readonly text: string
  readonly sessionId: string | undefined
  /** The version, when the message belongs to the era without sessions. */
  readonly statelessVersion: string | undefined
}

/** Reads what a request to a peer says. */
export function readSharedRequest(request: UpstreamRequest, call: PendingCall): SharedRequest {
  const text = request.body?.toString() ?? ''
  const message = tryParseJson(text)
  const version = headerOf(request.headers, 'mcp-protocol-version')
  const isStateless =
    headerOf(request.headers, 'mcp-method') !== undefined && (version ?? '') >= STATELESS_VERSION
  return {
    ...{ request, call, text },
    message: isObject(message) ? message : undefined,
    sessionId: headerOf(request.headers, 'mcp-session-id'),
    statelessVersion: isStateless ? version : undefined,
  }
}

/** Tells whether a message is a request, which an answer is owed to. */
export function isRequest(message: JsonObject): boolean {
  return typeof message['method'] === 'string' && message['id'] !== undefined
}

/** Nothing was sent: the session of this request is not open here, or not any more. */
export function sessionLost(): UpstreamError {
  return new UpstreamError('session_lost', 'the session is not open here any more')
}

/** Nothing was sent: the request came without a session. */
export function sessionRequired(): UpstreamError {
  return new UpstreamError('session_required', 'it wants a session first')
}

/** Answers that a peer knows only the era with sessions. */
export function refuseStateless({ call, message }: SharedRequest): void {
  const given = message?.['id']
  const id = typeof given === 'string' || typeof given === 'number' ? given : null
  const body = errorResponse(id, sessionBasedOnly(String(message?.['method'])))
  call.respond(400, { 'content-type': 'application/json' }, body)
}
