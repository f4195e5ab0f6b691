import { notHttp, UpstreamError } from '../upstream-error.js'
import { ChunkedBody } from './chunked-body.js'
import { type AnswerHead, MAX_HEAD_BYTES, readResponseHead } from './response-head.js'

const END_OF_HEAD = Buffer.from('\r\n\r\n')

const BEGIN = Buffer.from('HTTP/1.')

/** A server that says "please wait" for ever is not waited for. */
const MAX_INTERIM = 16

const LINE_WITHOUT_CR = /(?:^|[^\r])\n/

/**
 * Reads the heads of a target's answers. Heads that are sent within a second differ in nothing as a
 * rule, so that the last one is kept and not read again when it comes again byte for byte.
 */
export class HeadReader {
  readonly #isAll: boolean
  #text = ''
  #head: AnswerHead | undefined

  /** @param isAll Whether fields are kept that nobody reads on the way of a call. */
  constructor(isAll: boolean) {
    this.#isAll = isAll
  }

  /** The head before, and the number of its bytes, if it stands here again. */
  again(bytes: Buffer, at: number, to: number): AnswerHead | undefined {
    const { length } = this.#text
    if (length === 0 || to - at < length) return undefined
    return bytes.toString('latin1', at, at + length) === this.#text ? this.#head : undefined
  }

  get bytes(): number {
    return this.#text.length
  }

  /** @param text With the empty line at its end. */
  read(text: string): AnswerHead {
    const head = readResponseHead(text.slice(0, -2), this.#isAll)
    if (head.status >= 200) {
      this.#text = text
      this.#head = head
    }
    return head
  }
}

/**
 * Reads the answers of one connection, one after the other. It tells nobody anything: `head`, `body`
 * and `isComplete` say what the last piece brought.
 *
 * @see [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)
 */
export class ResponseReader {
  readonly #heads: HeadReader
  #framing: AnswerHead['framing'] | undefined
  #kept: Buffer | undefined
  #left = 0
  #chunks: ChunkedBody | undefined
  #interim = 0
  #isKeptOpen = false
  /** The head, when its last byte came with the last piece. */
  head: AnswerHead | undefined
  /** The part of the body that came with the last piece: a copy. */
  body: Buffer | undefined
  isComplete = false
  /** The connection can carry another request behind the answer. */
  isReusable = false

  constructor(heads: HeadReader) {
    this.#heads = heads
  }

  /** Begins the next answer. */
  reset(): void {
    this.#framing = undefined
    this.#kept = undefined
    this.#left = 0
    this.#chunks = undefined
    this.#interim = 0
    this.head = undefined
    this.body = undefined
    this.isComplete = false
    this.isReusable = false
  }

  /**
   * Reads the next piece. Its bytes may be changed, and are not looked at later.
   *
   * @throws {UpstreamError} `invalid_answer`
   */
  read(piece: Buffer, length: number): void {
    this.head = undefined
    this.body = undefined
    let bytes = piece
    let to = length
    let at = 0
    if (this.#kept !== undefined) {
      bytes = Buffer.concat([this.#kept, piece.subarray(0, length)])
      to = bytes.length
      this.#kept = undefined
    }
    while (this.#framing === undefined) {
      const end = this.#readHead(bytes, at, to)
      if (end < 0) return
      at = end
    }
    const end = this.#readBody(bytes, at, to)
    // a byte behind an answer belongs to no request, and could be taken for the next answer (§9.2)
    this.isReusable = this.isComplete && this.#isKeptOpen && end === to
  }

  /** The target closed the connection. @returns Whether that is the end of the answer. */
  end(): boolean {
    this.head = undefined
    this.body = undefined
    this.isReusable = false
    this.isComplete = this.#framing === 'close'
    return this.isComplete
  }

  /** @returns Where the body begins, or -1 when the head is not whole. */
  #readHead(bytes: Buffer, at: number, to: number): number {
    const again = this.#heads.again(bytes, at, to)
    if (again !== undefined) {
      this.#begin(again)
      return at + this.#heads.bytes
    }
    const rest = bytes.subarray(at, to)
    const found = rest.indexOf(END_OF_HEAD)
    const end = found < 0 ? rest.length : found + END_OF_HEAD.length
    checkBegin(rest)
    if (end > MAX_HEAD_BYTES) throw tooLarge()
    const text = rest.toString('latin1', 0, end)
    if (found < 0) {
      // who ends lines in another way would be waited for in vain
      if (LINE_WITHOUT_CR.test(text)) throw notHttp('a line of its head does not end in CR LF')
      this.#kept = Buffer.from(rest)
      return -1
    }
    const head = this.#heads.read(text)
    if (head.status >= 200) this.#begin(head)
    else this.#skip(head)
    return at + end
  }

  #begin(head: AnswerHead): void {
    this.head = head
    this.#framing = head.framing
    this.#left = head.length
    this.#isKeptOpen = head.isKept
    if (head.framing === 'chunked') this.#chunks = new ChunkedBody()
  }

  /** An interim answer says nothing to us; we asked for none. */
  #skip({ status }: AnswerHead): void {
    if (status === 101) throw notHttp('it changes to another protocol, which nobody asked for')
    this.#interim += 1
    if (this.#interim > MAX_INTERIM) throw notHttp('it sends interim answers without end')
  }

  /** @returns Where the first byte stands that is no longer of this answer. */
  #readBody(bytes: Buffer, at: number, to: number): number {
    if (this.#chunks !== undefined) {
      const end = this.#chunks.read(bytes, at, to)
      this.isComplete = this.#chunks.isComplete
      this.body = copyOf(bytes, this.#chunks.start, this.#chunks.end)
      return end
    }
    if (this.#framing === 'close') {
      this.body = copyOf(bytes, at, to)
      return to
    }
    const end = Math.min(to, at + this.#left)
    this.body = copyOf(bytes, at, end)
    this.#left -= end - at
    this.isComplete = this.#left === 0
    return end
  }
}

/** Refuses what begins as no answer of HTTP/1 does, without waiting for the rest of it. */
function checkBegin(bytes: Buffer): void {
  const length = Math.min(bytes.length, BEGIN.length)
  if (bytes.compare(BEGIN, 0, length, 0, length) === 0) return
  throw notHttp('it does not begin with a status line', bytes)
}

function tooLarge(): UpstreamError {
  return new UpstreamError('invalid_answer', 'its response headers are too large')
}

/** Copies, since the bytes of a piece are those of the next one too. */
function copyOf(bytes: Buffer, start: number, end: number): Buffer | undefined {
  if (end === start) return undefined
  const copy = Buffer.allocUnsafe(end - start)
  bytes.copy(copy, 0, start, end)
  return copy
}
