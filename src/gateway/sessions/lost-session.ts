import type { GatewayContext } from '../context.js'
import { sendAndWait, type TargetAnswer } from '../forwarding/collect-answer.js'
import { upstreamHeaders } from '../forwarding/request-headers.js'
import { isForgotten, type TargetFailure } from '../forwarding/target-failure.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import type { TargetSession } from './sealed-sessions.js'
import { closeSession, openUnheard } from './target-session.js'

/**
 * Tells whether a session is really gone at a target that said so. The words of a 400 may be those of
 * a tool that has sessions of its own, and a 401 may be about the credential, so the target is asked
 * once more, with a ping.
 */
export async function isLost(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
  failure: TargetFailure,
): Promise<boolean> {
  if (failure.cause === 'refused_credential') {
    return isRefusedInSessionOnly(context, request, target, session)
  }
  if (failure.cause !== 'session_lost') return false
  return failure.httpStatus !== 400 || isGone(context, request, target, session)
}

/**
 * Tells whether a failure may mean that the session is gone, or that there was none, so that
 * {@link isLost} is to be asked. Some servers say 401 where they forgot a session.
 */
export function mayBeLost(
  { reopenSessions }: Pick<GatewayContext, 'reopenSessions'>,
  target: Target,
  session: TargetSession | undefined,
  { cause, httpStatus }: TargetFailure,
): boolean {
  if (cause === 'session_lost' || cause === 'session_required') return true
  const isRefused = cause === 'refused_credential' && httpStatus === 401
  // a credential of a caller's own may have ended, and whoever signs in asks for another one
  return isRefused && session?.id !== undefined && !target.credential.perCaller && !reopenSessions
}

/** Asks a target whether it still knows a session. */
export async function isGone(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
): Promise<boolean> {
  const answer = await ping(context, request, target, session)
  return !answer.ok && isForgotten(answer.failure)
}

/** Tells whether the credential that is refused in a session opens another one, and works there. */
async function isRefusedInSessionOnly(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
): Promise<boolean> {
  const isRefused = (answer: TargetAnswer) =>
    !answer.ok && answer.failure.cause === 'refused_credential'
  if (!isRefused(await ping(context, request, target, session))) return false
  const opened = await openUnheard(context, request, target)
  if (opened === undefined) return false
  const answer = await ping(context, request, target, opened)
  void closeSession(context, request, target, opened)
  return !isRefused(answer)
}

function ping(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
): Promise<TargetAnswer> {
  const id = 'mcp-descope-proxy-ping'
  return sendAndWait(context.clock, request, target, {
    headers: upstreamHeaders(context.clock, request.exchange, session),
    body: JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' }),
    id,
    session,
    deadlineMs: context.timeouts.list,
  })
}
