import { callerId } from '../../auth/principal.js'
import { ownId } from '../../mcp/jsonrpc.js'
import { ListWalk } from '../../mcp/list-walk.js'
import { BoundedMap } from '../../util/bounded-map.js'
import {
  isObject,
  type JsonObject,
  ownMember,
  stringMember,
  tryParseJson,
} from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { sendAndWait, type TargetAnswer } from '../forwarding/collect-answer.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { statelessHeaders, upstreamHeaders } from '../forwarding/upstream-send.js'
import type { Request } from '../request.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'
import { closeSession, isLost, mayBeLost, openSession } from '../sessions/target-session.js'
import type { Target } from '../target.js'
import { exposeEntries, listKind } from './lists.js'

/** How much of one target's list one answer may hold; the rest comes with the next cursor. */
const MAX_PAGES = 100

const MAX_ENTRIES = 2_000

const MAX_CHARS = 8 * 1024 * 1024

const UNKNOWN_LIST = { member: '', field: 'name' } as const

const METHOD_NOT_FOUND = -32601

/** What one target contributes to a list: its pages, perhaps none, as it sent them, or a failure. */
export type TargetPart =
  | { target: Target; pages: readonly string[]; next: string | undefined }
  | { target: Target; failure: TargetFailure }

/**
 * Reads all lists of tools and prompts once, so that aliases that other processes gave out are known.
 *
 * @returns The targets whose names could not be read.
 */
export async function learnNames(
  context: GatewayContext,
  request: Request,
): Promise<ReadonlySet<Target>> {
  const unread = new Set<Target>()
  const learn = async (target: Target, method: string) => {
    const deadline = context.clock.now() + context.timeouts.list
    const { principal } = request.exchange.caller
    const view = { target, names: context.names, method, principal, severalTargets: true }
    let cursor: string | undefined
    const cursors = new Set<string>()
    do {
      const part = await readList(context, request, target, { method, cursor, deadline })
      if ('failure' in part) {
        unread.add(target)
        return
      }
      for (const page of part.pages) exposeEntries(view, page)
      cursor = part.next
      // cursors that lead in a circle end here
      if (cursor !== undefined && cursors.has(cursor)) break
      if (cursor !== undefined) cursors.add(cursor)
    } while (cursor !== undefined)
  }
  await Promise.all(
    context.targets.flatMap((target) =>
      ['tools/list', 'prompts/list'].map((method) => learn(target, method)),
    ),
  )
  return unread
}

/** Lists all tools of a target, so that they are known to its rules. */
export async function listTools(
  context: GatewayContext,
  request: Request,
  target: Target,
): Promise<TargetFailure | undefined> {
  const { principal } = request.exchange.caller
  const method = 'tools/list'
  const view = { target, names: context.names, method, principal, severalTargets: true }
  const deadline = context.clock.now() + context.timeouts.list
  const part = await readList(context, request, target, { method, cursor: undefined, deadline })
  if ('failure' in part) return part.failure
  for (const page of part.pages) exposeEntries(view, page)
  return undefined
}

interface ListRequest {
  method: string
  /** The target's own. */
  cursor: string | undefined
  /** Milliseconds since the epoch. */
  deadline: number
}

/**
 * Reads a target's list page by page until it ends, one answer is full, or time is up. When a target
 * fails after its first page, the rest is left to the next cursor.
 */
export async function readList(
  context: GatewayContext,
  request: Request,
  target: Target,
  { method, cursor, deadline }: ListRequest,
): Promise<TargetPart> {
  const pages: string[] = []
  const session = context.sessions.at(request.session, target.name)
  if (context.declared.lacks(request, target, method, session)) {
    return { target, pages, next: undefined }
  }
  let entries = 0
  let chars = 0
  let next = cursor
  const walk = new ListWalk(cursor)
  do {
    const params = next === undefined ? {} : { cursor: next }
    const page = await readPage(context, request, target, { method, params }, deadline)
    if ('failure' in page) return pages.length === 0 ? page : { target, pages, next }
    if (page.text !== undefined) pages.push(page.text)
    entries += page.names.length
    chars += page.text?.length ?? 0
    next = walk.next(page.names, page.next)
  } while (
    next !== undefined &&
    pages.length < MAX_PAGES &&
    entries < MAX_ENTRIES &&
    chars < MAX_CHARS
  )
  return { target, pages, next }
}

type Page =
  /** `names` are the entries' names or URIs. */
  | { text: string | undefined; names: readonly unknown[]; next: string | undefined }
  | { target: Target; failure: TargetFailure }

