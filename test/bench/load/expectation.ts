import { findAll } from './request.js'

/**
 * The bytes of a right answer. The first answer is checked in full and kept; later ones need only
 * be equal to it in every byte but the id, which costs one comparison. An answer that differs is
 * checked in full again, so a candidate may vary its bytes.
 */
export class Expectation {
  /** The id that `bytes` holds now. */
  bytes: Buffer | undefined
  #idAt: number[] = []

  learn(body: Buffer, id: number): void {
    this.bytes = Buffer.from(body)
    this.#idAt = findAll(this.bytes, String(id))
  }

  /** A copy of its own for one connection. */
  copy(): Expectation {
    const copy = new Expectation()
    if (this.bytes !== undefined) copy.bytes = Buffer.from(this.bytes)
    copy.#idAt = this.#idAt
    return copy
  }

  setId(digits: string): void {
    for (const at of this.#idAt) this.bytes?.write(digits, at, 'latin1')
  }
}

/** Compares one answer with an expectation while it arrives. */
export class Comparison {
  readonly #expected: Buffer | undefined
  #equal = 0
  #rest: Buffer[] | undefined

  constructor(expected: Buffer | undefined) {
    this.#expected = expected
    if (expected === undefined) this.#rest = []
  }

  add(bytes: Buffer, start: number, end: number): void {
    const next = this.#equal + end - start
    const expected = this.#expected
    if (this.#rest === undefined && expected !== undefined && next <= expected.length) {
      if (bytes.compare(expected, this.#equal, next, start, end) === 0) {
        this.#equal = next
        return
      }
    }
    this.#rest ??= [Buffer.from(expected!.subarray(0, this.#equal))]
    this.#rest.push(Buffer.from(bytes.subarray(start, end)))
  }

  /** Returns `undefined` when every byte was as expected, else the whole body. */
  finish(): Buffer | undefined {
    if (this.#rest !== undefined) return Buffer.concat(this.#rest)
    return this.#equal === this.#expected!.length
      ? undefined
      : this.#expected!.subarray(0, this.#equal)
  }
}
