import { callerId } from '../auth/principal.js'
import { ERROR_CODES } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { isSessionBasedVersion, SESSION_BASED_VERSIONS } from '../mcp/versions.js'
import type { JsonObject } from '../util/json.js'
import { type Exchange, replyError } from './exchange.js'
import type { Session, Sessions } from './sessions/sealed-sessions.js'
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
export function accessKey({ exchange }: Request, { name, credential }: Target): string {
  const differs = credential.perCaller || credential.tellsCaller
  return differs ? `${name} ${callerId(exchange.caller.principal)}` : name
}

/**
 * Opens the session that a request names. Answers 404 when we did not issue it to this caller, and
 * 400 when the request claims another protocol version than the session's, or an unknown one.
 * `initialize` negotiates the version, so that its header is no reason to refuse it.
 *
 * @param message What a POST carries.
 * @see [MCP 2025-11-25, Protocol Version Header](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header)
 */
export function openRequest(
  sessions: Sessions,
  newRequest: (exchange: Exchange, session?: Session, sealed?: string) => Request,
  exchange: Exchange,
  message?: Message,
): Request | undefined {
  // an empty header is what some clients write who have none
  const sealed = exchange.header('mcp-session-id') || undefined
  const refuse = (status: number, code: number, text: string) => {
    exchange.record.refusal = status === 404 ? 'session' : 'protocol'
    const id = status === 404 ? undefined : message?.id
    replyError(exchange, id, code, text, status)
    return undefined
  }
  const session =
    sealed === undefined ? undefined : sessions.open(sealed, exchange.caller.principal)
  if (sealed !== undefined && session === undefined) {
    return refuse(404, -32001, 'Session not found: initialize again')
  }
  const claimed = exchange.header('mcp-protocol-version')
  // other known versions pass: the target gets the session's version in any case
  const isSpoken =
    claimed === undefined || claimed === session?.version || isSessionBasedVersion(claimed)
  if (isSpoken || message?.method === 'initialize') return newRequest(exchange, session, sealed)
  const spoken = session?.version ?? SESSION_BASED_VERSIONS.join(', ')
  const who = session === undefined ? 'without _meta, this server' : 'this session'
  const text = `Unsupported MCP-Protocol-Version ${JSON.stringify(claimed.slice(0, 40))}; ${who} speaks ${spoken}`
  return refuse(400, ERROR_CODES.invalidRequest, text)
}
