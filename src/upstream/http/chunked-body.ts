import { notHttp } from '../upstream-error.js'

/** As many bytes of headers, or of trailers, as `node:http` and undici take. */
export const MAX_HEAD_BYTES = 16 * 1024

/** Nobody uses extensions; a long one only costs time. */
const MAX_EXTENSION_BYTES = 256

/** More digits than any chunk needs, zeros in front included; the number stays exact. */
const MAX_SIZE_DIGITS = 12

const TRAILER = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*$/

const TAB = 9
const LF = 10
const CR = 13
const SEMICOLON = 59

/** What is read next. */
type Next =
  | 'size'
  | 'extension'
  | 'end of size'
  | 'data'
  | 'end of data'
  | 'line feed of data'
  | 'trailer'
  | 'end of trailer'
  | 'end'
  | 'nothing'

/**
 * Takes the chunks of a body out of their framing. All that one piece of the answer holds is moved
 * together in place, so that a burst of small chunks is handed on as one.
 *
 * @see [RFC 9112 §7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)
 */
export class ChunkedBody {
  #next: Next = 'size'
  #size = 0
  #digits = 0
  #extension = 0
  #trailer = ''
  #trailerBytes = 0
  /** Where the data of the last piece stands in it. */
  start = 0
  end = 0

  get isComplete(): boolean {
    return this.#next === 'nothing'
  }

  /**
   * Reads a piece; its data is then between `start` and `end` of the same bytes.
   *
   * @returns Where the first byte stands that is no longer of this body.
   * @throws {UpstreamError} `invalid_answer`
   */
  read(bytes: Buffer, from: number, to: number): number {
    this.start = from
    this.end = from
    let at = from
    while (at < to && this.#next !== 'nothing') {
      if (this.#next === 'data') at = this.#moveData(bytes, at, to)
      else this.#step(bytes[at++] as number)
    }
    return at
  }

  #moveData(bytes: Buffer, at: number, to: number): number {
    const length = Math.min(this.#size, to - at)
    if (this.end === this.start) {
      this.start = at
      this.end = at
    } else if (this.end !== at) bytes.copyWithin(this.end, at, at + length)
    this.end += length
    this.#size -= length
    if (this.#size === 0) this.#next = 'end of data'
    return at + length
  }

  #step(byte: number): void {
    switch (this.#next) {
      case 'size':
        return this.#readSize(byte)
      case 'extension':
        if (byte === CR) this.#next = 'end of size'
        else if (isControl(byte)) throw notHttp('a chunk has a broken extension')
        else if (++this.#extension > MAX_EXTENSION_BYTES) {
          throw notHttp('a chunk has too long an extension')
        }
        return
      case 'end of size':
        expect(byte, LF)
        this.#next = this.#size === 0 ? 'trailer' : 'data'
        this.#digits = 0
        this.#extension = 0
        return
      case 'end of data':
        expect(byte, CR)
        this.#next = 'line feed of data'
        return
      case 'line feed of data':
        expect(byte, LF)
        this.#next = 'size'
        return
      case 'trailer':
        return this.#readTrailer(byte)
      case 'end of trailer':
        expect(byte, LF)
        if (!TRAILER.test(this.#trailer)) throw notHttp('a line behind its chunks is no field')
        this.#trailer = ''
        this.#next = 'trailer'
        return
      default:
        expect(byte, LF)
        this.#next = 'nothing'
    }
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte)
    if (digit >= 0) {
      if (++this.#digits > MAX_SIZE_DIGITS) throw notHttp('a chunk is too large')
      this.#size = this.#size * 16 + digit
    } else if (this.#digits === 0) throw notHttp('a chunk has no size')
    else if (byte === CR) this.#next = 'end of size'
    else if (byte === SEMICOLON) this.#next = 'extension'
    else throw notHttp('the size of a chunk is no number')
  }

  /** Trailers are checked and dropped: nobody reads any. */
  #readTrailer(byte: number): void {
    if (byte === CR) {
      this.#next = this.#trailer === '' ? 'end' : 'end of trailer'
      return
    }
    if (++this.#trailerBytes > MAX_HEAD_BYTES) throw notHttp('too much stands behind its chunks')
    this.#trailer += String.fromCharCode(byte)
  }
}

function expect(byte: number, expected: typeof CR | typeof LF): void {
  if (byte !== expected) throw notHttp('a line of its chunks does not end as it must')
}

function isControl(byte: number): boolean {
  return (byte < 32 && byte !== TAB) || byte === 127
}

/** @returns The value of a hexadecimal digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48
  const lower = byte | 32
  return lower >= 97 && lower <= 102 ? lower - 87 : -1
}
