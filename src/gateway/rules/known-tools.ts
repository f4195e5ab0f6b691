import type { TargetCredential } from '../../auth/credentials/credential.js'
import { callerId, type Principal } from '../../auth/principal.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { type JsonObject, ownMember } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import type { ToolFacts } from './expression.js'

/** How many callers' tools are known at once; those of others are listed again. */
const MAX_CALLERS = 2_000

const MAX_TOOLS = 20_000

/** How long a list is taken to be as it was, milliseconds. */
const FRESH_MS = 60_000

/** How long a name that no list has is not looked for again, milliseconds. */
const PAUSE_MS = 5_000

/** Whose list it is depends on how the target knows its callers. */
interface Listing {
  readonly credential: TargetCredential
}

/** Makes what rules see of a tool. */
export type MakeTool = (name: string, annotations: unknown) => ToolFacts

interface Known {
  tools: Map<string, ToolFacts>
  /** When the whole list was requested, milliseconds since the epoch. */
  listedAt: number
  listing: Promise<TargetFailure | undefined> | undefined
}

/**
 * The tools of a target as it lists them, where a call has to be decided on by more than its name. A
 * caller that the target can tell apart has tools of its own.
 */
export interface KnownTools {
  /** Returns a tool by the target's own name, exactly as the target writes it. */
  find(target: Listing, name: string, principal: Principal | undefined): ToolFacts | undefined
  /** Takes an entry of a list, and returns what it is to rules. */
  learn(target: Listing, entry: JsonObject, principal: Principal | undefined): ToolFacts
  /**
   * Makes sure that a tool is known, by listing the target's tools where that is needed.
   *
   * @returns `undefined` when there is nothing to wait for.
   */
  ensure(
    target: Listing,
    name: string,
    principal: Principal | undefined,
    list: () => Promise<TargetFailure | undefined>,
  ): Promise<TargetFailure | undefined> | undefined
  /** The same for another endpoint, which shares nothing with this one. */
  anew(): KnownTools
}

export function createKnownTools(make: MakeTool, clock: Pick<Clock, 'now'>): KnownTools {
  const callers = new BoundedMap<string, Known>(MAX_CALLERS)
  /** The same tool is the same object for all, so that rules are evaluated for it once. */
  const made = new BoundedMap<string, ToolFacts>(MAX_TOOLS)

  function knownTo({ credential }: Listing, principal: Principal | undefined): Known {
    const differs = credential.perCaller || credential.tellsCaller
    const key = differs ? callerId(principal) : ''
    let known = callers.get(key)
    if (known === undefined) {
      known = { tools: new Map(), listedAt: Number.NEGATIVE_INFINITY, listing: undefined }
      callers.set(key, known)
    }
    return known
  }

  function makeTool(name: string, annotations: unknown): ToolFacts {
    const key = JSON.stringify([name, annotations])
    let tool = made.get(key)
    if (tool === undefined) {
      tool = make(name, annotations)
      made.set(key, tool)
    }
    return tool
  }

  function refresh(known: Known, list: () => Promise<TargetFailure | undefined>) {
    known.listedAt = clock.now()
    known.listing = list().finally(() => {
      known.listing = undefined
    })
    return known.listing
  }

  return {
    find: (target, name, principal) => knownTo(target, principal).tools.get(name),
    learn(target, entry, principal) {
      const { tools } = knownTo(target, principal)
      const name = String(entry['name'])
      const tool = makeTool(name, ownMember(entry, 'annotations'))
      if (tools.size < MAX_TOOLS || tools.has(name)) tools.set(name, tool)
      return tool
    },
    ensure(target, name, principal, list) {
      const known = knownTo(target, principal)
      const age = clock.now() - known.listedAt
      if (known.tools.has(name)) {
        // the list is refreshed beside the call, which does not wait
        if (age >= FRESH_MS && known.listing === undefined)
          refresh(known, list).catch(() => undefined)
        return undefined
      }
      // what failed for somebody else, maybe by what their request says, is no answer to this caller
      if (known.listing !== undefined) return known.listing.then((failure) => failure && list())
      if (age < PAUSE_MS) return undefined
      return refresh(known, list).then((failure) => {
        if (failure !== undefined) known.listedAt = Number.NEGATIVE_INFINITY
        return failure
      })
    },
    anew: () => createKnownTools(make, clock),
  }
}
