import { MAX_MESSAGE_BYTES } from './jsonrpc.js'

const LF = 0x0a

const CR = 0x0d

/** Cuts bytes into lines, however they come. Blank lines are left out, and so are those that are too long. */
export class LineSplitter {
  readonly #onLine: (line: Buffer) => void
  readonly #onTooLong: () => void
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  constructor(
    onLine: (line: Buffer) => void,
    onTooLong: () => void,
    maxBytes: number = MAX_MESSAGE_BYTES,
  ) {
    this.#onLine = onLine
    this.#onTooLong = onTooLong
    this.#maxBytes = maxBytes
  }

  /** How much of a line is kept that has not ended yet. */
  get pendingBytes(): number {
    return this.#parts.length === 0 ? 0 : this.#bytes
  }

  /** Drops the line that has not ended yet, with all that still comes of it. */
  dropLine(): void {
    this.#bytes = this.#maxBytes + 1
    this.#parts = []
  }

  push(chunk: Buffer): void {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(LF, start)
      if (end < 0) break
      this.#keep(chunk.subarray(start, end))
      this.#endLine()
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  /** Takes what came after the last line end as a line. */
  end(): void {
    this.#endLine()
  }

  #keep(bytes: Buffer): void {
    this.#bytes += bytes.length
    if (this.#bytes <= this.#maxBytes) this.#parts.push(bytes)
    else this.#parts = []
  }

  #endLine(): void {
    const parts = this.#parts
    const tooLong = this.#bytes > this.#maxBytes
    this.#parts = []
    this.#bytes = 0
    if (tooLong) return this.#onTooLong()
    const line = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)
    const end = line.at(-1) === CR ? line.length - 1 : line.length
    if (end > 0) this.#onLine(line.subarray(0, end))
  }
}
