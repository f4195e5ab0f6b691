import { BoundedMap } from '../../util/bounded-map.js'
import {
  bareObject,
  copyForeign,
  isObject,
  type JsonObject,
  ownMember,
  setMember,
  stringMember,
} from '../../util/json.js'
import { accessKey, type Request } from '../request.js'
import type { Named } from '../routing/names.js'
import type { Target } from '../target.js'
import type { TargetSession } from './sealed-sessions.js'

/** Capabilities that promise notifications on a stream, which cannot be opened everywhere. */
export const NEEDS_STREAM: ReadonlySet<string> = new Set(['listChanged', 'subscribe'])

const NOTHING: ReadonlySet<string> = new Set()

/** Capabilities are objects of objects; deeper ones are not merged member by member. */
const MAX_DEPTH = 8

/** Characters of one target's instructions: longer ones would crowd out those of the other targets. */
const MAX_INSTRUCTIONS = 100_000

/**
 * Merges capabilities member by member: what one of the targets can do is declared.
 *
 * @param without Members that are left out.
 */
export function mergeCapabilities(parts: readonly unknown[], without = NOTHING): JsonObject {
  const merged: JsonObject = bareObject()
  for (const part of parts) mergeInto(merged, part, without, MAX_DEPTH)
  return merged
}

/** Capabilities whose members are objects in every version; strict clients refuse any other answer. */
const OF_OBJECTS: ReadonlySet<string> = new Set(['experimental', 'extensions', 'tasks'])

/** Tells whether clients can read a member: one bad member would make them refuse all targets. */
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

/** Joins the targets' instructions, each below its target's name; `undefined` when there are none. */
export function joinInstructions(
  parts: readonly { target: Named; result: JsonObject }[],
): string | undefined {
  const texts = parts.flatMap(({ target, result }) => {
    const text = stringMember(result, 'instructions')?.slice(0, MAX_INSTRUCTIONS)
    return text ? [`## ${target.name}\n${text}`] : []
  })
  return texts.length > 0 ? texts.join('\n\n') : undefined
}

/** The capability that a target must declare before a method is sent to it. */
const CAPABILITY_OF: ReadonlyMap<string, string> = new Map([
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resources'],
  ['logging/setLevel', 'logging'],
])

const CAPABILITIES = [...new Set(CAPABILITY_OF.values())]

const MAX_KEPT = 10_000

/**
 * Returns the capabilities that a target does not declare in its answer to `initialize` or
 * `server/discover`.
 *
 * @returns None when it declares no capabilities at all.
 */
export function undeclared({ capabilities }: JsonObject): string[] {
  if (!isObject(capabilities)) return []
  return CAPABILITIES.filter((name) => !ownMember(capabilities, name))
}

/**
 * Remembers which capabilities targets do not declare, so that they are not sent such requests, which
 * many servers answer with odd errors. Sessions carry this themselves; this is for callers without one.
 */
export function createDeclared() {
  const lacking = new BoundedMap<string, readonly string[]>(MAX_KEPT)

  return {
    learn(request: Request, target: Target, result: JsonObject): void {
      lacking.set(accessKey(request, target), undeclared(result))
    },

    /** Tells whether a target did not declare the capability that a method needs. */
    lacks(
      request: Request,
      target: Target,
      method: string,
      session: TargetSession | undefined,
    ): boolean {
      const capability = CAPABILITY_OF.get(method)
      if (capability === undefined) return false
      const lacked = session?.lacks ?? lacking.get(accessKey(request, target)) ?? []
      return lacked.includes(capability)
    },
  }
}

export type Declared = ReturnType<typeof createDeclared>
