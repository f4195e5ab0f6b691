import { memberText, replaceParts } from '../../mcp/json-text.js'
import { ERROR_CODES, type RequestId, resultResponse } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { META, OWN_INFO } from '../../mcp/meta.js'
import type { JsonObject } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { replyError, replyFailure } from '../exchange.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { bindingKey, type Request } from '../request.js'
import { closeSession, notify } from '../sessions/target-session.js'
import type { Target } from '../target.js'
import { exposeEntries, listDependsOnCaller, listKind } from './lists.js'
import { readList, readPage, requestTarget } from './target-lists.js'

/**
 * Answers a list from several targets at once, in the order of the configuration, as far as one page
 * goes. For a target that is down its last known list stands in for a while; later it is left out. Both
 * are reported. When all targets fail, the answer is an error.
 */
export async function federateList(
  context: GatewayContext,
  request: Request,
  message: Message,
): Promise<void> {
  const { method, params } = message
  const { exchange } = request
  const id = message.id as RequestId
  const key = bindingKey(request)
  const { cursor = null } = params
  const isFirst = cursor === null
  const cursors = isFirst ? undefined : context.cursors.read(method, cursor, key)
  if (!isFirst && cursors === undefined) {
    return replyError(exchange, id, ERROR_CODES.invalidParams, 'Invalid cursor')
  }
  const deadline = context.clock.now() + context.timeouts.list
  const requested = context.targets.filter(({ name }) => cursors === undefined || cursors.has(name))
  const parts = await Promise.all(
    requested.map((target) =>
      readList(context, request, target, { method, cursor: cursors?.get(target.name), deadline }),
    ),
  )
  const listed: { entry: string; target: Target; exposed: string }[] = []
  const given: string[] = []
  const next = new Map<string, string>()
  const failures: TargetFailure[] = []
  const stale: string[] = []
  for (const part of parts) {
    const { target } = part
    const last =
      'failure' in part && isFirst
        ? context.lastLists.find(request, target, method, part.failure)
        : undefined
    if ('failure' in part) {
      report(context, part.failure, last !== undefined)
      exchange.leftOut?.(part.failure)
      if (last === undefined) failures.push(part.failure)
      else stale.push(target.name)
    } else if (part.next !== undefined) next.set(target.name, part.next)
    else if (isFirst) context.lastLists.keep(request, target, method, part.pages)
    const { principal } = exchange.caller
    const seen = new Set()
    const exposed: string[] = []
    const before = listed.length
    const onExposed = (name: string) => exposed.push(name)
    const { names } = context
    const view = { target, names, method, principal, severalTargets: true, seen, onExposed }
    for (const page of 'failure' in part ? (last ?? []) : part.pages) {
      given.push(page)
      for (const entry of exposeEntries(view, page)) {
        listed.push({ entry, target, exposed: exposed[listed.length - before] ?? '' })
      }
    }
  }
  const [failure] = failures
  if (failure !== undefined && failures.length === parts.length) {
    return replyFailure(exchange, id, failure)
  }
  let rest: JsonObject = {}
  if (next.size > 0) rest['nextCursor'] = context.cursors.expose(method, next, key)
  const missing = failures.map(({ target }) => target)
  const meta = missingMeta(missing, stale)
  if (request.meta !== undefined) {
    // cursors are bound to a caller, so that pages with or behind one are not shared
    const isOwn = !isFirst || next.size > 0 || listDependsOnCaller(context.targets, method)
    rest = { ...rest, ...mergedMembers(given.map(readCaching), meta, isOwn) }
  } else if (Object.keys(meta).length > 0) rest['_meta'] = meta
  // now that all names are known, entries whose exposed name leads to another target are dropped
  const entries = listed.filter(({ target, exposed }) => {
    const owner = isNamed(method) ? context.names.route(exposed)?.target : target
    return owner === undefined || owner === target
  })
  const texts = entries.map(({ entry }) => entry)
  exchange.reply.json(200, listResponse(message, texts, rest))
}

const isNamed = (method: string) => listKind(method)?.field === 'name'

/** Writes a response whose entries stay as their targets wrote them. */
export function listResponse(
  { method, spans, text }: Message,
  entries: string[],
  rest: JsonObject,
): string {
  const id = spans.get('id')
  const list = `${JSON.stringify(listKind(method)?.member)}:[${entries.join(',')}]`
  const members = [list, ...Object.entries(rest).map((member) => writeMember(...member))]
  const ownId = id === undefined ? 'null' : text.slice(id.start, id.end)
  return `{"jsonrpc":"2.0","id":${ownId},"result":{${members.join(',')}}}`
}

function writeMember(name: string, value: unknown): string {
  return `${JSON.stringify(name)}:${JSON.stringify(value)}`
}

function report({ logger }: GatewayContext, { target, reason }: TargetFailure, isStale: boolean) {
  const what = isStale ? 'is down: its last list stands in' : 'is left out'
  logger.warn('target_unavailable', `Target "${target}" ${what}`, { target, reason })
}

