import type { UpstreamHandler } from './pool.js'

type Parts = Required<UpstreamHandler>

/** Passes everything on: the base of handlers that only look at something. */
export class PassingHandler implements UpstreamHandler {
  readonly #handler: UpstreamHandler

  constructor(handler: UpstreamHandler) {
    this.#handler = handler
  }

  onRequestStart(...args: Parameters<Parts['onRequestStart']>): void {
    this.#handler.onRequestStart?.(...args)
  }

  onResponseStart(...args: Parameters<Parts['onResponseStart']>): void {
    this.#handler.onResponseStart?.(...args)
  }

  onResponseData(...args: Parameters<Parts['onResponseData']>): void {
    this.#handler.onResponseData?.(...args)
  }

  onResponseEnd(...args: Parameters<Parts['onResponseEnd']>): void {
    this.#handler.onResponseEnd?.(...args)
  }

  onResponseError(...args: Parameters<Parts['onResponseError']>): void {
    this.#handler.onResponseError?.(...args)
  }
}
