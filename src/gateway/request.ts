import { callerId } from '../auth/principal.js'
import type { JsonObject } from '../util/json.js'
import type { Exchange } from './exchange.js'
import type { Session } from './sessions/sealed-sessions.js'
import type { Target } from './target.js'

/** What is under way at targets for one request alone. */
interface Pending {
  /** Each is called when the client leaves. */
  readonly leaves: Set<() => void>
  hasLeft: boolean
}

/** A client's request with the session that it belongs to. */
export interface Request {
  readonly exchange: Exchange
  /** The client's `Mcp-Session-Id`, when it could be unsealed. */
  readonly sealed: string | undefined
  readonly session: Session | undefined
  /**
   * Ids that a target issues are bound to whoever gets them: with several targets, where an id must
   * lead back to its target, and with a single target whose callers have no sessions.
   */
  readonly bindsIds: boolean
  /** The request's `_meta`; present in the stateless era only. */
  readonly meta?: JsonObject | undefined
  /** What is given up when its client leaves. */
  readonly pending?: Pending | undefined
}

/** Makes requests to targets that serve this client request alone end when the client leaves. */
export function pendingOf(request: Request): Request {
  const pending: Pending = { leaves: new Set(), hasLeft: false }
  request.exchange.reply.watcher = {
    onDrain() {},
    onClose() {
      pending.hasLeft = true
      for (const leave of pending.leaves) leave()
    },
  }
  return { ...request, pending }
}

/** Returns the key to which the ids that we issue are bound: the session's, else the caller's. */
export function bindingKey({ session, exchange }: Request): string {
  return session?.key ?? callerId(exchange.caller.principal)
}

/** Returns a key for what a target gives: per caller where the target can tell callers apart. */
export function accessKey({ exchange }: Request, { key, credential }: Target): string {
  const differs = credential.perCaller || credential.tellsCaller
  return differs ? `${key} ${callerId(exchange.caller.principal)}` : key
}
