import type { Principal } from '../../auth/principal.js'
import {
  elementsAt,
  findMember,
  objectText,
  putMembers,
  replaceParts,
  type TextSpan,
  withoutMember,
} from '../../mcp/json-text.js'
import { isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import { exposeViews } from '../rewriting/resource-links.js'
import { judgeListedTool } from '../routing/judge.js'
import type { Names } from '../routing/names.js'
import { isListed, type ToolPolicy } from '../routing/policy.js'
import { exposeTemplate, exposeUri } from '../routing/resource-uris.js'
import type { Target } from '../target.js'

/** A list method: the result's member that holds the entries, and the entries' member that is exposed. */
export interface ListKind {
  readonly member: string
  readonly field: 'name' | 'uri' | 'uriTemplate'
}

export const LIST_KINDS: Readonly<Record<string, ListKind>> = {
  'tools/list': { member: 'tools', field: 'name' },
  'prompts/list': { member: 'prompts', field: 'name' },
  'resources/list': { member: 'resources', field: 'uri' },
  'resources/templates/list': { member: 'resourceTemplates', field: 'uriTemplate' },
}

/** Returns how a method lists, or `undefined` when it lists nothing. */
export function listKind(method: string): ListKind | undefined {
  return ownMember(LIST_KINDS, method)
}

export interface ListView {
  target: Target
  names: Names<Target>
  method: string
  principal: Principal | undefined
  /** Resource URIs get the target's name only when there are several targets. */
  severalTargets: boolean
  /** The target's own names or URIs that the client has already; new ones are added. */
  seen?: Set<unknown>
  /** The client's own cursor: a page whose next cursor is the same ends the list. */
  cursor?: unknown
  /** Called with each exposed name or URI, in order; not for entries that are left out. */
  onExposed?: (exposed: string) => void
  /** Called with each entry as the target sent it. */
  onEntry?: (entry: JsonObject) => void
}

/** A list in a response message. */
interface FoundList {
  kind: ListKind
  entries: readonly unknown[]
  result: TextSpan
  list: TextSpan
  nextCursor: unknown
}

function findList({ method }: ListView, text: string): FoundList | undefined {
  const kind = listKind(method)
  const message = tryParseJson(text)
  if (kind === undefined || !isObject(message) || !isObject(message['result'])) return undefined
  const given = ownMember(message['result'], kind.member)
  // null is the empty list of some languages; an object is no list, and could hide entries
  const entries = given === null || isObject(given) ? [] : given
  const result = findMember(text, 0, 'result')
  const list = result && findMember(text, result.start, kind.member)
  if (!Array.isArray(entries) || result === undefined || list === undefined) return undefined
  return { kind, entries, result, list, nextCursor: message['result']['nextCursor'] }
}

/**
 * Returns the entries of a response message as this caller may see them, in order: names and URIs are
 * exposed, what the policy hides is left out, as are entries that are not objects, and everything
 * else stays as the target wrote it.
 *
 * @returns None when the message holds no list of this kind.
 */
export function exposeEntries(view: ListView, text: string): string[] {
  const found = findList(view, text)
  if (found === undefined) return []
  const places = elementsAt(text, found.list.start)
  return exposeEach(view, found, text, places).filter((entry) => entry !== undefined)
}

/**
 * Rewrites a response message that holds a list, as {@link exposeEntries} does its entries.
 *
 * @returns `undefined` when it holds none.
 */
export function exposeListMessage(view: ListView, text: string): string | undefined {
  const found = findList(view, text)
  if (found === undefined) return undefined
  const { list, result } = found
  const places = elementsAt(text, list.start)
  const entries = exposeEach(view, found, text, places)
  const isWhole = text[list.start] === '[' && entries.every((entry) => entry !== undefined)
  const kept = entries.filter((entry) => entry !== undefined)
  const parts = isWhole
    ? places.map((place, index) => ({ ...place, text: kept[index] as string }))
    : [{ ...list, text: `[${kept.join(',')}]` }]
  const dependsOnCaller = listDependsOnCaller([view.target], view.method)
  const scope = dependsOnCaller ? findMember(text, result.start, 'cacheScope') : undefined
  if (scope !== undefined) parts.push({ ...scope, text: '"private"' })
  const rewritten = replaceParts(text, parts)
  if (!repeats(view, found)) return rewritten
  const endless = objectText(rewritten, 'result')
  return putMembers(rewritten, { result: withoutMember(endless, 'nextCursor') })
}

function repeats({ cursor }: ListView, { nextCursor }: FoundList): boolean {
  return typeof nextCursor === 'string' && nextCursor === cursor
}

/** Exposes each entry; `undefined` stands for one that is left out. */
function exposeEach(
  view: ListView,
  { kind, entries }: FoundList,
  text: string,
  places: readonly TextSpan[],
): (string | undefined)[] {
  const seen = view.seen ?? new Set()
  return places.map(({ start, end }, index) => {
    const entry = entries[index]
    const own = isObject(entry) ? entry[kind.field] : undefined
    const field = findMember(text, start, kind.field)
    if (!isObject(entry) || typeof own !== 'string' || field === undefined) return undefined
    // model APIs refuse two tools with the same name
    if (seen.has(own)) return undefined
    seen.add(own)
    // hidden tools are named too, so that a call by an alias of theirs is known and refused
    const exposedText = exposeField(view, kind, own)
    const exposed = JSON.stringify(exposedText)
    if (!isVisible(view, own, entry) && !isConnectTool(view, entry)) return undefined
    view.onExposed?.(exposedText)
    view.onEntry?.(entry)
    const views = view.severalTargets ? exposeViews(view.target, text, start) : []
    const parts = [{ ...field, text: exposed }, ...views].map((part) => {
      return { start: part.start - start, end: part.end - start, text: part.text }
    })
    return replaceParts(text.slice(start, end), parts)
  })
}

/** Tells whether different callers get different lists of these targets. */
export function listDependsOnCaller(targets: readonly Target[], method: string): boolean {
  return targets.some((target) => {
    return target.barrier !== undefined || listPolicy(target, method).dependsOnCaller
  })
}

/** The policy of what a method lists. */
export function listPolicy(target: Target, method: string): ToolPolicy {
  if (method === 'tools/list') return target.policy
  return method === 'prompts/list' ? target.promptPolicy : target.resourcePolicy
}

function isVisible(
  { target, method, principal }: ListView,
  name: string,
  entry: JsonObject,
): boolean {
  const isTemplate = method === 'resources/templates/list'
  if (method === 'tools/list') return isListed(judgeListedTool(target, entry, name, principal))
  const decision = isTemplate
    ? target.resourcePolicy.decideTemplate(name, principal)
    : listPolicy(target, method).decide(name, principal)
  return isListed(decision)
}

/** Our tool to connect is known by what it says; the target's own of that name is under its policy. */
function isConnectTool({ target, method, principal }: ListView, entry: JsonObject): boolean {
  const tool = method === 'tools/list' ? target.standIn?.tool : undefined
  if (tool === undefined || entry['name'] !== tool.name) return false
  if (entry['description'] !== tool.description) return false
  return isListed(target.policy.decideOurs(principal))
}

function exposeField(
  { target, names, severalTargets }: ListView,
  kind: ListKind,
  text: string,
): string {
  if (kind.field === 'name') return names.expose(target, text)
  if (!severalTargets) return text
  return kind.field === 'uri' ? exposeUri(target, text) : exposeTemplate(target, text)
}
