import { Roster, type Rostered } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'

/** What is given up when it lasts too long. */
export interface Limited extends Rostered {
  /** Milliseconds since the epoch; set when it is added. */
  end: number
}

/** Things that are given up when they last longer than all of them may. */
export interface Deadlines<T> {
  add(item: T): void
  delete(item: T): void
}

/** Looking at all items costs the more the more there are, and many may end one after the other. */
const MAX_SWEEPS = 100

/**
 * Creates deadlines of equal length with one timer for all: nearly every item finishes long before
 * its deadline.
 */
export function createDeadlines<T extends Limited>(
  clock: Clock,
  ms: number,
  onDue: (item: T) => void,
): Deadlines<T> {
  const items = new Roster<T>()
  let isArmed = false

  function arm(end: number): void {
    isArmed = true
    clock.after(Math.max(1, ms / MAX_SWEEPS, end - clock.now()), sweep)
  }

  function sweep(): void {
    isArmed = false
    let next = Number.POSITIVE_INFINITY
    items.each((item) => {
      if (item.end > clock.now()) next = Math.min(next, item.end)
      else {
        items.delete(item)
        onDue(item)
      }
    })
    // whoever was told may have added some
    if (items.size > 0 && !isArmed) arm(next)
  }

  return {
    add(item) {
      item.end = clock.now() + ms
      items.add(item)
      if (!isArmed) arm(item.end)
    },
    delete(item) {
      items.delete(item)
    },
  }
}
