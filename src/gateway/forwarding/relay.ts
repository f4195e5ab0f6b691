import type { Awaited } from '../../mcp/incoming.js'
import { errorResponse, type RequestId } from '../../mcp/jsonrpc.js'
import { writeEvent } from '../../mcp/sse.js'
import { ANSWER_PROBLEMS } from '../../upstream/upstream-error.js'
import { type Exchange, type Reply, type ReplyWatcher, replyFailure } from '../exchange.js'
import { LEFT_OUT, type ResponseTransforms } from '../rewriting/response-rewriter.js'
import { endOfSubscription } from '../streams/subscription-filter.js'
import { idInHead, inBytes, mendTail } from './answer-check.js'
import { END_OF_KEYS, MAX_SEARCHED, outcomeOfAnswer } from './outcome.js'
import { RelayedEvents } from './relayed-events.js'
import { failureError, type TargetFailure } from './target-failure.js'
import { UpstreamCall } from './upstream-call.js'
import type { AnswerListener, HeaderFields, UpstreamSend } from './upstream-send.js'

export interface RelayOptions {
  exchange: Exchange
  send: UpstreamSend
  rewrites: ResponseTransforms
  /** The client has a session with us: it would take a 404 to mean that the session is gone. */
  hasSession?: boolean
  /** Takes over a failure before anything was sent to the client; false leaves it to be answered. */
  recover?(failure: TargetFailure): boolean
  /** Called once when the exchange with the target is over. */
  onEnd?(): void
}

/** Sends a request to a target, and passes the answer on to the client as it is received. */
export function relay(options: RelayOptions): void {
  new Relay(options).start()
}

class Relay implements AnswerListener, ReplyWatcher {
  readonly #options: RelayOptions
  readonly #call: UpstreamCall
  /** Made for streams only. */
  #events: RelayedEvents | undefined
  readonly #id: RequestId | undefined
  #streaming = false
  #large: LargeAnswer | undefined

  constructor(options: RelayOptions) {
    this.#options = options
    this.#id = options.send.id
    this.#call = new UpstreamCall(options.send, this)
  }

  start(): void {
    this.#options.exchange.reply.watcher = this
    this.#call.start()
  }

  onDrain(): void {
    this.#call.resume()
  }

  onClose(): void {
    this.#call.abort()
    this.#options.onEnd?.()
  }

