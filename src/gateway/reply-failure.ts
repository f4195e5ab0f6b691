import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import type { Exchange } from './exchange.js'
import { failureError, type TargetFailure } from './failure.js'

/**
 * Answers a failure that came before anything was sent: in band under the request's id; without an
 * id (GET, DELETE, notifications) as a gateway's own status.
 */
export function replyFailure(
  exchange: Exchange,
  id: RequestId | undefined,
  failure: TargetFailure,
): void {
  exchange.record.failure = failure
  if (exchange.intercept?.(failure)) return
  const { reply } = exchange
  const body = errorResponse(id ?? null, failureError(failure, exchange.requestId))
  if (failure.cause === 'session_lost') return reply.json(404, body)
  if (failure.answer !== undefined) return reply.json(failure.answer.status, failure.answer.body)
  if (id !== undefined) return reply.json(200, body)
  if (failure.httpStatus === 404 || failure.httpStatus === 405) {
    return reply.json(failure.httpStatus, body)
  }
  reply.json(failure.cause === 'timeout' ? 504 : 502, body)
}
