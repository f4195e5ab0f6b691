/** What a reader reports. Body bytes are only valid during the call. */
export interface ResponseEvents {
  head(status: number, head: string): void
  body(bytes: Buffer, start: number, end: number): void
  end(): void
}

type State = 'head' | 'fixed' | 'size' | 'data' | 'data-end' | 'trailer'

const CR = 13
const LF = 10

/**
 * Reads HTTP/1.1 responses from one connection, with a content length or chunked. Answers that
 * last until the connection closes are refused: nobody here sends them.
 */
export class ResponseReader {
  readonly #events: ResponseEvents
  #state: State = 'head'
  #pending: Buffer | undefined
  #left = 0
  #lineLength = 0
  #extension = false

  constructor(events: ResponseEvents) {
    this.#events = events
  }

  feed(bytes: Buffer): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#state === 'head') at = this.#readHead(bytes, at)
      else if (this.#state === 'fixed' || this.#state === 'data') at = this.#readData(bytes, at)
      else at = this.#readLine(bytes, at)
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const before = this.#pending?.length ?? 0
    const seen = this.#pending ? Buffer.concat([this.#pending, bytes.subarray(at)]) : bytes
    const start = this.#pending ? 0 : at
    const end = seen.indexOf('\r\n\r\n', start)
    if (end < 0) {
      this.#pending = Buffer.from(seen.subarray(start))
      return bytes.length
    }
    this.#pending = undefined
    this.#startBody(seen.toString('latin1', start, end + 2))
    return before === 0 ? end + 4 : at + end + 4 - before
  }

  #startBody(head: string): void {
    const status = Number(head.slice(9, 12))
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
    const chunked = /\r\ntransfer-encoding: *chunked\r\n/i.test(head)
    this.#events.head(status, head)
    if (chunked) this.#startLine('size')
    else if (length !== undefined) {
      this.#left = Number(length)
      if (this.#left > 0) this.#state = 'fixed'
      else this.#events.end()
    } else throw new Error(`answer ${status} has neither a length nor chunks`)
  }

  #startLine(state: State): void {
    this.#state = state
    this.#left = 0
    this.#lineLength = 0
    this.#extension = false
  }

  #readData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left)
    this.#left -= end - at
    this.#events.body(bytes, at, end)
    if (this.#left === 0) {
      if (this.#state === 'data') this.#startLine('data-end')
      else this.#finish()
    }
    return end
  }

  /** One byte at a time: chunk size lines, the line end after a chunk, trailers. */
  #readLine(bytes: Buffer, at: number): number {
    const byte = bytes[at]!
    if (byte === LF) this.#endLine()
    else if (byte !== CR) {
      this.#lineLength += 1
      if (this.#state === 'size' && !this.#extension) this.#readSizeDigit(byte)
    }
    return at + 1
  }

  #readSizeDigit(byte: number): void {
    const digit = Number.parseInt(String.fromCharCode(byte), 16)
    if (Number.isNaN(digit)) this.#extension = true
    else this.#left = this.#left * 16 + digit
  }

  #endLine(): void {
    if (this.#state === 'size') {
      if (this.#left > 0) this.#state = 'data'
      else this.#startLine('trailer')
    } else if (this.#state === 'data-end') this.#startLine('size')
    else if (this.#lineLength === 0) this.#finish()
    else this.#lineLength = 0
  }

  #finish(): void {
    this.#state = 'head'
    this.#events.end()
  }
}
