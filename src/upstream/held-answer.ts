import { mediaTypeOf, STREAM_TYPE } from '../mcp/headers.js'
import { anyResponse, messageData } from '../mcp/incoming.js'
import { EventSplitter } from '../mcp/sse.js'
import type { JsonObject } from '../util/json.js'
import {
  MAX_REFUSAL_BYTES,
  PassingHandler,
  type ResponseHead,
  type UpstreamController,
  type UpstreamHandler,
} from './upstream.js'

/** Decides what becomes of an answer. */
export interface AnswerWatch {
  /** Tells by the head whether the answer is held back until it is read. */
  holds(status: number, headers: ResponseHead): boolean
  /** The held answer is complete, or its response is there: replay it, or answer something else. */
  decide(answer: HeldAnswer): void
}

/** Passes an answer on, or holds it back until somebody who read it decides. */
export class HeldAnswer extends PassingHandler {
  readonly #watch: AnswerWatch
  #controller: UpstreamController | undefined
  #head: ResponseHead = {}
  #body: Buffer[] | undefined
  #bytes = 0
  #splitter: EventSplitter | undefined
  #streamed: JsonObject | undefined
  #isDecided = false
  #hasEnded = false
  #isDropped = false
  status = 0

  constructor(handler: UpstreamHandler, watch: AnswerWatch) {
    super(handler)
    this.#watch = watch
  }

  /** Nobody waits for the answer any more. */
  get isOver(): boolean {
    return this.#controller?.aborted === true
  }

  /** The JSON-RPC response in what was held, if there is one. */
  get response(): JsonObject | undefined {
    if (this.#splitter !== undefined) return this.#streamed
    return anyResponse(Buffer.concat(this.#body ?? []).toString('utf8'))
  }

  override onRequestStart(controller: UpstreamController, context: unknown): void {
    this.#controller = controller
    super.onRequestStart(controller, context)
  }

  override onResponseStart(
    controller: UpstreamController,
    status: number,
    headers: ResponseHead,
  ): void {
    this.status = status
    this.#head = headers
    if (!this.#watch.holds(status, headers))
      return super.onResponseStart(controller, status, headers)
    this.#body = []
    if (mediaTypeOf(headers['content-type']) === STREAM_TYPE) this.#splitter = new EventSplitter()
  }

  override onResponseData(controller: UpstreamController, chunk: Buffer): void {
    if (this.#isDropped) return
    if (this.#body === undefined) return super.onResponseData(controller, chunk)
    this.#bytes += chunk.length
    this.#body.push(chunk)
    if (this.#isDecided) return
    this.#splitter?.each(chunk, (fields) => {
      const data = messageData(fields)
      if (data !== undefined) this.#streamed ??= anyResponse(data)
    })
    if (this.#streamed !== undefined) this.#decide()
    // an answer that says more than this is no refusal
    else if (this.#bytes > MAX_REFUSAL_BYTES) this.#release(controller)
  }

  override onResponseEnd(controller: UpstreamController): void {
    this.#hasEnded = true
    if (this.#isDropped) return
    if (this.#body === undefined) super.onResponseEnd(controller, {})
    else if (!this.#isDecided) this.#decide()
  }

  #decide(): void {
    this.#isDecided = true
    this.#watch.decide(this)
  }

  override onResponseError(controller: UpstreamController, error: Error): void {
    if (!this.#isDropped) super.onResponseError(controller, error)
  }

  /** Passes the held answer on. */
  replay(): void {
    const controller = this.#controller as UpstreamController
    this.#release(controller)
    if (this.#hasEnded) super.onResponseEnd(controller, {})
  }

  /** Passes nothing of the held answer on: another one comes in its place. */
  drop(): void {
    this.#isDropped = true
    this.#body = []
    if (!this.#hasEnded) this.#controller?.abort(new Error('another answer comes in its place'))
  }

  /** Answers with a head alone in place of the held answer. */
  respond(status: number, headers: ResponseHead): void {
    const controller = this.#controller as UpstreamController
    super.onResponseStart(controller, status, headers)
    super.onResponseEnd(controller, {})
  }

  /** Fails in place of the held answer. */
  fail(error: Error): void {
    super.onResponseError(this.#controller as UpstreamController, error)
  }

  #release(controller: UpstreamController): void {
    const held = this.#body ?? []
    this.#body = undefined
    super.onResponseStart(controller, this.status, this.#head)
    for (const chunk of held) super.onResponseData(controller, chunk)
  }
}
