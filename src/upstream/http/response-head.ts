import { ownMember, setMember } from '../../util/json.js'
import type { ResponseHead } from '../upstream.js'
import { notHttp } from '../upstream-error.js'

/** As many bytes as `node:http` and undici take. */
export const MAX_HEAD_BYTES = 16 * 1024

/** Far more than any server sends; each costs a look. */
const MAX_FIELDS = 256

/** How the end of an answer's body is found. */
export type Framing = 'none' | 'length' | 'chunked' | 'close'

/** The head of an answer, and what it means for the connection. */
export interface AnswerHead {
  readonly status: number
  /** The server's words for the status. */
  readonly text: string
  readonly fields: ResponseHead
  readonly framing: Framing
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
  return {
    ...{ status, text, fields, framing },
    length: framing === 'length' ? Number(length) : 0,
    isKept: isAsked && framing !== 'close' && !(status === 204 && announcesBody(length, coding)),
    keepMs: seconds === undefined ? undefined : Number(seconds) * 1_000,
  }
}

/** Of an answer without a body: what it announces may come all the same, as if it were the next answer. */
function announcesBody(length: string | undefined, coding: string | undefined): boolean {
  return coding !== undefined || Number(length ?? 0) > 0
}

/** Decides by what the body ends. @see [RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3) */
function framingOf(
  status: number,
  length: string | undefined,
  coding: string | undefined,
  mayBeChunked: boolean,
): Framing {
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

const TAB = 9
const SPACE = 32

/** Cuts a part out of a text, without the spaces and tabs around it. */
function trimBlanks(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}
