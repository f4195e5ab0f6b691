/** Enough for any host that waits for answers; one message may be larger. */
const MAX_CHARACTERS = 16 * 1024 * 1024

/** How much of what the host said is still under way: more is not read before there is less. */
export class Backlog {
  readonly #max: number
  readonly #waiting: (() => void)[] = []
  #size = 0

  constructor(max = MAX_CHARACTERS) {
    this.#max = max
  }

  get isFull(): boolean {
    return this.#size >= this.#max
  }

  /** Counts one message; returns what to call when it is done with, late or twice does nothing. */
  take(characters: number): () => void {
    let counts = characters
    this.#size += counts
    return () => {
      this.#size -= counts
      counts = 0
      if (!this.isFull) for (const callback of this.#waiting.splice(0)) callback()
    }
  }

  /** Calls back once when there is room. */
  whenReady(callback: () => void): void {
    if (this.isFull) this.#waiting.push(callback)
    else callback()
  }
}
