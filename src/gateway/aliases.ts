import { ownerOf } from '../auth/owner.js'
import { learnNames } from './ask.js'
import type { GatewayContext, Request } from './context.js'

/** How long a caller's lists are not read again for one more name that nobody gave out. */
const PAUSE_MS = 5_000
const MAX_CALLERS = 10_000

/** A reading of one caller's lists, under way or done. */
interface Reading {
  done: Promise<ReadonlySet<unknown>>
  /** Milliseconds since the epoch. */
  startedAt: number
}

/**
 * Creates the function that gets to know an alias which another process gave out. All names that a
 * caller makes up lead to one reading of the lists in a while.
 *
 * @returns A promise that resolves when the lists were read; `undefined` when there is nothing to
 *   learn.
 */
export function createAliasLearner(context: GatewayContext) {
  const { names, clock } = context
  const readings = new Map<string, Reading>()
  const running = new Map<string, Promise<void>>()

  function read(request: Request): Reading['done'] {
    const owner = ownerOf(request.exchange.caller.principal)
    const now = clock.now()
    const known = readings.get(owner)
    if (known !== undefined && now - known.startedAt < PAUSE_MS) return known.done
    readings.delete(owner)
    const [oldest] = readings.keys()
    if (readings.size >= MAX_CALLERS && oldest !== undefined) readings.delete(oldest)
    const done = learnNames(context, request)
    readings.set(owner, { done, startedAt: now })
    return done
  }

  async function learn(name: string, request: Request): Promise<void> {
    const unread = await read(request)
    const target = names.route(name)?.target
    if (target === undefined || !unread.has(target)) return
    readings.delete(ownerOf(request.exchange.caller.principal))
    names.lookAgain(name)
  }

  return (name: string, request: Request): Promise<void> | undefined => {
    const known = running.get(name)
    if (known !== undefined || !names.isUnknownAlias(name)) return known
    const learning = learn(name, request).finally(() => running.delete(name))
    running.set(name, learning)
    return learning
  }
}
