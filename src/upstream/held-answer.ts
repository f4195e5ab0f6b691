import { messageOf } from '../util/errors.js'
import { NO_CONTROLLER } from './http/guarded-answer.js'
import type { UpstreamController, UpstreamHandler } from './upstream.js'
import { UpstreamError } from './upstream-error.js'

export type ResponseHeaders = Parameters<NonNullable<UpstreamHandler['onResponseStart']>>[2]

const MAX_BODY_BYTES = 64 * 1024

/** Decides about an answer. */
export interface AnswerWatch {
  /** Tells by the head whether the answer is held back until it was read. */
  holds(status: number, headers: ResponseHeaders): boolean
  /** Tells of an answer that is held whether it can be decided about before it ends. */
  isEnough?(chunk: Buffer): boolean
  /** A held answer is complete, or enough: replay it, or send something else in its place. */
  decide(answer: HeldAnswer): void
}

/** Passes an answer on, unless it is to be read as a whole first. */
export class HeldAnswer implements UpstreamHandler {
  readonly #handler: UpstreamHandler
  readonly #watch: AnswerWatch
  #controller: UpstreamController | undefined
  #head: ResponseHeaders = {}
  #body: Buffer[] | undefined
  #bytes = 0
  #isDecided = false
  #hasEnded = false
  #isDropped = false
  status = 0

  constructor(handler: UpstreamHandler, watch: AnswerWatch) {
    this.#handler = handler
    this.#watch = watch
  }

  /** Nobody waits for the answer any more. */
  get isOver(): boolean {
    return this.#controller?.aborted === true
  }

  /** The body as text, or its beginning. */
  get text(): string {
    return Buffer.concat(this.#body ?? []).toString('utf8')
  }

  onRequestStart(controller: UpstreamController, context: unknown): void {
    this.#controller = controller
    this.#handler.onRequestStart?.(controller, context)
  }

  onResponseStart(controller: UpstreamController, status: number, headers: ResponseHeaders): void {
    this.status = status
    this.#head = headers
    if (this.#watch.holds(status, headers)) this.#body = []
    else this.#handler.onResponseStart?.(controller, status, headers)
  }

  onResponseData(controller: UpstreamController, chunk: Buffer): void {
    if (this.#isDropped) return
    if (this.#body === undefined) return this.#handler.onResponseData?.(controller, chunk)
    this.#bytes += chunk.length
    this.#body.push(chunk)
    if (this.#isDecided) return
    if (this.#watch.isEnough?.(chunk)) this.#decide()
    else if (this.#bytes > MAX_BODY_BYTES) this.#release(controller)
  }

  onResponseEnd(controller: UpstreamController): void {
    this.#hasEnded = true
    if (this.#isDropped) return
    if (this.#body === undefined) this.#handler.onResponseEnd?.(controller, {})
    else if (!this.#isDecided) this.#decide()
  }

  #decide(): void {
    this.#isDecided = true
    this.#watch.decide(this)
  }

  onResponseError(controller: UpstreamController, error: Error): void {
    if (this.#isDropped) return
    this.#handler.onResponseError?.(controller, error)
  }

  /** Passes the held answer on after all. */
  replay(): void {
    const controller = this.#controller as UpstreamController
    this.#release(controller)
    if (this.#hasEnded) this.#handler.onResponseEnd?.(controller, {})
  }

  /** Passes nothing of the held answer on: another one comes in its place. */
  drop(): void {
    this.#isDropped = true
    this.#body = []
    if (!this.#hasEnded) this.#controller?.abort(new Error('another answer comes in its place'))
  }

  /** Answers with a head alone in place of the held answer. */
  respond(status: number, headers: ResponseHeaders): void {
    const controller = this.#controller as UpstreamController
    this.#handler.onResponseStart?.(controller, status, headers)
    this.#handler.onResponseEnd?.(controller, {})
  }

  /** Fails in place of the held answer. */
  fail(error: Error): void {
    this.#handler.onResponseError?.(this.#controller as UpstreamController, error)
  }

  /** An answer that is too long to be a refusal is none. */
  #release(controller: UpstreamController): void {
    const held = this.#body ?? []
    this.#body = undefined
    this.#handler.onResponseStart?.(controller, this.status, this.#head)
    for (const chunk of held) this.#handler.onResponseData?.(controller, chunk)
  }
}

/** Goes on with what is loaded or opened late; where that fails, so does the request. */
export function whenLoaded<T>(
  part: Promise<T>,
  handler: UpstreamHandler,
  goOn: (part: T) => void,
): void {
  part.then(goOn, (error) => {
    // what answers to no request of its own would not be heard
    handler.onRequestStart?.(NO_CONTROLLER, {})
    handler.onResponseError?.(NO_CONTROLLER, lateFailure(error))
  })
}

/** Says why a request failed that is not the target's fault. */
export function lateFailure(error: unknown): UpstreamError {
  return new UpstreamError('http_status', messageOf(error))
}
