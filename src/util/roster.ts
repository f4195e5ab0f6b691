/** Something that can be in a {@link Roster}. Only the roster sets its place. */
export interface Rostered {
  /** Below 0 while it is in none. */
  place: number
}

/**
 * A set of what comes and goes with each request. V8's `Set` and `Map` take a new table after a few
 * such changes, and the old table refers to the new one: once one of them is old, a young collection
 * keeps and moves all tables after it and what was in them, which costs more than the request.
 */
export class Roster<T extends Rostered> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  add(item: T): void {
    if (item.place < 0) item.place = this.#items.push(item) - 1
  }

  delete(item: T): void {
    const { place } = item
    if (place < 0) return
    item.place = -1
    const last = this.#items.pop() as T
    if (last === item) return
    this.#items[place] = last
    last.place = place
  }

  /** Shows each item, from the last to the first, so that whoever is shown may leave. */
  each(show: (item: T) => void): void {
    for (let i = this.#items.length - 1; i >= 0; i--) {
      const item = this.#items[i]
      if (item !== undefined) show(item)
    }
  }
}