/** Sends a request to every target, and answers with an empty result when one of them accepted it. */
export async function broadcastRequest(
  context: GatewayContext,
  request: Request,
  { id, method, params }: Message,
): Promise<void> {
  const deadline = context.clock.now() + context.timeouts.list
  const having = context.targets.filter((target) => {
    const session = context.sessions.at(request.session, target.name)
    return !context.declared.lacks(request, target, method, session)
  })
  const answers = await Promise.all(
    having.map((target) => requestTarget(context, request, target, { method, params }, deadline)),
  )
  const { exchange } = request
  const failed = answers.find((answer) => !answer.ok)
  if (failed !== undefined && !failed.ok && answers.every((answer) => !answer.ok)) {
    return replyFailure(exchange, id, failed.failure)
  }
  exchange.reply.json(200, resultResponse(id as string | number, {}))
}

/** Sends a client's response to the target whose request it answers. */
export function routeAnswer(context: GatewayContext, request: Request, message: Message): void {
  const route = context.requestIds.route(message.id as string | number, bindingKey(request))
  const target = context.targets.find(({ name }) => name === route?.target)
  const span = message.spans.get('id')
  if (route === undefined || target === undefined || span === undefined) {
    const text = 'The answer belongs to no request of ours'
    return replyError(request.exchange, undefined, ERROR_CODES.invalidRequest, text, 400)
  }
  const text = replaceParts(message.text, [{ ...span, text: route.written }])
  void notify(context, request, target, context.sessions.at(request.session, target.name), text)
  request.exchange.reply.empty(202)
}

/**
 * Ends a client's sessions at all targets.
 *
 * @param hidden Targets that do not admit the client any more: it does not wait for their sessions to end.
 */
export async function closeAll(
  context: GatewayContext,
  request: Request,
  hidden: readonly Target[],
): Promise<void> {
  if (request.session !== undefined) context.sessions.end(request.session)
  for (const target of hidden) {
    const session = context.sessions.at(request.session, target.name)
    if (session !== undefined) void closeSession(context, request, target, session)
  }
  await Promise.all(
    context.targets.map(async (target) => {
      const session = context.sessions.at(request.session, target.name)
      if (session !== undefined) await closeSession(context, request, target, session)
    }),
  )
  request.exchange.reply.empty(200)
}

/** Tells whether a client follows an empty cursor: some servers mean by it that the list has ended. */
export function followsEmptyCursor({ method, params }: Message): boolean {
  return params['cursor'] === '' && listKind(method) !== undefined
}

/**
 * Answers a client that follows `"nextCursor": ""` of a single target. A page with entries that the
 * first page does not have continues the list; else the list has ended.
 */
export async function followEmptyCursor(
  context: GatewayContext,
  request: Request,
  target: Target,
  message: Message,
): Promise<void> {
  const { method } = message
  const deadline = context.clock.now() + context.timeouts.answer
  const listPage = (params: JsonObject) =>
    readPage(context, request, target, { method, params }, deadline)
  const [first, page] = await Promise.all([listPage({}), listPage({ cursor: '' })])
  const { exchange } = request
  if ('failure' in page) return replyFailure(exchange, message.id, page.failure)
  const { principal } = exchange.caller
  const seen = new Set('failure' in first ? [] : first.names)
  const isNews = page.names.some((name) => typeof name === 'string' && !seen.has(name))
  const view = { target, names: context.names, method, principal, severalTargets: false, seen }
  const entries = page.text === undefined ? [] : exposeEntries(view, page.text)
  const leadsOn = isNews && page.next !== undefined && page.next !== ''
  exchange.reply.json(200, listResponse(message, entries, leadsOn ? { nextCursor: page.next } : {}))
}

/**
 * Makes the members of `_meta` that name the targets which are left out, and those whose last known
 * answer stands in. Empty when all targets answered.
 */
export function missingMeta(missing: readonly string[], stale: readonly string[] = []): JsonObject {
  return {
    ...(missing.length > 0 && { 'mcp-descope-proxy/unavailableTargets': missing }),
    ...(stale.length > 0 && { 'mcp-descope-proxy/staleTargets': stale }),
  }
}

/** How long a result may be cached, milliseconds, and by whom. */
interface Caching {
  ttlMs: unknown
  cacheScope: unknown
}

/** Reads how long the result of a response may be cached. The text must be valid JSON. */
function readCaching(text: string): Caching {
  const read = (member: string): unknown => {
    const value = memberText(text, 'result', member)
    return value && JSON.parse(value)
  }
  return { ttlMs: read('ttlMs'), cacheScope: read('cacheScope') }
}

/**
 * Makes the members that every merged result of 2026-07-28 has. It may be cached for the shortest time
 * of its parts, and shared only when all of them may be. A result with a part missing is not to be
 * cached at all.
 *
 * @param missing What {@link missingMeta} returned.
 * @param isOwn The result is for this caller only.
 * @see [MCP 2026-07-28, caching](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching)
 */
export function mergedMembers(
  parts: readonly Caching[],
  missing: JsonObject,
  isOwn: boolean,
): JsonObject {
  const isWhole = Object.keys(missing).length === 0
  const isPublic =
    !isOwn && parts.length > 0 && parts.every(({ cacheScope }) => cacheScope === 'public')
  return {
    resultType: 'complete',
    ttlMs: isWhole && parts.length > 0 ? Math.min(...parts.map(timeToLive)) : 0,
    cacheScope: isPublic ? 'public' : 'private',
    _meta: { [META.serverInfo]: OWN_INFO, ...missing },
  }
}

function timeToLive({ ttlMs }: Caching): number {
  return typeof ttlMs === 'number' && ttlMs > 0 ? ttlMs : 0
}
