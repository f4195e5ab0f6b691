/**
 * A map with a limit: when it is full, a new entry takes the place of the one that was set longest
 * ago. Setting a key again makes its entry the newest.
 */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #maxEntries: number
  readonly #onDrop: ((value: Value) => void) | undefined

  /** @param onDrop Is called with each value that made room for another, not with deleted ones. */
  constructor(maxEntries: number, onDrop?: (value: Value) => void) {
    super()
    this.#maxEntries = maxEntries
    this.#onDrop = onDrop
  }

  override set(key: Key, value: Value): this {
    if (!this.delete(key) && this.size >= this.#maxEntries) this.#dropOldest()
    return super.set(key, value)
  }

  /** Like `get`, and makes the entry the newest: the least recently used entry is dropped first. */
  touch(key: Key): Value | undefined {
    const value = this.get(key)
    if (value !== undefined && this.delete(key)) super.set(key, value)
    return value
  }

  #dropOldest(): void {
    for (const [key, value] of this) {
      this.delete(key)
      this.#onDrop?.(value)
      return
    }
  }
}
