import { ERROR_CODES, resultResponse, writtenResponse } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { OWN_INFO } from '../../mcp/meta.js'
import { negotiateVersion, olderVersion } from '../../mcp/versions.js'
import { isObject, type JsonObject, ownMember } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { replyError, replyFailure } from '../exchange.js'
import type { Request } from '../request.js'
import { withoutTasks } from '../rewriting/withheld.js'
import type { Target } from '../target.js'
import { joinInstructions, mergeCapabilities, NEEDS_STREAM } from './capabilities.js'
import { newSessionKey, type TargetSession } from './sealed-sessions.js'
import { closeSession, initializeTarget, type Opened } from './target-session.js'

/**
 * Answers `initialize` from all targets. A single target's answer is passed on unchanged; several are
 * merged, and a target that is down gets its session when it is needed. Without any target the answer
 * is that of a server that offers nothing. A session id is issued only when a target issued one.
 */
export async function initialize(
  context: GatewayContext,
  request: Request,
  message: Message,
): Promise<void> {
  const { targets, timeouts } = context
  const id = message.id as string | number
  const { pending } = request
  const timeoutMs = targets.length === 1 ? timeouts.answer : timeouts.list
  const answers = await Promise.all(
    targets.map((target) =>
      initializeTarget(context, request, target, { body: message.text, id, timeoutMs, pending }),
    ),
  )
  const opened: Opening[] = []
  const hasLeft = pending?.hasLeft
  answers.forEach((answer, index) => {
    const target = targets[index] as Target
    if (answer.ok) opened.push({ ...answer, target })
    else if (!hasLeft) {
      if ('failure' in answer) request.exchange.leftOut?.(answer.failure)
      const reason = 'failure' in answer ? answer.failure.reason : 'it refused initialize'
      tellLeftOut(context, target, reason)
    }
  })
  if (hasLeft) return void closeAllOf(context, request, opened)
  const usable = leaveUnusable(context, request, opened)
  if (usable.length === 0 && targets.length > 0) return replyRefused(request, message, answers)
  const { principal } = request.exchange.caller
  const merge = (opening: readonly Opening[]) => {
    const from = opening.map((it) =>
      context.boundIds.withholds(it.target, principal)
        ? { ...it, result: withoutTasks(it.result) }
        : it,
    )
    const only = targets.length === 1 ? from[0] : undefined
    const result = only?.result ?? mergeResults(context, message.params, from)
    if (context.boundIds.keepsAll(principal)) return result
    return withoutTaskList(result)
  }
  const { params } = message
  const { result, headers } = issueSession(context, request, params, usable, merge)
  const [first] = usable
  // what is one target's own stays as it wrote it
  const isAsSent = targets.length === 1 && result === first?.result
  const text = isAsSent ? writtenResponse(id, first.text) : resultResponse(id, result)
  request.exchange.reply.json(200, text, headers)
}

/** Takes the task list away where it would show other callers' tasks, or those of one target only. */
function withoutTaskList(result: JsonObject): JsonObject {
  const capabilities = ownMember(result, 'capabilities')
  const tasks = isObject(capabilities) ? ownMember(capabilities, 'tasks') : undefined
  if (!isObject(capabilities) || !isObject(tasks) || !('list' in tasks)) return result
  const { list: _list, ...others } = tasks
  return { ...result, capabilities: { ...capabilities, tasks: others } }
}

function tellLeftOut({ logger }: GatewayContext, { name }: Target, reason: string): void {
  logger.warn('target_unavailable', `Target "${name}" is left out: ${reason}`, { target: name })
}

function replyRefused({ exchange }: Request, { id }: Message, answers: readonly Opened[]): void {
  for (const answer of answers) {
    if (answer.ok) continue
    if ('failure' in answer) return replyFailure(exchange, id, answer.failure)
    exchange.record.outcome = 'rpc_error'
    return exchange.reply.json(answer.refusal.status, answer.refusal.text)
  }
  replyError(exchange, id, ERROR_CODES.internalError, 'No target')
}

