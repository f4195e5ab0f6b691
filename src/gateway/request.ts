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

/** One client request with the session that it came in. */
export interface Request {
  readonly exchange: Exchange
  /** The client's `Mcp-Session-Id`, once it was opened. */
  readonly sealed: string | undefined
  readonly session: Session | undefined
  /** Its `_meta` when it belongs to the stateless era. */
  readonly meta?: JsonObject
  /** What is given up when its client leaves. */
  readonly pending?: Pending | undefined
}

/** Lets what is asked of targets for this request alone be given up when its client leaves. */
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

/** Names who may give back what we hand out: the session, or the subject where there is none. */
export function bindingKey({ session, exchange }: Request): string {
  return session?.key ?? callerId(exchange.caller.principal)
}

/** Names a target and, where it can tell callers apart, the caller. */
export function accessKey({ exchange }: Request, { name, credential }: Target): string {
  return credential.perCaller ? `${name} ${callerId(exchange.caller.principal)}` : name
}
