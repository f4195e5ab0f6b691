import { findMember, memberTexts, replaceParts, skipSpace } from '../../mcp/json-text.js'
import { ERROR_CODES, errorResponse, type RequestId } from '../../mcp/jsonrpc.js'
import { META } from '../../mcp/meta.js'
import { isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Clock } from '../../util/runtime.js'
import type { Named } from '../routing/names.js'
import { BOUND_ID_MEMBERS, WHY_WITHHELD } from './bound-ids.js'

/** One line a minute for each target; the next one says how many were left out. */
const PAUSE_MS = 60_000

/** Logs that something of a target was left out, and why. */
export type Withhold = (target: Named, what: string) => void

/** Creates the function that logs what targets may not send, at a limited rate. */
export function createWithhold(logger: Pick<Logger, 'warn'>, clock: Pick<Clock, 'now'>): Withhold {
  const told = new Map<string, { at: number; untold: number }>()

  return ({ name }, what) => {
    const now = clock.now()
    const last = told.get(name)
    if (last !== undefined && now - last.at < PAUSE_MS) {
      last.untold += 1
      return
    }
    const untold = last?.untold ?? 0
    told.set(name, { at: now, untold: 0 })
    const more = untold > 0 ? ` (and ${untold} more since the last such line)` : ''
    logger.warn('withheld', `Target "${name}" sent ${what}: left out${more}`, { target: name })
  }
}

const TASKS = 'io.modelcontextprotocol/tasks'

/** Takes tasks out of the capabilities that a target declares. */
export function withoutTasks(result: JsonObject): JsonObject {
  const capabilities = ownMember(result, 'capabilities')
  if (!isObject(capabilities)) return result
  const { tasks: _tasks, extensions, ...kept } = capabilities
  if (!isObject(extensions)) return { ...result, capabilities: kept }
  const others = Object.fromEntries(Object.entries(extensions).filter(([name]) => name !== TASKS))
  return { ...result, capabilities: { ...kept, extensions: others } }
}

/** Takes tasks out of what a client of 2026-07-28 says that it can do, in the text of its request. */
export function withoutTaskCapability(text: string): string {
  const path = ['params', '_meta', META.clientCapabilities, 'extensions']
  const place = findMember(text, skipSpace(text, 0), ...path)
  if (place === undefined || findMember(text, place.start, TASKS) === undefined) return text
  const kept = memberTexts(text.slice(place.start, place.end))
    .filter(([name]) => name !== TASKS)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  return replaceParts(text, [{ ...place, text: `{${kept.join(',')}}` }])
}

/**
 * Replaces an answer that issues a task, or the state of a call that waits for input, with an error.
 *
 * @returns `undefined` when the answer holds neither.
 */
export function refuseIssuedIds(bytes: Buffer): Buffer | undefined {
  if (!BOUND_ID_MEMBERS.some((mark) => bytes.includes(mark))) return undefined
  const message = tryParseJson(bytes.toString('utf8'))
  const result = isObject(message) ? ownMember(message, 'result') : undefined
  if (!isObject(message) || !isObject(result)) return undefined
  const hasTask = [result, ownMember(result, 'task')].some(
    (part) => isObject(part) && Object.hasOwn(part, 'taskId'),
  )
  if (!hasTask && ownMember(result, 'requestState') === undefined) return undefined
  const text = `Tasks and calls that wait for input are not given out here: ${WHY_WITHHELD}`
  const error = { code: ERROR_CODES.internalError, message: text }
  return Buffer.from(errorResponse(message['id'] as RequestId, error))
}
