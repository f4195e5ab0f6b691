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

/** What a target declares before it is asked for it. */
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
 * Reads what a target does not declare, from its answer to `initialize` or `server/discover`.
 *
 * @returns None where it says nothing of its capabilities at all.
 */
export function undeclared({ capabilities }: JsonObject): string[] {
  if (!isObject(capabilities)) return []
  return CAPABILITIES.filter((name) => !ownMember(capabilities, name))
}

/**
 * Knows what targets do not declare, so that they are not asked for it: servers answer what they do
 * not have with whatever comes to them. A session carries it; this is for who has none.
 */
export function createDeclared() {
  const lacking = new BoundedMap<string, readonly string[]>(MAX_KEPT)

  return {
    learn(request: Request, target: Target, result: JsonObject): void {
      lacking.set(accessKey(request, target), undeclared(result))
    },

    /** Tells whether a target said that it has nothing to answer a method with. */
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
