import { findMember, replaceParts, skipSpace } from '../mcp/scan.js'
import { isObject, tryParseJson } from '../util/json.js'
import type { Named } from './names.js'
import { exposeResourceLinks } from './resource-links.js'

/** Stands in no target's name. */
const SEPARATOR = '.'
/** Of 2026-07-28 and of 2025-11-25. */
const STATUS: ReadonlySet<unknown> = new Set(['notifications/tasks', 'notifications/tasks/status'])

/**
 * Task ids when several targets share one server: a task is asked for at the target that has it, so
 * its id begins with the target's name. With one target ids stay as they are.
 *
 * @see [SEP-2663, tasks](https://modelcontextprotocol.io/seps/2663-tasks-extension)
 */
export function exposeTaskId(target: Named, id: string): string {
  return target.name + SEPARATOR + id
}

/** Finds the target and its own task id behind an exposed one. */
export function routeTaskId<T extends Named>(
  targets: readonly T[],
  exposed: string,
): { target: T; id: string } | undefined {
  const at = exposed.indexOf(SEPARATOR)
  const target = targets.find(({ name }) => name === exposed.slice(0, at))
  return target && { target, id: exposed.slice(at + 1) }
}

/**
 * Exposes the task that a message of one of several targets tells of, in a result or a notification
 * about its status, with the resource URIs of the result that it holds. Returns the same text when
 * there is none.
 */
export function exposeTask(target: Named, text: string): string {
  if (!text.includes('"taskId"')) return text
  const message = tryParseJson(text)
  if (!isObject(message)) return text
  const start = skipSpace(text, 0)
  const holder = STATUS.has(message['method']) ? 'params' : 'result'
  const task = findMember(text, start, holder, 'task') ?? findMember(text, start, holder)
  const id = task && findMember(text, task.start, 'taskId')
  if (task === undefined || id === undefined || text[id.start] !== '"') return text
  const own = JSON.parse(text.slice(id.start, id.end))
  const parts = [{ ...id, text: JSON.stringify(exposeTaskId(target, own)) }]
  const result = findMember(text, task.start, 'result')
  if (result !== undefined) {
    parts.push({ ...result, text: exposeResult(target, text.slice(result.start, result.end)) })
  }
  return replaceParts(
    text,
    parts.sort((a, b) => a.start - b.start),
  )
}

const HEAD = '{"result":'

function exposeResult(target: Named, result: string): string {
  return exposeResourceLinks(target, `${HEAD}${result}}`).slice(HEAD.length, -1)
}
