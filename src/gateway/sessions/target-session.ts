import { memberText } from '../../mcp/json-text.js'
import { ownId } from '../../mcp/jsonrpc.js'
import { OWN_INFO } from '../../mcp/meta.js'
import { SESSION_BASED_VERSIONS } from '../../mcp/versions.js'
import { sessionCookies } from '../../upstream/http/cookie-jar.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { isInPlace } from '../connecting/in-place.js'
import type { GatewayContext } from '../context.js'
import { oneValue } from '../forwarding/answer-head.js'
import { sendAndWait, type TargetAnswer } from '../forwarding/collect-answer.js'
import { isForgotten, type TargetFailure } from '../forwarding/target-failure.js'
import { statelessHeaders, upstreamHeaders } from '../forwarding/upstream-send.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import { undeclared } from './capabilities.js'
import type { TargetSession } from './sealed-sessions.js'

/** A target's answer to `initialize`. */
export type Opened =
  | { ok: true; session: TargetSession; result: JsonObject; text: string }
  /** The target answered with a JSON-RPC error: `text` and `status` are its own. */
  | { ok: false; refusal: { status: number; text: string } }
  | { ok: false; failure: TargetFailure }

interface Initialize {
  body: string
  id: string | number
  timeoutMs: number
  pending?: Request['pending']
}

/** Sends `initialize` to a target and reads what it negotiated. */
export async function initializeTarget(
  context: GatewayContext,
  request: Request,
  target: Target,
  { body, id, timeoutMs, pending }: Initialize,
): Promise<Opened> {
  const collected = await sendAndWait(context.clock, request, target, {
    headers: upstreamHeaders(context.clock, request.exchange, undefined).filter(dropVersion),
    body,
    id,
    session: undefined,
    deadlineMs: timeoutMs,
    pending,
  })
  // a session that it may have opened will not be used
  if (!collected.ok) {
    void closeSession(context, request, target, { id: sessionIdOf(collected) })
  }
  const opened = readOpened(collected, target, context.clock.now())
  if (opened.ok && !isInPlace(collected.head)) {
    context.declared.learn(request, target, opened.result)
  }
  return opened
}

/** `initialize` negotiates the version, so it carries none in its headers. */
function dropVersion(_value: string, index: number, headers: readonly string[]): boolean {
  const name = headers[index - (index % 2)]
  return name !== 'mcp-protocol-version'
}

const sessionIdOf = ({ head }: TargetAnswer) => oneValue(head['mcp-session-id'])

function readOpened(collected: TargetAnswer, target: Target, now: number): Opened {
  if (!collected.ok) {
    const { answer } = collected.failure
    if (answer === undefined) return collected
    return { ok: false, refusal: { status: answer.status, text: answer.body.toString('utf8') } }
  }
  const { status, text, head } = collected
  const message = tryParseJson(text)
  const result = isObject(message) ? message['result'] : undefined
  if (!isObject(result)) return { ok: false, refusal: { status, text } }
  const version = result['protocolVersion']
  if (typeof version !== 'string') {
    const reason = 'its answer to initialize names no protocolVersion'
    return { ok: false, failure: { cause: 'invalid_answer', target: target.name, reason } }
  }
  const session: TargetSession = { id: sessionIdOf(collected), version, lacks: undeclared(result) }
  const cookies = target.url && sessionCookies(head['set-cookie'], target.url, now)
  if (cookies?.length) session.cookies = cookies
  return { ok: true, session, result, text: memberText(text, 'result') ?? '{}' }
}

/**
 * Opens a session at a target for a client that has none there: the target was down at `initialize`,
 * or forgot the session, or the client sends no session id at all.
 *
 * @param stale The session that the target no longer knows.
 * @returns The session, or `undefined` when the target gives none.
 */
export function openSession(
  context: GatewayContext,
  request: Request,
  target: Target,
  stale?: TargetSession,
): Promise<TargetSession | undefined> {
  if (request.session === undefined) return openNew(context, request, target)
  const current = context.sessions.at(request.session, target.name)
  if (stale !== undefined && current !== undefined && current.id !== stale.id) {
    return Promise.resolve(current)
  }
  const openOne = () => openNew(context, request, target)
  return context.sessions.openLate(request.session, target.name, openOne)
}

async function openNew(
  context: GatewayContext,
  request: Request,
  target: Target,
): Promise<TargetSession | undefined> {
  const opened = await openUnheard(context, request, target)
  if (opened === undefined) return undefined
  const message = { jsonrpc: '2.0', method: 'notifications/initialized' }
  await notify(context, request, target, opened, message)
  return opened
}

/** Opens a session that the target has not been told to be ready, and that nobody knows of. */
export async function openUnheard(
  context: GatewayContext,
  request: Request,
  target: Target,
): Promise<TargetSession | undefined> {
  const id = ownId()
  const params = request.session?.initialize ?? {
    protocolVersion: request.exchange.header('mcp-protocol-version') ?? SESSION_BASED_VERSIONS[0],
    capabilities: {},
    clientInfo: OWN_INFO,
  }
  const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'initialize', params })
  const timeoutMs = context.timeouts.answer
  const opened = await initializeTarget(context, request, target, { body, id, timeoutMs })
  return opened.ok ? opened.session : undefined
}

/** Sends a target a notification, or a client's answer. Failures are ignored, since nothing awaits it. */
export async function notify(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: TargetSession | undefined,
  message: JsonObject | string,
): Promise<void> {
  const { exchange, meta } = request
  await sendAndWait(context.clock, request, target, {
    headers:
      meta === undefined
        ? upstreamHeaders(context.clock, exchange, session)
        : statelessHeaders(context.clock, exchange, exchange.record.method),
    body: typeof message === 'string' ? message : JSON.stringify(message),
    session,
    deadlineMs: context.timeouts.list,
  })
}

/** Ends a session at a target; failures are ignored. */
export async function closeSession(
  context: GatewayContext,
  request: Request,
  target: Target,
  session: Partial<TargetSession>,
): Promise<void> {
  if (session.id === undefined) return
  await sendAndWait(context.clock, request, target, {
    method: 'DELETE',
    headers: upstreamHeaders(context.clock, request.exchange, session, 'DELETE'),
    session: { id: session.id },
    deadlineMs: context.timeouts.list,
  })
}

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
 * {@link isLost} has to be called. Some servers say 401 where they forgot a session.
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

/** Checks whether a target still knows a session. */
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