function mergeResults(
  { offersStreams }: GatewayContext,
  params: JsonObject,
  opened: readonly Opening[],
): JsonObject {
  let version = negotiateVersion(params['protocolVersion'])
  const unavailable = offersStreams ? undefined : NEEDS_STREAM
  for (const { session } of opened) version = olderVersion(version, session.version)
  const sent = opened.map(({ result }) => ownMember(result, 'capabilities'))
  const capabilities = mergeCapabilities(sent, unavailable)
  const instructions = joinInstructions(opened)
  return {
    ...{ protocolVersion: version, capabilities, serverInfo: OWN_INFO },
    ...(instructions !== undefined && { instructions }),
  }
}

/** A target that answered `initialize`. */
interface Opening {
  target: Target
  session: TargetSession
  result: JsonObject
  /** The result as it was written. */
  text: string
}

const VERSION_FORM = /^\d{4}-\d{2}-\d{2}$/

/** The first version that was published. */
const OLDEST_VERSION = '2024-10-07'

/** Characters of one target's session id, where those of all targets must fit into one header. */
const MAX_SESSION_ID = 1_500

/** Leaves out those of several targets whose answer would break the merged one. */
function leaveUnusable(
  context: GatewayContext,
  request: Request,
  opened: readonly Opening[],
): readonly Opening[] {
  if (context.targets.length === 1) return opened
  return opened.filter((opening) => {
    const reason = whyUnusable(opening)
    if (reason !== undefined) leaveOut(context, request, opening, reason)
    return reason === undefined
  })
}

function whyUnusable({ session: { id = '', version } }: Opening): string | undefined {
  if (id.length > MAX_SESSION_ID) return TOO_LONG
  const isVersion = VERSION_FORM.test(version) && version >= OLDEST_VERSION
  return isVersion ? undefined : 'its answer to initialize names no version of MCP'
}

const TOO_LONG = 'its session id is too long'

/**
 * Seals the targets' sessions into one session id. Where it would be too long for a header, the
 * client's description of itself is left out first, then the targets' cookies, then the target with
 * the longest id.
 *
 * @param merge Makes the result of `initialize` from the targets that stay.
 */
function issueSession(
  context: GatewayContext,
  request: Request,
  params: JsonObject,
  usable: readonly Opening[],
  merge: (opened: readonly Opening[]) => JsonObject,
): { result: JsonObject; headers: Record<string, string> } {
  const { principal } = request.exchange.caller
  const key = newSessionKey()
  let opened = usable
  for (;;) {
    const result = merge(opened)
    if (opened.every(({ session }) => session.id === undefined)) return { result, headers: {} }
    const version = String(result['protocolVersion'])
    const targets = new Map(opened.map(({ target, session }) => [target.name, session]))
    const seal = (initialize: JsonObject, parts = targets) =>
      context.sessions.seal({ key, version, initialize, targets: parts }, principal)
    const least = withoutExtras(params)
    const sealed = seal(params) ?? seal(least) ?? seal(least, withoutCookies(targets))
    if (sealed !== undefined) return { result, headers: { 'mcp-session-id': sealed } }
    if (!context.sessions.canSeal || opened.length === 1) {
      closeAllOf(context, request, opened)
      return { result, headers: {} }
    }
    const longest = opened.reduce((a, b) => (lengthOf(b) > lengthOf(a) ? b : a))
    leaveOut(context, request, longest, TOO_LONG)
    opened = opened.filter((opening) => opening !== longest)
  }
}

const lengthOf = ({ session }: Opening) => session.id?.length ?? 0

function leaveOut(
  context: GatewayContext,
  request: Request,
  { target, session }: Opening,
  reason: string,
): void {
  tellLeftOut(context, target, reason)
  void closeSession(context, request, target, session)
}

/** Ends sessions at targets that will not be used. */
function closeAllOf(context: GatewayContext, request: Request, opened: readonly Opening[]): void {
  for (const { target, session } of opened) void closeSession(context, request, target, session)
}

/** A session without load-balancer cookies is better than none. */
function withoutCookies(targets: ReadonlyMap<string, TargetSession>): Map<string, TargetSession> {
  return new Map([...targets].map(([name, { cookies: _cookies, ...session }]) => [name, session]))
}

/** Returns the least that opening a session later needs, when all would not fit into a header. */
function withoutExtras({ protocolVersion }: JsonObject): JsonObject {
  return { protocolVersion, capabilities: {}, clientInfo: OWN_INFO }
}
