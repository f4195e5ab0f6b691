import type { Principal } from '../auth/principal.js'
import { type Message, parseMessageText } from '../mcp/message.js'
import { findMember, type Member, replaceParts, scanElements, skipSpace } from '../mcp/scan.js'
import { isObject, tryParseJson } from '../util/json.js'
import type { Handles, HandleTarget } from './handles.js'
import { exposeResourceLinks } from './resource-links.js'

/** Without one of these in its text, a message holds no handle: a name may be written in escapes. */
export const HANDLE_MARKS = ['"taskId', '"requestState"', '\\u00']
/** Of 2026-07-28 and of 2025-11-25. */
const STATUS: ReadonlySet<unknown> = new Set(['notifications/tasks', 'notifications/tasks/status'])
/** @see [MCP 2025-11-25, tasks](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks#related-task-metadata) */
const RELATED = 'io.modelcontextprotocol/related-task'

type Place = Pick<Member, 'start' | 'end'>
type Part = Place & { text: string }

/** Whose message it is. */
export interface Parties {
  handles: Handles
  target: HandleTarget
  principal: Principal | undefined
}

/**
 * Exposes the handles in a target's message: the task that a result or a notification tells of, the
 * one that it belongs to, those that a subscription is about, and the state of a request that waits
 * for input. With several targets the resource URIs of a task's result, too. Returns the same text
 * when there is none.
 */
export function exposeHandles({ handles, target, principal }: Parties, text: string): string {
  if (!HANDLE_MARKS.some((mark) => text.includes(mark))) return text
  const message = tryParseJson(text)
  if (!isObject(message)) return text
  const start = skipSpace(text, 0)
  const parts: Part[] = []
  const replace = (place: Place | undefined, expose: (own: string) => string) => {
    const own = readString(text, place)
    if (place !== undefined && own !== undefined) {
      parts.push({ ...place, text: JSON.stringify(expose(own)) })
    }
  }
  const exposeTask = (own: string) => handles.exposeTask(target, own, principal)
  const params = findMember(text, start, 'params')
  const result = findMember(text, start, 'result')
  const teller = STATUS.has(message['method']) ? params : result
  if (teller !== undefined && text[teller.start] === '{') {
    const task = findMember(text, teller.start, 'task') ?? teller
    const id = findMember(text, task.start, 'taskId')
    replace(id, exposeTask)
    const own = id && findMember(text, task.start, 'result')
    if (own !== undefined) {
      parts.push({ ...own, text: exposeResult(handles, target, text.slice(own.start, own.end)) })
    }
  }
  for (const holder of [params, result]) {
    if (holder !== undefined) replace(relatedTask(text, holder), exposeTask)
  }
  for (const id of subscribedTasks(text, params)) replace(id, exposeTask)
  replace(result && findMember(text, result.start, 'requestState'), (own) =>
    handles.exposeState(target, own, principal),
  )
  return replaceParts(text, inOrder(parts))
}

const HEAD = '{"result":'

function exposeResult(handles: Handles, target: HandleTarget, result: string): string {
  if (!handles.isOneOfSeveral) return result
  return exposeResourceLinks(target, `${HEAD}${result}}`).slice(HEAD.length, -1)
}

/**
 * Puts the targets' own task ids into what a client's message says besides what it asks for: the
 * task that it belongs to, and those that it subscribes to at a single target. Those that the caller
 * does not have are left out.
 */
export function withOwnTasks(
  handles: Handles,
  message: Message,
  principal: Principal | undefined,
): Message {
  const { text } = message
  if (!mayNameTasks(message) || handles.keepsAll(principal)) return message
  const start = skipSpace(text, 0)
  const parts: Part[] = []
  for (const name of ['params', 'result']) {
    const holder = findMember(text, start, name)
    const place = holder && relatedTask(text, holder)
    const own = handles.routeTask(readString(text, place) ?? '', principal)?.own
    if (place !== undefined && own !== undefined) {
      parts.push({ ...place, text: JSON.stringify(own) })
    }
  }
  const ids = findMember(text, start, 'params', 'notifications', 'taskIds')
  if (ids !== undefined && !handles.isOneOfSeveral) {
    const own = scanElements(text, ids.start).flatMap((place) => {
      return handles.routeTask(readString(text, place) ?? '', principal)?.own ?? []
    })
    parts.push({ ...ids, text: JSON.stringify(own) })
  }
  return parts.length === 0 ? message : parseMessageText(replaceParts(text, inOrder(parts)))
}

/** Every message is asked this, so that it looks at no more of one than it must. */
function mayNameTasks({ kind, method, params, text }: Message): boolean {
  if (kind === 'response') return text.includes(RELATED)
  const meta = params['_meta']
  return method === 'subscriptions/listen' || (isObject(meta) && RELATED in meta)
}

function relatedTask(text: string, { start }: Place): Place | undefined {
  return findMember(text, start, '_meta', RELATED, 'taskId')
}

function subscribedTasks(text: string, params: Place | undefined): Place[] {
  const ids = params && findMember(text, params.start, 'notifications', 'taskIds')
  return ids === undefined ? [] : scanElements(text, ids.start)
}

function readString(text: string, place: Place | undefined): string | undefined {
  if (place === undefined || text[place.start] !== '"') return undefined
  return JSON.parse(text.slice(place.start, place.end))
}

function inOrder(parts: readonly Part[]): Part[] {
  return [...parts].sort((a, b) => a.start - b.start)
}
