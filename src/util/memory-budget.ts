/** What may be held in memory for clients that have not taken it yet, all together. */
export interface MemoryBudget {
  /** Bytes that may be held. */
  max: number
  /** Bytes that are held. */
  readonly used: number
  /** Counts bytes that are to be held; false when there is no room, and nothing was counted. */
  take(bytes: number): boolean
  /** Counts bytes that are held already, or with a negative number, that are held no more. */
  count(bytes: number): void
}

/** So much of one answer is not counted: everybody has that, and counting it would cost more. */
export const UNCOUNTED_BYTES = 64 * 1024

/** @param max Bytes; without it there is no limit. */
export function createMemoryBudget(max = Number.POSITIVE_INFINITY): MemoryBudget {
  let used = 0
  const budget: MemoryBudget = {
    max,
    get used() {
      return used
    },
    take(bytes) {
      if (used + bytes > budget.max) return false
      used += bytes
      return true
    },
    count(bytes) {
      used += bytes
    },
  }
  return budget
}

/**
 * Counts the bytes that wait in place of those that did before.
 *
 * @returns What is counted now.
 */
export function countWaiting(
  budget: MemoryBudget | undefined,
  before: number,
  bytes: number,
): number {
  const waiting = Math.max(0, bytes - UNCOUNTED_BYTES)
  if (waiting !== before) budget?.count(waiting - before)
  return waiting
}

/** What one answer, or one connection, holds in memory. */
export class HeldBytes {
  readonly #budget: MemoryBudget | undefined
  #counted = 0

  /** @param budget Without it there is no limit. */
  constructor(budget: MemoryBudget | undefined) {
    this.#budget = budget
  }

  /** Holds so many bytes from now on; false when there is no room for more. */
  set(bytes: number): boolean {
    if (bytes <= UNCOUNTED_BYTES && this.#counted === 0) return true
    const wanted = Math.max(0, bytes - UNCOUNTED_BYTES)
    const more = wanted - this.#counted
    if (more > 0 && this.#budget?.take(more) === false) return false
    if (more < 0) this.#budget?.count(more)
    this.#counted = wanted
    return true
  }
}
