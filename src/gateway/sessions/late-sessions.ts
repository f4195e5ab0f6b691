import type { GatewayContext } from '../context.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import type { Session, TargetSession } from './sealed-sessions.js'

/** Returns what a request's session holds for a target, or what was opened there since. */
export function targetSession(
  context: GatewayContext,
  request: Request,
  target: Target,
): TargetSession | undefined {
  const { session } = request
  if (session === undefined) return undefined
  const late =
    context.lateSessions.size > 0 ? context.lateSessions.get(lateKey(session, target)) : undefined
  return late ?? session.targets.get(target.name)
}

const MAX_LATE_SESSIONS = 2_000

/** Remembers a session that a target gave us after the client's `initialize`. */
export function rememberLateSession(
  { lateSessions }: GatewayContext,
  session: Session,
  target: Target,
  opened: TargetSession,
): void {
  const oldest = lateSessions.keys().next()
  if (lateSessions.size >= MAX_LATE_SESSIONS && !oldest.done) lateSessions.delete(oldest.value)
  lateSessions.set(lateKey(session, target), opened)
}

/** Names a target's part of a client's session. */
export function lateKey({ key }: Session, target: Target): string {
  return `${target.name} ${key}`
}
