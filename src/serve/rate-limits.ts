import { type LimitKeys, limitKeys, type Principal } from '../auth/principal.js'
import type { ProxyConfig } from '../config/types.js'
import { BoundedMap } from '../util/bounded-map.js'
import type { Clock } from '../util/runtime.js'
import { type Counted, type Excess, tooManyRequests, WINDOW_MS } from './excess.js'

/** Of each limit. */
const MAX_WINDOWS = 10_000

export type RateLimitsConfig = Pick<
  ProxyConfig['limits'],
  'requestsPerMinute' | 'requestsPerMinutePerCaller' | 'requestsPerMinutePerClient'
>

/** A limit of requests per minute. */
interface RateLimit {
  readonly of: Counted
  readonly perMinute: number
}

const NONE: readonly RateLimit[] = []

/** Returns the limits that are set. */
export function rateLimitsOf(limits: RateLimitsConfig): readonly RateLimit[] {
  const { requestsPerMinute, requestsPerMinutePerCaller, requestsPerMinutePerClient } = limits
  if (requestsPerMinute + requestsPerMinutePerCaller + requestsPerMinutePerClient === 0) return NONE
  const set: RateLimit[] = []
  if (requestsPerMinute > 0) set.push({ of: 'both', perMinute: requestsPerMinute })
  if (requestsPerMinutePerCaller > 0) {
    set.push({ of: 'caller', perMinute: requestsPerMinutePerCaller })
  }
  if (requestsPerMinutePerClient > 0) {
    set.push({ of: 'client', perMinute: requestsPerMinutePerClient })
  }
  return set
}

interface Window {
  startedAt: number
  count: number
}

/** Counts requests in this process. A minute begins with the first request after the one before. */
export interface RateWindows {
  /** Counts one request, unless a limit is reached: then it counts nowhere. */
  count(principal: Principal | undefined): Excess | undefined
  /** Counts one that was let through elsewhere. */
  note(keys: LimitKeys): void
}

/** @param limits 0 means no limit. They may change while they are in use. */
export function createRateWindows(
  limits: RateLimitsConfig,
  clock: Pick<Clock, 'now'>,
): RateWindows {
  const all = {
    both: new BoundedMap<string, Window>(MAX_WINDOWS),
    caller: new BoundedMap<string, Window>(MAX_WINDOWS),
    client: new BoundedMap<string, Window>(MAX_WINDOWS),
  }

  function add(set: readonly RateLimit[], keys: LimitKeys, now: number): void {
    for (const { of } of set) {
      const window = all[of].get(keys[of])
      if (window !== undefined && isOpen(window, now)) window.count++
      else all[of].set(keys[of], { startedAt: now, count: 1 })
    }
  }

  return {
    count(principal) {
      const set = rateLimitsOf(limits)
      if (set.length === 0) return undefined
      const keys = limitKeys(principal)
      const now = clock.now()
      let longest = 0
      let reached: RateLimit | undefined
      for (const limit of set) {
        const window = all[limit.of].get(keys[limit.of])
        if (window === undefined || !isOpen(window, now)) continue
        const left = window.startedAt + WINDOW_MS - now
        if (window.count < limit.perMinute || left <= longest) continue
        longest = left
        reached = limit
      }
      if (reached !== undefined) return tooManyRequests(reached.of, reached.perMinute, longest)
      add(set, keys, now)
      return undefined
    },
    note: (keys) => add(rateLimitsOf(limits), keys, clock.now()),
  }
}

/** A clock that was set back begins a new one. */
function isOpen({ startedAt }: Window, now: number): boolean {
  return now >= startedAt && now - startedAt < WINDOW_MS
}

/**
 * Creates the limits of requests per minute in this process.
 *
 * @param limits 0 means no limit. They may change while the function is in use.
 * @returns A function that counts one request, or says which limit is reached.
 */
export function createRateLimit(
  limits: RateLimitsConfig,
  clock: Pick<Clock, 'now'>,
): RateWindows['count'] {
  return createRateWindows(limits, clock).count
}
