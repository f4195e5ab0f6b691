/** Makes things anew only where what they are made of has changed. */
export interface Keeper {
  /**
   * Returns what was made before of the same, else makes it.
   *
   * @param slot Its name; one thing has it at a time.
   * @param from What it is made of, compared one by one by identity.
   */
  keep<T>(slot: string, from: readonly unknown[], make: () => T): T
  /** Tells whether what is in a slot comes from before. */
  isKept(slot: string): boolean
  /** The slots with what was made before and is not used any more. */
  gone(): [slot: string, value: unknown][]
  /** The slots with what was not there before. */
  added(): [slot: string, value: unknown][]
  /** Begins anew, with what there is now as what was made before. */
  next(): Keeper
}

interface Kept {
  readonly from: readonly unknown[]
  readonly value: unknown
}

/** @param before What was made before, by its slot. */
export function createKeeper(before: ReadonlyMap<string, Kept> = new Map()): Keeper {
  const made = new Map<string, Kept>()
  const isSame = (kept: Kept, from: readonly unknown[]) =>
    kept.from.length === from.length && kept.from.every((part, index) => part === from[index])
  return {
    keep<T>(slot: string, from: readonly unknown[], make: () => T): T {
      const own = made.get(slot)
      if (own !== undefined) return own.value as T
      const known = before.get(slot)
      const kept = known !== undefined && isSame(known, from) ? known : { from, value: make() }
      made.set(slot, kept)
      return kept.value as T
    },
    isKept: (slot) => made.has(slot) && made.get(slot) === before.get(slot),
    gone: () =>
      [...before]
        .filter(([slot, { value }]) => made.get(slot)?.value !== value)
        .map(([slot, { value }]) => [slot, value]),
    added: () =>
      [...made]
        .filter(([slot, kept]) => before.get(slot) !== kept)
        .map(([slot, { value }]) => [slot, value]),
    next: () => createKeeper(made),
  }
}
