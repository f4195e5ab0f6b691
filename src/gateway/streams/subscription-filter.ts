import type { Principal } from '../../auth/principal.js'
import { objectText, putMembers } from '../../mcp/json-text.js'
import { type RequestId, resultResponse } from '../../mcp/jsonrpc.js'
import { META } from '../../mcp/meta.js'
import { writeEvent } from '../../mcp/sse.js'
import {
  bareObject,
  type JsonObject,
  ownMember,
  setMember,
  stringsMember,
} from '../../util/json.js'
import { foldName } from '../../util/text.js'
import { audible, SUBSCRIBED_URIS } from '../routing/judge.js'
import type { Named } from '../routing/names.js'
import { exposeUri, routeUri } from '../routing/resource-uris.js'
import type { Target } from '../target.js'

/** The first notification on the stream: it says what the client will be told of. */
export const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged'

/** Members of a filter whose entries belong to one target each; all others concern every target. */
const URIS = SUBSCRIBED_URIS

const TASKS = 'taskIds'

const FOLDED: ReadonlySet<string> = new Set([URIS, TASKS].map(foldName))

/** The notification of a change, by the filter's member that requests it. */
const CHANGES: Readonly<Record<string, string>> = {
  toolsListChanged: 'notifications/tools/list_changed',
  promptsListChanged: 'notifications/prompts/list_changed',
  resourcesListChanged: 'notifications/resources/list_changed',
}

/**
 * Splits a client's filter into one for each target, in the target's own names. Targets that are not
 * concerned are left out, and so are entries that belong to no target.
 *
 * @param routeTask Finds the target of a client's task, and the target's own id of it.
 * @see [MCP 2026-07-28, subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions#notification-filter)
 */
export function splitFilter<T extends Named>(
  targets: readonly T[],
  wanted: JsonObject,
  routeTask: (id: string) => { target: T; own: string } | undefined,
): Map<T, JsonObject> {
  // what a lenient target may read as these is no other target's either
  const shared = Object.entries(wanted).filter(([member]) => !FOLDED.has(foldName(member)))
  const filters = new Map(
    targets.map((target) => [target, Object.fromEntries(shared) as JsonObject]),
  )
  const add = (target: T, member: typeof URIS | typeof TASKS, value: string) => {
    const filter = filters.get(target) as JsonObject
    filter[member] = [...stringsMember(filter, member), value]
  }
  for (const uri of stringsMember(wanted, URIS)) {
    const found = routeUri(targets, uri)
    if (found !== undefined) add(found.target, URIS, found.uri)
  }
  for (const id of stringsMember(wanted, TASKS)) {
    const found = routeTask(id)
    if (found !== undefined) add(found.target, TASKS, found.own)
  }
  return new Map([...filters].filter(([, filter]) => !isEmptyFilter(filter)))
}

/** Leaves out what the caller may not hear of, and targets of which nothing is left. */
export function audibleFilters(
  filters: ReadonlyMap<Target, JsonObject>,
  principal: Principal | undefined,
): Map<Target, JsonObject> {
  const heard = [...filters].map(([target, filter]) => {
    return [target, audible(target, filter, principal)] as const
  })
  return new Map(heard.filter(([, filter]) => !isEmptyFilter(filter)))
}

/** Tells whether a filter requests nothing. */
export function isEmptyFilter(filter: JsonObject): boolean {
  return Object.values(filter).every(
    (value) => value === false || value === undefined || (Array.isArray(value) && !value.length),
  )
}

/** Merges what the targets accepted, in the client's names. */
export function mergeFilters<T extends Named>(
  accepted: readonly (readonly [T, JsonObject])[],
  exposeTask: (target: T, own: string) => string,
): JsonObject {
  const merged: JsonObject = bareObject()
  for (const [target, filter] of accepted) {
    for (const [member, value] of Object.entries(filter)) {
      if (member === URIS || member === TASKS) {
        const expose = member === URIS ? exposeUri : exposeTask
        const exposed = stringsMember(filter, member).map((own) => expose(target, own))
        setMember(merged, member, [...stringsMember(merged, member), ...exposed])
      } else if (value !== false) setMember(merged, member, value)
    }
  }
  return merged
}

/** Makes the notifications for everything in a filter, as the target would after changes. */
export function missedChanges(filter: JsonObject): string[] {
  const lists = Object.entries(CHANGES).filter(([member]) => ownMember(filter, member) === true)
  const changes = [
    ...lists.map(([, method]) => ({ jsonrpc: '2.0', method, params: {} })),
    ...stringsMember(filter, URIS).map((uri) => {
      return { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } }
    }),
  ]
  return changes.map((change) => JSON.stringify(change))
}

/** Tags a message with the id that the client knows the subscription by; all else stays as written. */
export function tagged(message: string, id: RequestId): string {
  const params = objectText(message, 'params')
  const meta = putMembers(objectText(params, '_meta'), {
    [META.subscriptionId]: JSON.stringify(id),
  })
  return putMembers(message, { params: putMembers(params, { _meta: meta }) })
}

/** Writes the event that ends a subscription in order. */
export function endOfSubscription(id: RequestId): string {
  const result = { resultType: 'complete', _meta: { [META.subscriptionId]: id } }
  return writeEvent(resultResponse(id, result))
}

/** Replaces members that are neither simple values nor lists of names with what was requested. */
export function plain(accepted: JsonObject, requested: JsonObject): JsonObject {
  const isName = (value: unknown) => typeof value === 'string'
  const isPlain = (value: unknown) =>
    Array.isArray(value) ? value.every(isName) : typeof value !== 'object'
  return Object.fromEntries(
    Object.entries(accepted).map(([name, value]) => [
      name,
      isPlain(value) ? value : ownMember(requested, name),
    ]),
  )
}
