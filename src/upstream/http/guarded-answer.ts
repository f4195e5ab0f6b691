import type { UpstreamController, UpstreamHandler } from '../upstream.js'
import { unusableAnswer } from '../upstream-error.js'

export type AnswerHead = Parameters<NonNullable<UpstreamHandler['onResponseStart']>>[2]

/** Told of an error in what reads an answer, which is a mistake of ours. */
export type OnFault = (error: unknown) => void

/**
 * Tells a handler of an answer. An exception in the handler fails that one request, and does not get to
 * whatever called us: a socket, a parser or a timer, where it would end the process.
 */
export abstract class GuardedAnswer implements UpstreamController {
  readonly #handler: UpstreamHandler
  readonly #onFault: OnFault
  #isOver = false
  /** The connection that the answer comes on. */
  protected inner: UpstreamController | undefined

  abstract readonly aborted: boolean
  abstract readonly paused: boolean
  abstract readonly reason: Error | null
  abstract abort(reason: Error): void
  abstract pause(): void
  abstract resume(): void

  constructor(handler: UpstreamHandler, onFault: OnFault) {
    this.#handler = handler
    this.#onFault = onFault
  }

  protected begin(context: unknown): void {
    try {
      this.#handler.onRequestStart?.(this, context)
    } catch (error) {
      this.#fail(error)
    }
  }

  protected head(status: number, head: AnswerHead, text: string | undefined): void {
    try {
      this.#handler.onResponseStart?.(this, status, head, text)
    } catch (error) {
      this.#fail(error)
    }
  }

  protected data(chunk: Buffer): void {
    if (this.#isOver) return
    try {
      this.#handler.onResponseData?.(this, chunk)
    } catch (error) {
      this.#fail(error)
    }
  }

  protected end(): void {
    if (this.#isOver) return
    try {
      this.#handler.onResponseEnd?.(this, {})
      this.#isOver = true
    } catch (error) {
      this.#fail(error)
    }
  }

  protected error(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    // whoever was not told of a start knows no controller yet
    const known = this.inner === undefined ? undefined : this
    try {
      this.#handler.onResponseError?.(known as UpstreamController, error)
    } catch (fault) {
      // nobody is left who could be told, but for whoever keeps the log
      this.#onFault(fault)
    }
  }

  #fail(fault: unknown): void {
    this.#onFault(fault)
    this.error(unusableAnswer(fault))
    this.abort(new Error('the answer could not be read'))
  }
}

/** Of a request that was never sent, or whose answer does not matter any more. */
export const NO_CONTROLLER: UpstreamController = {
  aborted: false,
  paused: false,
  reason: null,
  abort() {},
  pause() {},
  resume() {},
}
