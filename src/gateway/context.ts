import { ownerOf } from '../auth/principal.js'
import { mirrorHeaders } from '../mcp/headers.js'
import { cookieHeader } from '../upstream/http/cookie-jar.js'
import type { JsonObject } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import type { Exchange } from './exchange.js'
import type { Pending } from './forwarding/collect-answer.js'
import type { LastLists } from './lists/last-known-lists.js'
import type { Handles } from './rewriting/bound-ids.js'
import type { Cursors, EventIds, RequestIds } from './rewriting/signed-ids.js'
import type { Withhold } from './rewriting/withheld.js'
import type { Names } from './routing/names.js'
import type { Declared } from './sessions/declared-capabilities.js'
import type { Eras } from './sessions/protocol-eras.js'
import type { Session, Sessions, TargetSession } from './sessions/sealed-sessions.js'
import type { Target } from './target.js'

/** What every part of the gateway shares. */
export interface GatewayContext {
  readonly targets: readonly Target[]
  readonly names: Names<Target>
  readonly sessions: Sessions
  readonly requestIds: RequestIds
  readonly eventIds: EventIds
  readonly cursors: Cursors
  readonly handles: Handles<Target>
  readonly lastLists: LastLists
  readonly eras: Eras
  /** Tells of what targets may not say. */
  readonly withhold: Withhold
  readonly declared: Declared
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds. */
  readonly timeouts: { list: number; answer: number }
  /** Sessions opened at one target after the client's `initialize`, by session and target. */
  readonly lateSessions: Map<string, TargetSession>
  /** Sessions that are being opened, so that requests which need the same one share it. */
  readonly opening: Map<string, Promise<TargetSession | undefined>>
  /** Clients can open a stream for what targets send by themselves. */
  readonly offersStreams: boolean
  /** Ids of a single target that tells no callers apart are bound to their callers. */
  readonly bindsAlone: boolean
  /**
   * Opens a lost session again even for a single target, and sends only what is safe to repeat a
   * second time. Without it a single target's client is told to start anew (404).
   */
  readonly reopenSessions: boolean
}

/** One client request with the session that it came in. */
export interface Request {
  readonly exchange: Exchange
  /** The client's `Mcp-Session-Id`, once it was opened. */
  readonly sealed: string | undefined
  readonly session: Session | undefined
  /** Its `_meta` when it belongs to the stateless era. */
  readonly meta?: JsonObject
  /** To be given up when its client leaves. */
  readonly pending?: Pending
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

const ACCEPT_BOTH = 'application/json, text/event-stream'

const USER_AGENT = `${PRODUCT}/${VERSION}`

/** W3C trace context: the only client headers besides MCP's own that a target may see. */
const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const

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

/**
 * Tells whether ids that a target hands out are bound to who gets them: with several targets, since
 * they lead back to one of them, and where a single target gave no session that tells callers apart.
 */
export function bindsIds(
  { targets, bindsAlone }: Pick<GatewayContext, 'targets' | 'bindsAlone'>,
  { session, exchange }: Request,
): boolean {
  if (targets.length > 1) return true
  return bindsAlone && session === undefined && exchange.caller.principal !== undefined
}

/** Names who may give back what we hand out: the session, or the subject where there is none. */
export function holderOf({ session, exchange }: Request): string {
  return session?.key ?? ownerOf(exchange.caller.principal)
}

/** Names a target and, where it can tell callers apart, the caller. */
export function accessKey({ exchange }: Request, { name, credential }: Target): string {
  return credential.perCaller ? `${name} ${ownerOf(exchange.caller.principal)}` : name
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

/**
 * Makes the headers of a request to a target, without its credential. An allow-list: of the
 * client's headers only MCP's own and the trace context go on, never `Authorization`, `Cookie` or
 * `X-Forwarded-*`.
 */
export function upstreamHeaders(
  clock: Pick<Clock, 'now'>,
  exchange: Exchange,
  session: Partial<TargetSession> | undefined,
  method: 'POST' | 'GET' | 'DELETE' = 'POST',
): string[] {
  const headers = ['user-agent', USER_AGENT, 'accept-encoding', 'identity']
  if (method === 'POST') headers.push('content-type', 'application/json')
  if (method === 'GET') headers.push('accept', 'text/event-stream')
  // whatever form the client takes, many servers answer nobody who does not take both
  else if (method === 'POST') headers.push('accept', ACCEPT_BOTH)
  const version = session?.version ?? exchange.header('mcp-protocol-version')
  if (version !== undefined) headers.push('mcp-protocol-version', version)
  if (session?.id !== undefined) headers.push('mcp-session-id', session.id)
  if (exchange.requestId !== undefined) headers.push('x-request-id', exchange.requestId)
  if (session?.cookies !== undefined) {
    const cookie = cookieHeader(session.cookies, clock.now())
    if (cookie !== undefined) headers.push('cookie', cookie)
  }
  for (const name of TRACE_HEADERS) {
    const value = exchange.header(name)
    if (value !== undefined) headers.push(name, value)
  }
  return headers
}

/**
 * Makes the headers of a request of the stateless era to a target, without its credential.
 *
 * @param name The target's own name of what is asked for, where there is one.
 */
export function modernHeaders(
  clock: Pick<Clock, 'now'>,
  exchange: Exchange,
  method: string,
  name?: string,
): string[] {
  const headers = upstreamHeaders(clock, exchange, undefined)
  headers.push(...mirrorHeaders(method, name), ...exchange.extraHeaders())
  return headers
}
