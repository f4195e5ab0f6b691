import { JSON_TYPE, STREAM_TYPE } from '../../mcp/headers.js'
import { writeEvent } from '../../mcp/sse.js'
import { messageOf } from '../../util/errors.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import type {
  ResponseHead,
  UpstreamController,
  UpstreamHandler,
  UpstreamRequest,
} from '../upstream.js'
import { codedError, noRoom, UpstreamError, unusableAnswer } from '../upstream-error.js'

export const JSON_HEAD = { 'content-type': JSON_TYPE }

const STREAM_HEAD = { 'content-type': STREAM_TYPE }

/** How a call ended: answered, given up by its client, or failed on our side. */
export type CallEnd = 'answered' | 'left' | 'failed'

type Times = Pick<UpstreamRequest, 'headersTimeout' | 'bodyTimeout'>

const NO_LIMIT: Times = { headersTimeout: 0, bodyTimeout: 0 }

/**
 * A client's request whose answer is written here, whatever it is made from: a message on a connection
 * that several clients share, one answer of a target, several of them, or none. The answer is JSON, or
 * an event stream as soon as a message precedes the response.
 */
export class PendingCall implements UpstreamController {
  readonly #handler: UpstreamHandler
  readonly #clock: Pick<Clock, 'after'> | undefined
  readonly #times: Times
  #cancelTimer = () => {}
  #source: UpstreamController | undefined
  #reason: Error | null = null
  #isStreaming = false
  #isPaused = false
  #isEnding = false
  /** Events that the client is too slow for. */
  #kept: Buffer[] = []
  #keptBytes = 0
  readonly #held: HeldBytes
  isOver = false
  /** Sent to the client with the head of the answer. */
  sessionId: string | undefined
  /** Called once, when the call is over. */
  onOver: (end: CallEnd) => void = () => {}
  /** Called when the client took what was kept for it. */
  onCaughtUp: () => void = () => {}

  /**
   * @param times Needs the clock; without both, whatever makes the answer keeps the time.
   * @param memory What may wait for clients.
   */
  constructor(
    handler: UpstreamHandler,
    clock?: Pick<Clock, 'after'>,
    times = NO_LIMIT,
    memory?: MemoryBudget,
  ) {
    this.#held = new HeldBytes(memory)
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

  /** The head of an event stream was sent. */
  get isStreaming(): boolean {
    return this.#isStreaming
  }

  /** Bytes that wait for the client. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Reads the answer that this one is made from no faster than the client reads. */
  follow(source: UpstreamController): void {
    this.#source = source
    if (this.#isPaused) source.pause()
  }

  pause(): void {
    this.#isPaused = true
    this.#source?.pause()
  }

  resume(): void {
    this.#isPaused = false
    while (!this.#isPaused && !this.isOver) {
      const chunk = this.#kept.shift()
      if (chunk === undefined) break
      this.#keptBytes -= chunk.length
      this.#held.set(this.#keptBytes)
      this.#tell(() => this.#handler.onResponseData?.(this, chunk))
    }
    if (this.#kept.length > 0) return
    this.#source?.resume()
    this.onCaughtUp()
    if (this.#isEnding) this.end()
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    if (this.isOver) return
    // what goes on without its client must not be held up by it
    this.#source?.resume()
    this.#finish('left')
  }

  /** Answers with a JSON-RPC response: the last event where there is a stream, else a JSON body. */
  answer(response: string): void {
    if (!this.#isStreaming) return this.respond(200, this.#head(JSON_HEAD), response)
    this.event(response)
    this.end()
  }

  /** Answers with a status, and a body where there is one. */
  respond(status: number, headers: ResponseHead, body: string | Buffer = ''): void {
    if (this.isOver) return
    if (this.#isStreaming) {
      return this.fail(new UpstreamError('http_status', `it answered HTTP ${status}`, status))
    }
    this.#cancelTimer()
    this.#tell(() => {
      this.#handler.onResponseStart?.(this, status, headers)
      if (body.length > 0) this.#handler.onResponseData?.(this, Buffer.from(body))
    })
    this.end()
  }

  /** Becomes an event stream, if it is none yet. */
  openStream(): void {
    if (this.isOver || this.#isStreaming) return
    this.#isStreaming = true
    this.#expect(this.#times.bodyTimeout, 'UND_ERR_BODY_TIMEOUT')
    this.#tell(() => this.#handler.onResponseStart?.(this, 200, this.#head(STREAM_HEAD)))
  }

  /** Sends a message on the event stream. */
  event(message: string): void {
    this.write(Buffer.from(writeEvent(message)))
  }

  /** Sends bytes on the event stream. */
  write(bytes: Buffer): void {
    this.openStream()
    if (this.isOver || this.#isEnding) return
    this.#expect(this.#times.bodyTimeout, 'UND_ERR_BODY_TIMEOUT')
    if (!this.#isPaused) return this.#tell(() => this.#handler.onResponseData?.(this, bytes))
    if (!this.#held.set(this.#keptBytes + bytes.length)) return this.fail(noRoom())
    this.#kept.push(bytes)
    this.#keptBytes += bytes.length
  }

  /** Ends the answer, once the client took all of it. */
  end(): void {
    if (this.isOver) return
    this.#isEnding = true
    if (this.#kept.length > 0) return
    this.#finish('answered')
    this.#tell(() => this.#handler.onResponseEnd?.(this, {}))
  }

  fail(error: Error): void {
    if (this.isOver) return
    this.#finish('failed')
    this.#handler.onResponseError?.(this, error)
  }

  /** Tells the handler something. Where it throws, nobody else would fail its request any more. */
  #tell(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      if (!this.isOver) this.#finish('failed')
      this.#handler.onResponseError?.(this, unusableAnswer(error))
      throw error
    }
  }

  #head(head: ResponseHead): ResponseHead {
    return this.sessionId === undefined ? head : { ...head, 'mcp-session-id': this.sessionId }
  }

  /** Waits that long for the next sign of life; 0 waits for ever. */
  #expect(ms: number, code: string): void {
    this.#cancelTimer()
    if (this.#clock === undefined || ms === 0 || this.isOver) return
    this.#cancelTimer = this.#clock.after(ms, () => this.fail(codedError(code)))
  }

  #finish(end: CallEnd): void {
    this.isOver = true
    this.#cancelTimer()
    this.#kept = []
    this.#keptBytes = 0
    this.#held.set(0)
    this.onOver(end)
    this.onCaughtUp()
  }
}

/** Goes on with a part that is loaded or opened late; where that fails, so does the request. */
export function whenLoaded<T>(
  part: Promise<T>,
  handler: UpstreamHandler,
  goOn: (part: T) => void,
): void {
  part.then(goOn).catch((error) => new PendingCall(handler).fail(loadFailure(error)))
}

/** Makes the failure of a request whose transport could not be loaded: nothing was sent. */
export function loadFailure(error: unknown): UpstreamError {
  return new UpstreamError('http_status', messageOf(error))
}
