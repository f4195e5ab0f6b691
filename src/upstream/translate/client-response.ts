import { idText, putMembers } from '../../mcp/json-text.js'
import type { Message } from '../../mcp/message.js'
import { writeEvent } from '../../mcp/sse.js'
import { messageOf } from '../../util/errors.js'
import type { UpstreamController, UpstreamHandler } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'

export type Head = Parameters<NonNullable<UpstreamHandler['onResponseStart']>>[2]

const JSON_HEAD = { 'content-type': 'application/json' }

const STREAM_HEAD = { 'content-type': 'text/event-stream' }

/** A client's request whose answer we make, from one answer of the target, from several or none. */
export class ClientResponse implements UpstreamController {
  readonly #handler: UpstreamHandler
  #reason: Error | null = null
  #paused = false
  #inner: UpstreamController | undefined
  /** The head of the answer left; then the answer is an event stream. */
  isStreaming = false
  /** Nothing more can be answered. */
  isOver = false
  /** Called when nobody waits for the answer any more. */
  onLeave = (_reason: Error) => {}

  constructor(handler: UpstreamHandler) {
    this.#handler = handler
    handler.onRequestStart?.(this, {})
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get reason(): Error | null {
    return this.#reason
  }

  get paused(): boolean {
    return this.#paused
  }

  pause(): void {
    this.#paused = true
    this.#inner?.pause()
  }

  resume(): void {
    this.#paused = false
    this.#inner?.resume()
  }

  abort(reason: Error): void {
    if (this.isOver) return
    this.isOver = true
    this.#reason = reason
    this.#inner?.resume()
    this.onLeave(reason)
  }

  /** Lets the client's pace rule the target's answer. */
  follow(controller: UpstreamController): void {
    this.#inner = controller
    if (this.#paused) controller.pause()
  }

  /** Passes an answer on as it is. */
  pass(status: number, headers: Head, body: Buffer): void {
    if (this.isOver) return
    this.#handler.onResponseStart?.(this, status, headers)
    if (body.length > 0) this.#handler.onResponseData?.(this, body)
    this.#end()
  }

  /** Answers with a status alone. */
  empty(status: number): void {
    this.pass(status, {}, Buffer.alloc(0))
  }

  /** Opens the event stream, unless it is open. */
  openStream(): void {
    if (this.isOver || this.isStreaming) return
    this.isStreaming = true
    this.#handler.onResponseStart?.(this, 200, STREAM_HEAD)
  }

  /** Sends bytes on the stream. */
  write(bytes: Buffer): void {
    this.openStream()
    if (!this.isOver) this.#handler.onResponseData?.(this, bytes)
  }

  /** Sends a message on the stream. */
  event(message: string): void {
    this.write(Buffer.from(writeEvent(message)))
  }

  /** Answers with a JSON-RPC response, as the last event where there is a stream, and ends. */
  answer(response: string, headers: Head = {}): void {
    if (!this.isStreaming) {
      return this.pass(200, { ...JSON_HEAD, ...headers }, Buffer.from(response))
    }
    this.event(response)
    this.#end()
  }

  /** Ends an event stream. */
  end(): void {
    if (!this.isOver) this.#end()
  }

  fail(error: Error): void {
    if (this.isOver) return
    this.isOver = true
    this.#handler.onResponseError?.(this, error)
  }

  /** Answers for whatever a target can send that nobody thought of. */
  failWith(error: unknown): void {
    this.fail(new UpstreamError('invalid_answer', `its answer is of no use: ${messageOf(error)}`))
  }

  #end(): void {
    if (this.isOver) return
    this.isOver = true
    this.#handler.onResponseEnd?.(this, {})
  }
}

/** Makes an answer to another request the answer to this one. */
export function answerTo(message: Message, response: string): string {
  return putMembers(response, { id: idText(message) })
}
