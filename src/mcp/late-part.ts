import { UpstreamError } from '../http/failure.js'
import { NO_CONTROLLER } from '../http/no-controller.js'
import type { UpstreamHandler } from '../http/pool.js'
import { messageOf } from '../util/errors.js'

/** Goes on with what is loaded or opened late; where that fails, so does the request. */
export function withLatePart<T>(
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
