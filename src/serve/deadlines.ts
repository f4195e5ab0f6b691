import type { Clock } from '../util/runtime.js'

/** Items that are cancelled when they take longer than the limit for all. */
export interface Deadlines<T> {
  add(item: T): void
  delete(item: T): void
}

/**
 * Creates deadlines of equal length with one timer for all: nearly every item finishes long before
 * its deadline.
 */
export function createDeadlines<T>(
  clock: Clock,
  ms: number,
  onDue: (item: T) => void,
): Deadlines<T> {
  /** In the order of their ends, milliseconds since the epoch. */
  const ends = new Map<T, number>()
  let isArmed = false

  function arm(end: number): void {
    isArmed = true
    clock.after(Math.max(1, end - clock.now()), sweep)
  }

  function sweep(): void {
    isArmed = false
    for (const [item, end] of ends) {
      if (end > clock.now()) return arm(end)
      ends.delete(item)
      onDue(item)
    }
  }

  return {
    add(item) {
      const end = clock.now() + ms
      ends.set(item, end)
      if (!isArmed) arm(end)
    },
    delete(item) {
      ends.delete(item)
    },
  }
}
