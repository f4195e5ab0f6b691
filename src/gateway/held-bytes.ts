import { type MemoryBudget, UNCOUNTED_BYTES } from '../util/memory-budget.js'

/** What one exchange holds in memory of an answer. */
export class HeldBytes {
  readonly #budget: MemoryBudget
  #counted = 0

  constructor(budget: MemoryBudget) {
    this.#budget = budget
  }

  /** Holds so many bytes from now on; false when there is no room for more. */
  set(bytes: number): boolean {
    if (bytes <= UNCOUNTED_BYTES && this.#counted === 0) return true
    const wanted = Math.max(0, bytes - UNCOUNTED_BYTES)
    const more = wanted - this.#counted
    if (more > 0 && !this.#budget.take(more)) return false
    if (more < 0) this.#budget.count(more)
    this.#counted = wanted
    return true
  }
}
