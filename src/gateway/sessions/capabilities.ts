import {
  bareObject,
  copyForeign,
  isObject,
  type JsonObject,
  ownMember,
  setMember,
  stringMember,
} from '../../util/json.js'
import type { Named } from '../routing/names.js'

/** They promise notifications on a stream, which not every front door offers. */
export const NEEDS_STREAM: ReadonlySet<string> = new Set(['listChanged', 'subscribe'])

const NOTHING: ReadonlySet<string> = new Set()

/** Capabilities are objects of objects; deeper ones are not merged member by member. */
const MAX_DEPTH = 8

/** Longer ones would crowd out those of all other targets, in clients and in models. */
const MAX_INSTRUCTIONS = 100_000

/**
 * Merges capabilities member by member: what one target can do, the whole can do.
 *
 * @param without Members that are left out.
 */
export function mergeCapabilities(parts: readonly unknown[], without = NOTHING): JsonObject {
  const merged: JsonObject = bareObject()
  for (const part of parts) mergeInto(merged, part, without, MAX_DEPTH)
  return merged
}

/** Their members are objects in every version; strict clients refuse the whole answer otherwise. */
const OF_OBJECTS: ReadonlySet<string> = new Set(['experimental', 'extensions', 'tasks'])

/** Leaves out what no client can read, so that one target spoils `initialize` for nobody. */
function isReadable(name: string, value: unknown, parent: string | undefined): boolean {
  if (NEEDS_STREAM.has(name)) return typeof value === 'boolean'
  if (parent === undefined || OF_OBJECTS.has(parent)) return isObject(value)
  return true
}

function mergeInto(
  into: JsonObject,
  from: unknown,
  without: ReadonlySet<string>,
  depth: number,
  parent?: string,
): void {
  if (!isObject(from) || depth <= 0) return
  for (const [name, value] of Object.entries(from)) {
    if (without.has(name) || !isReadable(name, value, parent)) continue
    const known = ownMember(into, name)
    if (!isObject(value)) setMember(into, name, known || copyForeign(value))
    else {
      const merged = isObject(known) ? known : bareObject()
      mergeInto(merged, value, without, depth - 1, name)
      setMember(into, name, merged)
    }
  }
}

/** Joins what targets say to models, each under its name; `undefined` when none says anything. */
export function joinInstructions(
  parts: readonly { target: Named; result: JsonObject }[],
): string | undefined {
  const texts = parts.flatMap(({ target, result }) => {
    const text = stringMember(result, 'instructions')?.slice(0, MAX_INSTRUCTIONS)
    return text ? [`## ${target.name}\n${text}`] : []
  })
  return texts.length > 0 ? texts.join('\n\n') : undefined
}
