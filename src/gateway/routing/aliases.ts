import { callerId } from '../../auth/principal.js'
import { BoundedMap } from '../../util/bounded-map.js'
import type { GatewayContext } from '../context.js'
import { learnNames } from '../lists/target-lists.js'
import type { Request } from '../request.js'

/** How long a caller's lists are not read again, whatever unknown names the caller sends. */
const PAUSE_MS = 5_000

const MAX_CALLERS = 10_000

/** How long a name that was in none of a caller's lists is not looked for again. */
const UNKNOWN_MS = 60_000

const MAX_UNKNOWN = 20_000

/** A reading of one caller's lists, under way or done. */
interface Reading {
  done: Promise<ReadonlySet<unknown>>
  /** Milliseconds since the epoch. */
  startedAt: number
}

/**
 * Creates the function that learns an alias which another process gave out, by reading the lists. Names
 * that a caller makes up cause at most one reading in a while. Lists are read for each caller, so that
 * what one of them cannot see stays findable for others.
 *
 * @returns A function that takes an unknown alias, and returns a promise that resolves when the lists
 *   were read; `undefined` when there is nothing to learn.
 */
export function createAliasLearner(context: GatewayContext) {
  const { names, clock } = context
  const readings = new BoundedMap<string, Reading>(MAX_CALLERS)
  const running = new Map<string, Promise<void>>()
  /** Until when names, per caller, are taken to be in none of the lists. */
  const unknown = new BoundedMap<string, number>(MAX_UNKNOWN)

  function read(request: Request): Reading['done'] {
    const owner = callerId(request.exchange.caller.principal)
    const now = clock.now()
    const known = readings.get(owner)
    if (known !== undefined && now - known.startedAt < PAUSE_MS) return known.done
    const done = learnNames(context, request)
    readings.set(owner, { done, startedAt: now })
    return done
  }

  async function learn(name: string, key: string, request: Request): Promise<void> {
    const unread = await read(request)
    if (!names.isUnknownAlias(name)) return
    const target = names.route(name)?.target
    if (target !== undefined && unread.has(target)) {
      readings.delete(callerId(request.exchange.caller.principal))
      return
    }
    unknown.set(key, clock.now() + UNKNOWN_MS)
  }

  return (name: string, request: Request): Promise<void> | undefined => {
    const key = `${callerId(request.exchange.caller.principal)} ${name}`
    const known = running.get(key)
    if (known !== undefined) return known
    if ((unknown.get(key) ?? 0) > clock.now()) return undefined
    const learning = learn(name, key, request).finally(() => running.delete(key))
    running.set(key, learning)
    return learning
  }
}
