import type { Clock } from '../util/runtime.js'

const WINDOW_MS = 60_000
/** Records in a window, of one reason and one remote address, and of all. */
const MAX_OF_ONE = 10
const MAX_OF_ALL = 200

/** How many refusals were not logged, by reason. */
export type LeftOut = ReadonlyMap<string, number>

/**
 * Creates the limit of records about requests that nobody was signed in for, so that whoever sends
 * many of them fills neither the log nor the memory.
 *
 * @param tell Called at the end of a window in which some were left out.
 * @returns A function that tells whether one more is logged.
 */
export function createRefusalLimit(clock: Clock, tell: (leftOut: LeftOut) => void) {
  let startedAt = Number.NEGATIVE_INFINITY
  let count = 0
  const counts = new Map<string, number>()
  let leftOut = new Map<string, number>()

  function leaveOut(refusal: string): boolean {
    if (leftOut.size === 0) {
      clock.after(Math.max(0, startedAt + WINDOW_MS - clock.now()), () => {
        const told = leftOut
        leftOut = new Map()
        tell(told)
      })
    }
    leftOut.set(refusal, (leftOut.get(refusal) ?? 0) + 1)
    return false
  }

  return (refusal: string, remote: string | undefined): boolean => {
    const now = clock.now()
    if (now - startedAt >= WINDOW_MS || now < startedAt) {
      startedAt = now
      count = 0
      counts.clear()
    }
    if (count >= MAX_OF_ALL) return leaveOut(refusal)
    const key = `${refusal} ${remote}`
    const ofOne = counts.get(key) ?? 0
    if (ofOne >= MAX_OF_ONE) return leaveOut(refusal)
    counts.set(key, ofOne + 1)
    count++
    return true
  }
}
