/** A list is taken as ended after that many pages in a row without an entry. */
const MAX_EMPTY_PAGES = 10

/**
 * Follows the pages of one list, and knows when it ends: without a cursor, with one that was there
 * before, or with a page that brings nothing new. An empty cursor is followed like any other: some
 * servers use it, and those that send it with the last page start over, which ends the walk.
 */
export class ListWalk {
  readonly #names = new Set<string>()
  readonly #cursors = new Set<string>()
  #emptyPages = 0

  /** @param cursor Where the walk starts. */
  constructor(cursor?: string) {
    if (cursor !== undefined) this.#cursors.add(cursor)
  }

  /**
   * Takes a page.
   *
   * @param names The names or URIs of its entries.
   * @returns Where the list goes on; `undefined` at its end.
   */
  next(names: readonly unknown[], cursor: string | undefined): string | undefined {
    const known = this.#names.size
    for (const name of names) if (typeof name === 'string') this.#names.add(name)
    if (cursor === undefined || this.#cursors.has(cursor)) return undefined
    this.#cursors.add(cursor)
    if (names.length > 0) {
      this.#emptyPages = 0
      return this.#names.size > known ? cursor : undefined
    }
    this.#emptyPages += 1
    return this.#emptyPages < MAX_EMPTY_PAGES ? cursor : undefined
  }
}
