import { ownMember, setMember } from '../../util/json.js'
import { trimBlanks } from '../../util/text.js'
import type { ResponseHead } from '../upstream.js'
import { notHttp, UpstreamError } from '../upstream-error.js'
import { ChunkedBody, MAX_HEAD_BYTES } from './chunked-body.js'

const END_OF_HEAD = Buffer.from('\r\n\r\n')

const BEGIN = Buffer.from('HTTP/1.')

/** A server that says "please wait" for ever is not waited for. */
const MAX_INTERIM = 16

const LINE_WITHOUT_CR = /(?:^|[^\r])\n/

/** Reads heads, and knows the last one again. */
export interface Heads {
  /** The last head, if it stands here again: as many bytes as `bytes` says. */
  again(bytes: Buffer, at: number, to: number): AnswerHead | undefined
  readonly bytes: number
  /** @param text With the empty line at its end. */
  read(text: string): AnswerHead
}

/**
 * Reads the answers of one connection, one after the other. It tells nobody anything: `head`, `body`
 * and `isComplete` say what the last piece brought.
 *
 * @see [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112)
 */
export class ResponseReader {
  readonly #heads: Heads
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

  constructor(heads: Heads) {
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
    // what begins as no answer of HTTP/1 does is refused without waiting for the rest of it
    const begun = Math.min(rest.length, BEGIN.length)
    if (rest.compare(BEGIN, 0, begun, 0, begun) !== 0) {
      throw notHttp('it does not begin with a status line', rest)
    }
    if (end > MAX_HEAD_BYTES) {
      throw new UpstreamError('invalid_answer', 'its response headers are too large')
    }
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

  /** An interim response carries nothing for us; we requested none. */
  #skip({ status }: AnswerHead): void {
    if (status === 101) throw notHttp('it changes to another protocol, which was not requested')
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

/** Copies, since the bytes of a piece are those of the next one too. */
function copyOf(bytes: Buffer, start: number, end: number): Buffer | undefined {
  if (end === start) return undefined
  const copy = Buffer.allocUnsafe(end - start)
  bytes.copy(copy, 0, start, end)
  return copy
}

/** Far more than any server sends; each costs a look. */
const MAX_FIELDS = 256

/** The head of an answer, and what it means for the connection. */
export interface AnswerHead {
  readonly status: number
  /** The server's words for the status. */
  readonly text: string
  readonly fields: ResponseHead
  /** How the end of the body is found. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close'
  /** Of the body, in bytes, where the framing is `length`. */
  readonly length: number
  /** The connection can be used again behind this answer. */
  readonly isKept: boolean
  /** How long the server keeps an idle connection, in milliseconds, where it says so. */
  readonly keepMs: number | undefined
}

/** The header fields of answers that anybody reads on the way of a call. */
const READ: ReadonlySet<string> = new Set([
  ...['content-type', 'content-encoding', 'content-length', 'location', 'retry-after'],
  ...['mcp-session-id', 'set-cookie', 'www-authenticate'],
])

/** Those, and the fields that say where an answer ends. */
const KNOWN: ReadonlySet<string> = new Set([
  ...READ,
  ...['transfer-encoding', 'connection', 'keep-alive'],
])

const LENGTHS: ReadonlySet<number> = new Set([...KNOWN].map((name) => name.length))

/** A line may end in CR LF only, and no other control character but a tab may stand in it. */
const STRAY = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?<!\r)\n/

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([^\r\n]*))?\r\n/

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

const DIGITS = /^\d{1,15}$/

const KEEP_ALIVE_TIME = /(?:^|[,;\s])timeout=(\d{1,6})/i

type Fields = Record<string, string | string[]>

/**
 * Reads the head of an answer. Whatever could be read in two ways is refused: who is in doubt where an
 * answer ends, takes the rest of it for the answer to somebody else.
 *
 * @param head All lines with their ends, without the empty one.
 * @param isAll Whether fields are kept that nobody reads on the way of a call.
 * @throws {UpstreamError} `invalid_answer`
 * @see [RFC 9112 §4, §5, §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-4)
 */
export function readResponseHead(head: string, isAll: boolean): AnswerHead {
  if (STRAY.test(head)) throw notHttp('a control character stands in its head')
  const [line, minor, digits, text = ''] = STATUS_LINE.exec(head) ?? []
  if (line === undefined) throw notHttp('it does not begin with a status line')
  const status = Number(digits)
  const fields: Fields = {}
  let count = 0
  let length: string | undefined
  let coding: string | undefined
  let connection = ''
  let keepAlive: string | undefined
  for (let at = line.length, end = 0; at < head.length; at = end + 2) {
    end = head.indexOf('\r\n', at)
    const colon = head.indexOf(':', at)
    count += 1
    if (count > MAX_FIELDS) throw notHttp('its head has too many lines')
    // a space before the colon and a line that goes on in the next are refused by this (§5.1, §5.2)
    if (colon < 0 || colon > end || !TOKEN.test(head.slice(at, colon))) {
      throw notHttp('a line of its head is no header field')
    }
    if (!isAll && !LENGTHS.has(colon - at)) continue
    const name = head.slice(at, colon).toLowerCase()
    if (!isAll && !KNOWN.has(name)) continue
    const value = trimBlanks(head, colon + 1, end)
    if (name === 'content-length') {
      // equal ones might be taken for one (§6.3), but nobody sends them by intention
      if (length !== undefined) throw notHttp('it has two lengths')
      length = value
    } else if (name === 'transfer-encoding') {
      if (coding !== undefined) throw notHttp('it has two transfer codings')
      coding = value.toLowerCase()
    } else if (name === 'connection') connection += `,${value.toLowerCase()}`
    else if (name === 'keep-alive') keepAlive = value
    if (isAll || READ.has(name)) addField(fields, name, value)
  }
  const framing = framingOf(status, length, coding, minor === '1')
  const options = connection === '' ? [] : connection.split(',').map((option) => option.trim())
  const isAsked = minor === '1' ? !options.includes('close') : options.includes('keep-alive')
  const seconds = keepAlive === undefined ? undefined : KEEP_ALIVE_TIME.exec(keepAlive)?.[1]
  // an answer without a body may bring the one that it announces, as if that were the next answer
  const announcesBody = coding !== undefined || Number(length ?? 0) > 0
  return {
    ...{ status, text, fields, framing },
    length: framing === 'length' ? Number(length) : 0,
    isKept: isAsked && framing !== 'close' && !(status === 204 && announcesBody),
    keepMs: seconds === undefined ? undefined : Number(seconds) * 1_000,
  }
}

/** Decides by what the body ends. @see [RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3) */
function framingOf(
  status: number,
  length: string | undefined,
  coding: string | undefined,
  mayBeChunked: boolean,
): AnswerHead['framing'] {
  if (length !== undefined && !DIGITS.test(length)) throw notHttp('its length is no number')
  if (coding !== undefined) {
    if (length !== undefined) throw notHttp('it has both a length and a transfer coding')
    if (coding !== 'chunked') throw notHttp('its transfer coding is not "chunked"')
    if (!mayBeChunked) throw notHttp('it is chunked under HTTP/1.0')
  }
  if (status < 200 || status === 204 || status === 304) return 'none'
  if (coding !== undefined) return 'chunked'
  return length === undefined ? 'close' : 'length'
}

function addField(fields: Fields, name: string, value: string): void {
  const before = ownMember(fields, name)
  if (before === undefined) setMember<string | string[]>(fields, name, value)
  else if (typeof before === 'string') setMember<string | string[]>(fields, name, [before, value])
  else before.push(value)
}