  /** Only for streams that stay open: a subscription, or one without a request (GET). */
  onShutdown(): void {
    if (this.#id === undefined || this.#events?.isAnswered) return
    this.#options.exchange.reply.write(endOfSubscription(this.#id))
  }

  known(body: Buffer): boolean {
    const known = this.#options.rewrites.known?.(body)
    if (known === undefined) return false
    this.#options.exchange.record.outcome = 'ok'
    this.#options.exchange.reply.json(200, known)
    this.#options.onEnd?.()
    return true
  }

  answer(status: number, body: Buffer, _head: HeaderFields, text?: string): void {
    const { exchange, rewrites, hasSession, onEnd } = this.#options
    const isError = status >= 400
    // errors are rewritten too: they must not show what the client may not see
    const sent = rewrites.response?.(body) ?? text ?? body
    const answer = text ?? body
    if (isError) exchange.record.outcome = 'rpc_error'
    else if (answer.length <= MAX_SEARCHED && !answer.includes(END_OF_KEYS)) {
      exchange.record.outcome = 'ok'
    } else exchange.record.outcome = outcomeOfAnswer(answer)
    // a 404 would end the client's session, and a 202 means that no answer follows
    const isPlain = !isError || (status === 404 && hasSession)
    exchange.reply.json(isPlain ? 200 : status, sent)
    onEnd?.()
  }

  accepted(status: number): void {
    this.#options.exchange.reply.empty(this.#options.send.method === 'POST' ? 202 : status)
    this.#options.onEnd?.()
  }

  streaming(): void {
    this.#streaming = true
    this.#options.exchange.reply.openStream()
  }

  events(run: Buffer, ends: readonly number[]): boolean {
    const { reply } = this.#options.exchange
    if (this.#passesAsItIs(run)) return reply.write(run)
    this.#events ??= new RelayedEvents(this.#options.rewrites, this.#call.awaited, this)
    const watched = this.#events
    let writable = true
    let from = 0
    let start = 0
    for (const end of ends) {
      const replacement = watched.inspect(run.subarray(start, end))
      if (replacement !== undefined) {
        if (start > from) writable = reply.write(run.subarray(from, start))
        if (replacement !== LEFT_OUT) writable = reply.write(replacement)
        from = end
        if (watched.isBroken) return this.#stop()
      }
      start = end
    }
    return from < run.length ? reply.write(run.subarray(from)) : writable
  }

  #passesAsItIs(run: Buffer): boolean {
    const { replayedMarks } = this.#options.rewrites
    if (this.#id !== undefined || replayedMarks === undefined) return false
    return !replayedMarks.some((mark) => run.includes(mark))
  }

  #stop(): boolean {
    this.#call.abort()
    this.#options.exchange.reply.endStream()
    this.#options.onEnd?.()
    return true
  }

  /** Writes the error event that replaces an answer which cannot be read. */
  invalid(reason: string): string {
    const { exchange, send } = this.#options
    const failure = { cause: 'invalid_answer', target: send.target.name, reason } as const
    exchange.record.failure = failure
    const error = failureError(failure, exchange.requestId)
    return writeEvent(errorResponse(this.#id as RequestId, error))
  }

  answered(response: string): void {
    this.#options.exchange.record.outcome = outcomeOfAnswer(response)
  }

  withheld(what: string): void {
    const { rewrites, send } = this.#options
    rewrites.withhold?.(send.target, what)
  }

  large(start: Buffer): boolean {
    const { rewrites, exchange } = this.#options
    if (rewrites.response !== undefined) return false
    const answer = new LargeAnswer(exchange.reply, this.#call.awaited)
    if (!answer.open(start)) return false
    this.#large = answer
    return true
  }

  piece(chunk: Buffer): boolean {
    return this.#large?.write(chunk) ?? true
  }

  largeEnded(): void {
    const { exchange, send, onEnd } = this.#options
    if (this.#large?.end() === false) {
      const reason = 'its answer is not a whole response to this request'
      exchange.record.failure = { cause: 'invalid_answer', target: send.target.name, reason }
      exchange.reply.breakOff?.()
    } else exchange.record.outcome = 'ok'
    onEnd?.()
  }

  streamEnded(): void {
    const target = this.#options.send.target.name
    const reason = ANSWER_PROBLEMS.endedEarly
    this.#endStream({ cause: 'cut_off', target, reason })
  }

  failed(failure: TargetFailure): void {
    const { exchange, onEnd } = this.#options
    if (this.#streaming) return this.#endStream(failure)
    if (this.#large !== undefined) {
      exchange.record.failure = failure
      exchange.reply.breakOff?.()
      return onEnd?.()
    }
    if (this.#options.recover?.(failure)) return
    replyFailure(exchange, this.#id, failure)
    onEnd?.()
  }

  #endStream(failure: TargetFailure): void {
    const { exchange, onEnd } = this.#options
    const isCut = failure.cause === 'cut_off'
    if (
      this.#id !== undefined &&
      !this.#events?.isAnswered &&
      !(isCut && this.#events?.isResumable)
    ) {
      exchange.record.failure = failure
      const error = failureError(failure, exchange.requestId)
      exchange.reply.write(writeEvent(errorResponse(this.#id, error)))
    }
    exchange.reply.endStream()
    onEnd?.()
  }
}

/** Bytes kept back: most serializers write the id and the version behind the result. */
const TAIL_BYTES = 256

const HEAD_BYTES = 256

/**
 * Passes an answer on to the client as it is received, since it is too large to be parsed and needs no
 * change. The target is read only as fast as the client reads.
 */
class LargeAnswer {
  readonly #reply: Reply
  readonly #awaited: Awaited
  #tail: Buffer = Buffer.alloc(0)

  constructor(reply: Reply, awaited: Awaited) {
    this.#reply = reply
    this.#awaited = awaited
  }

  /**
   * Opens the answer to the client.
   *
   * @param start The answer's beginning.
   * @returns False when the answer has to be checked as a whole.
   */
  open(start: Buffer): boolean {
    const head = start.toString('latin1', 0, HEAD_BYTES)
    if (!head.trimStart().startsWith('{')) return false
    const written = idInHead(head)
    if (written !== undefined && written !== inBytes(this.#awaited.idText())) return false
    if (this.#reply.openBody?.() !== true) return false
    this.write(start)
    return true
  }

  /** Writes a piece; returns false when the client reads too slowly. */
  write(chunk: Buffer): boolean {
    if (chunk.length < TAIL_BYTES) {
      const all = Buffer.concat([this.#tail, chunk])
      const ready = Math.max(0, all.length - TAIL_BYTES)
      this.#tail = all.subarray(ready)
      return ready === 0 || this.#reply.write(all.subarray(0, ready))
    }
    if (this.#tail.length > 0) this.#reply.write(this.#tail)
    const ready = chunk.length - TAIL_BYTES
    // a copy, so that the whole chunk can be freed
    this.#tail = Buffer.from(chunk.subarray(ready))
    return ready === 0 || this.#reply.write(chunk.subarray(0, ready))
  }

  /** @returns False when it was no whole response to the request; a part of it was sent already. */
  end(): boolean {
    const tail = mendTail(this.#tail.toString('latin1'), this.#awaited)
    if (tail?.trimEnd().endsWith('}') !== true) return false
    this.#reply.write(Buffer.from(tail, 'latin1'))
    this.#reply.endStream()
    return true
  }
}
