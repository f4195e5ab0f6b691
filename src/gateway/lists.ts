import type { Principal } from '../auth/principal.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { Names } from './names.js'
import type { Target } from './target.js'
import { exposeUri } from './uris.js'

/** A list method: the result's member that holds the entries, and how each entry is exposed. */
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

/** Looks a method up by its own name: `constructor` and the like are no lists. */
export function listKind(method: string): ListKind | undefined {
  return Object.hasOwn(LIST_KINDS, method) ? LIST_KINDS[method] : undefined
}

export interface ListView {
  target: Target
  names: Names<Target>
  method: string
  principal: Principal | undefined
  /** Resource URIs get the target's name only when there are several targets. */
  severalTargets: boolean
  /** Sees each entry as the target sent it. */
  onEntry?: (entry: JsonObject) => void
}

/** Tells whether entries of a method's lists may have to change on their way to the client. */
export function changesList({
  method,
  severalTargets,
}: Pick<ListView, 'method' | 'severalTargets'>) {
  const kind = listKind(method)
  return kind !== undefined && (kind.field === 'name' || severalTargets)
}

/**
 * Returns a list result as this caller may see it: names and URIs exposed, tools that the policy
 * hides left out, order and unknown members kept. Entries that are no objects are dropped.
 */
export function exposeList(view: ListView, result: JsonObject): JsonObject {
  const kind = listKind(view.method)
  const entries = kind === undefined ? undefined : result[kind.member]
  if (kind === undefined || !Array.isArray(entries)) return result
  const exposed: JsonObject[] = []
  for (const entry of entries) {
    const text = isObject(entry) ? entry[kind.field] : undefined
    if (typeof text !== 'string') continue
    // a hidden tool has a name too, so that a call by its alias is refused and not passed on
    const field = exposeField(view, kind, text)
    if (!isVisible(view, text)) continue
    view.onEntry?.(entry)
    exposed.push({ ...entry, [kind.field]: field })
  }
  const list: JsonObject = { ...result, [kind.member]: exposed }
  if (view.method === 'tools/list' && view.target.policy.dependsOnCaller && 'cacheScope' in list) {
    list['cacheScope'] = 'private'
  }
  return list
}

function isVisible({ target, method, principal }: ListView, name: string): boolean {
  if (method !== 'tools/list') return true
  const decision = target.policy.decide(name, principal)
  return decision.allowed || !(decision.hidden || decision.unlisted)
}

function exposeField(
  { target, names, severalTargets }: ListView,
  kind: ListKind,
  text: string,
): string {
  if (kind.field === 'name') return names.expose(target, text)
  return severalTargets ? exposeUri(target, text) : text
}

/** Rewrites a response message that holds a list; `undefined` when it holds none. */
export function exposeListMessage(view: ListView, text: string): string | undefined {
  const message = tryParseJson(text)
  if (!isObject(message) || !isObject(message['result'])) return undefined
  return JSON.stringify({ ...message, result: exposeList(view, message['result']) })
}
