import { isObject, type JsonObject, ownMember } from '../../util/json.js'
import { accessKey, type Request } from '../request.js'
import type { Target } from '../target.js'
import type { TargetSession } from './sealed-sessions.js'

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
  const lacking = new Map<string, readonly string[]>()

  return {
    learn(request: Request, target: Target, result: JsonObject): void {
      const key = accessKey(request, target)
      lacking.delete(key)
      const [oldest] = lacking.keys()
      if (lacking.size >= MAX_KEPT && oldest !== undefined) lacking.delete(oldest)
      lacking.set(key, undeclared(result))
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
