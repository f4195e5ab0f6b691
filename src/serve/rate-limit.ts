import type { Principal } from '../auth/principal.js'
import type { Clock } from '../util/runtime.js'

const WINDOW_MS = 60_000
const MAX_CALLERS = 10_000

/**
 * Creates the limit of requests per minute, counted per subject and client id in this process.
 *
 * @param perMinute 0 means no limit.
 * @returns A function that counts one request and returns 0, or the seconds until the caller may
 *   try again.
 */
export function createRateLimit(perMinute: number, clock: Pick<Clock, 'now'>) {
  const windows = new Map<string, { startedAt: number; count: number }>()
  return (principal: Principal | undefined): number => {
    if (perMinute === 0) return 0
    const key = JSON.stringify([principal?.subject, principal?.clientId])
    const now = clock.now()
    const window = windows.get(key)
    if (window === undefined || now - window.startedAt >= WINDOW_MS) {
      // deleted first, so that the map stays in the order in which windows began
      windows.delete(key)
      windows.set(key, { startedAt: now, count: 1 })
      const [oldest] = windows.keys()
      if (windows.size > MAX_CALLERS && oldest !== undefined) windows.delete(oldest)
      return 0
    }
    window.count++
    if (window.count <= perMinute) return 0
    return Math.max(1, Math.ceil((window.startedAt + WINDOW_MS - now) / 1000))
  }
}
