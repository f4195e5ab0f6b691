import type { Clock } from '../util/runtime.js'

/** Keeps requests from a target that is not reached. */
export interface Breaker {
  /** Returns 0 when a request may be sent, else the milliseconds until one may try. */
  wait(): number
  /** Counts a failure to reach the target; tells whether requests fail at once from now on. */
  failed(): boolean
  /** The target answered, whatever it said. */
  answered(): void
  isOpen(): boolean
}

/**
 * Creates the breaker of one target. It opens after some failures, one after the other, and then lets one
 * request through in each pause, whether the one before has ended or not: a request that hangs must
 * not keep others from a target that is back.
 *
 * @param failures 0 means that it never opens.
 */
export function createBreaker(
  { failures, seconds }: { readonly failures: number; readonly seconds: number },
  clock: Pick<Clock, 'now'>,
): Breaker | undefined {
  if (failures === 0) return undefined
  const pauseMs = seconds * 1000
  let count = 0
  let nextAt = 0
  return {
    wait() {
      if (count < failures) return 0
      const now = clock.now()
      // a clock that was set back does not keep it open
      const left = Math.min(nextAt - now, pauseMs)
      if (left > 0) return left
      nextAt = now + pauseMs
      return 0
    },
    failed() {
      count++
      if (count !== failures) return false
      nextAt = clock.now() + pauseMs
      return true
    },
    answered() {
      count = 0
    },
    isOpen: () => count >= failures,
  }
}