/** Reads one page of a target's list. */
export async function readPage(
  context: GatewayContext,
  request: Request,
  target: Target,
  sent: { method: string; params: JsonObject },
  deadline: number,
): Promise<Page> {
  const collected = await requestTarget(context, request, target, sent, deadline)
  if (!collected.ok) return { target, failure: collected.failure }
  const { text } = collected
  const message = tryParseJson(text)
  const result = isObject(message) ? message['result'] : undefined
  const { member, field } = listKind(sent.method) ?? UNKNOWN_LIST
  const given = isObject(result) ? ownMember(result, member) : undefined
  // null is the empty list of some languages
  const list = given === null ? [] : given
  if (isObject(result) && Array.isArray(list)) {
    const names = list.map((entry) => (isObject(entry) ? ownMember(entry, field) : undefined))
    return { text, names, next: stringMember(result, 'nextCursor') }
  }
  if (isObject(message) && lacksMethod(message))
    return { text: undefined, names: [], next: undefined }
  const reason = 'its answer is not a list'
  return { target, failure: { cause: 'invalid_answer', target: target.name, reason } }
}

function lacksMethod({ error }: JsonObject): boolean {
  return isObject(error) && error['code'] === METHOD_NOT_FOUND
}

/**
 * Sends a request of our own to a target in the era of the client's request: in its session, opened
 * where that is needed, or with the client's `_meta`.
 */
export async function requestTarget(
  context: GatewayContext,
  request: Request,
  target: Target,
  { method, params }: { method: string; params: JsonObject },
  deadline: number,
): Promise<TargetAnswer> {
  const id = ownId()
  const { exchange, meta } = request
  const sent = meta === undefined ? params : { ...params, _meta: meta }
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params: sent })
  const attempt = (session: TargetSession | undefined) =>
    sendAndWait(context.clock, request, target, {
      headers:
        meta === undefined
          ? upstreamHeaders(context.clock, exchange, session)
          : statelessHeaders(context.clock, exchange, method),
      body,
      id,
      session,
      deadlineMs: Math.max(1, deadline - context.clock.now()),
      pending: request.pending,
    })
  const session = context.sessions.at(request.session, target.name)
  const first = await attempt(session)
  if (first.ok || meta !== undefined || !mayBeLost(context, target, session, first.failure)) {
    return first
  }
  const { cause } = first.failure
  const isSure =
    cause === 'session_required' || (await isLost(context, request, target, session, first.failure))
  if (!isSure && cause === 'refused_credential') return first
  if (!isSure) return { ...first, failure: { ...first.failure, cause: 'http_status' } }
  const opened = await openSession(context, request, target, session)
  if (opened === undefined) return first
  const second = await attempt(opened)
  if (request.sealed === undefined) void closeSession(context, request, target, opened)
  return second
}

/** How long a caller's lists are not read again, whatever unknown names the caller sends. */
const PAUSE_MS = 5_000

const MAX_CALLERS = 10_000

/** How long a name that was in none of a caller's lists is not looked for again. */
const UNKNOWN_MS = 60_000

const MAX_UNKNOWN = 20_000

/** A reading of one caller's lists, under way or done. */
interface Reading {
  done: Promise<ReadonlySet<unknown>>
  /** Milliseconds since the epoch. */
  startedAt: number
}

/**
 * Creates the function that learns an alias which another process gave out, by reading the lists. Names
 * that a caller makes up cause at most one reading in a while. Lists are read for each caller, so that
 * what one of them cannot see stays findable for others.
 *
 * @returns A function that takes an unknown alias, and returns a promise that resolves when the lists
 *   were read; `undefined` when there is nothing to learn.
 */
export function createAliasLearner(context: GatewayContext) {
  const { names, clock } = context
  const readings = new BoundedMap<string, Reading>(MAX_CALLERS)
  const running = new Map<string, Promise<void>>()
  /** Until when names, per caller, are taken to be in none of the lists. */
  const unknown = new BoundedMap<string, number>(MAX_UNKNOWN)

  function read(request: Request): Reading['done'] {
    const owner = callerId(request.exchange.caller.principal)
    const now = clock.now()
    const known = readings.get(owner)
    if (known !== undefined && now - known.startedAt < PAUSE_MS) return known.done
    const done = learnNames(context, request)
    readings.set(owner, { done, startedAt: now })
    return done
  }

  async function learn(name: string, key: string, request: Request): Promise<void> {
    const unread = await read(request)
    if (!names.isUnknownAlias(name)) return
    const target = names.route(name)?.target
    if (target !== undefined && unread.has(target)) {
      readings.delete(callerId(request.exchange.caller.principal))
      return
    }
    unknown.set(key, clock.now() + UNKNOWN_MS)
  }

  return (name: string, request: Request): Promise<void> | undefined => {
    const key = `${callerId(request.exchange.caller.principal)} ${name}`
    const known = running.get(key)
    if (known !== undefined) return known
    if ((unknown.get(key) ?? 0) > clock.now()) return undefined
    const learning = learn(name, key, request).finally(() => running.delete(key))
    running.set(key, learning)
    return learning
  }
}
