import { UpstreamError } from '../http/failure.js'
import type { UpstreamController, UpstreamHandler } from '../http/pool.js'
import { messageOf } from '../util/errors.js'

/** Of a request that was never sent. */
const NOT_SENT: UpstreamController = {
  aborted: false,
  paused: false,
  reason: null,
  abort() {},
  pause() {},
  resume() {},
}

/** Goes on with what is loaded or opened late; where that fails, so does the request. */
export function withLatePart<T>(
  part: Promise<T>,
  handler: UpstreamHandler,
  goOn: (part: T) => void,
): void {
  part.then(goOn, (error) => {
    // what answers to no request of its own would not be heard
    handler.onRequestStart?.(NOT_SENT, {})
    handler.onResponseError?.(NOT_SENT, lateFailure(error))
  })
}

/** Says why a request failed that is not the target's fault. */
export function lateFailure(error: unknown): UpstreamError {
  return new UpstreamError('http_status', messageOf(error))
}
