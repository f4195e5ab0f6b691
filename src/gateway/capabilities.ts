import { isObject, type JsonObject, stringMember } from '../util/json.js'
import type { Named } from './names.js'

/** They promise notifications on a stream, which not every front door offers. */
export const NEEDS_STREAM: ReadonlySet<string> = new Set(['listChanged', 'subscribe'])
const NOTHING: ReadonlySet<string> = new Set()

/**
 * Adds capabilities member by member: what one target can do, the whole can do.
 *
 * @param without Members that are left out.
 */
export function mergeCapabilities(into: JsonObject, from: unknown, without = NOTHING): void {
  if (!isObject(from)) return
  for (const [name, value] of Object.entries(from)) {
    if (without.has(name)) continue
    if (!isObject(value)) into[name] ||= value
    else {
      const known = into[name]
      const merged = isObject(known) ? known : {}
      mergeCapabilities(merged, value, without)
      into[name] = merged
    }
  }
}

/** Joins what targets say to models, each under its name; `undefined` when none says anything. */
export function joinInstructions(
  parts: readonly { target: Named; result: JsonObject }[],
): string | undefined {
  const texts = parts.flatMap(({ target, result }) => {
    const text = stringMember(result, 'instructions')
    return text ? [`## ${target.name}\n${text}`] : []
  })
  return texts.length > 0 ? texts.join('\n\n') : undefined
}
