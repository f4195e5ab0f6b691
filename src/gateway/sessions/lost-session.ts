import type { GatewayContext } from '../context.js'
import { sendAndWait } from '../forwarding/collect-answer.js'
import { upstreamHeaders } from '../forwarding/request-headers.js'
import { isForgotten, type TargetFailure } from '../forwarding/target-failure.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import type { TargetSession } from './sealed-sessions.js'

/**
 * Tells whether a session is gone at a target that says so by 400: the words may be those of a tool
 * that has sessions of its own. The target is asked once more, with what changes nothing there.
 */
export async function isLost(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
  failure: TargetFailure,
): Promise<boolean> {
  if (failure.cause !== 'session_lost') return false
  return failure.httpStatus !== 400 || isGone(context, request, target, session)
}

/** Asks a target whether it still knows a session. */
export async function isGone(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
): Promise<boolean> {
  const id = 'mcp-descope-proxy-ping'
  const answer = await sendAndWait({
    target,
    caller: request.exchange.caller,
    method: 'POST',
    headers: upstreamHeaders(context.clock, request.exchange, session),
    body: JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' }),
    id,
    inSession: session?.id !== undefined,
    timeoutMs: 0,
    deadlineMs: context.timeouts.list,
    clock: context.clock,
  })
  return !answer.ok && isForgotten(answer.failure)
}
