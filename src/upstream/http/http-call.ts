import type { Roster, Rostered } from '../../util/roster.js'
import type { Clock } from '../../util/runtime.js'
import type { UpstreamController, UpstreamHandler, UpstreamRequest } from '../upstream.js'
import { codedError, networkCode } from '../upstream-error.js'
import type { Carried, TargetConnection } from './connection.js'
import type { AnswerHead } from './response-reader.js'

/** What the calls of one target share. */
export interface CallPlace {
  /** Nothing is sent any more. */
  readonly isClosed: boolean
  readonly clock: Pick<Clock, 'after'>
  readonly patience: Pick<Roster<Waiting>, 'add' | 'delete'> & {
    /** A point in time, for `hasPassed`. */
    readonly now: number
    hasPassed(ms: number, since: number): boolean
  }
  writeHead(request: UpstreamRequest, bytes: number): string
  /**
   * Has a connection carry a call.
   *
   * @param isFresh No connection that carried others before.
   */
  carry(call: HttpCall, isFresh: boolean): void
  /** Tells whether another try to connect may lead further after this error. */
  mayConnectAgain(code: string): boolean
  isRetrySafe?: ((request: UpstreamRequest) => boolean) | undefined
}

/** What lasts longer is looked at from time to time only. */
const SHORT_MS = 5_000

/** A part of an answer. */
interface Part {
  readonly head?: AnswerHead | undefined
  readonly body?: Buffer | undefined
  readonly isComplete?: boolean
  /** The answer broke off behind what came before. */
  readonly error?: Error
}

const BROKEN: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

/** One request on a connection of ours, and its answer. */
export class HttpCall implements UpstreamController, Carried, Waiting {
  place = -1
  readonly #place: CallPlace
  readonly #request: UpstreamRequest
  readonly #handler: UpstreamHandler
  #connection: TargetConnection | undefined
  #head = ''
  #bytes = 0
  #hasHead = false
  #isRepeated = false
  #isOver = false
  #isPaused = false
  #reason: Error | null = null
  /** What came while the answer was paused. */
  #rest: Part[] | undefined
  #seenAt = 0
  #cancelTimer: (() => void) | undefined

  constructor(place: CallPlace, request: UpstreamRequest, handler: UpstreamHandler) {
    this.#place = place
    this.#request = request
    this.#handler = handler
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get reason(): Error | null {
    return this.#reason
  }

  get paused(): boolean {
    return this.#isPaused
  }

  start(): void {
    this.#handler.onRequestStart?.(this, {})
    if (this.#isOver) return
    if (this.#place.isClosed) return this.#fail(codedError('ECONNRESET'))
    const { body } = this.#request
    this.#bytes = body === undefined ? 0 : Buffer.byteLength(body)
    try {
      this.#head = this.#place.writeHead(this.#request, this.#bytes)
    } catch (error) {
      return this.#fail(error as Error)
    }
    this.#place.carry(this, false)
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    this.#finish()
    this.#rest = undefined
    this.#connection?.drop()
    this.#connection = undefined
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#cancelTimer?.()
    this.#connection?.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    while (this.#rest !== undefined && !this.#isPaused) {
      const part = this.#rest.shift()
      if (part === undefined) this.#rest = undefined
      else if (part.error !== undefined) this.#fail(part.error)
      else this.#deliver(part.head, part.body, part.isComplete === true)
    }
    if (this.#isPaused || this.#isOver) return
    this.#wait(this.#hasHead ? this.#request.bodyTimeout : this.#request.headersTimeout)
    this.#connection?.resume()
  }

  /** On the way of a connection that is not there yet. */
  onCarried(connection: TargetConnection): void {
    this.#connection = connection
  }

  onConnected(connection: TargetConnection): void {
    const { headersTimeout, bodyTimeout, body } = this.#request
    if (headersTimeout >= SHORT_MS || bodyTimeout >= SHORT_MS) this.#place.patience.add(this)
    this.#wait(headersTimeout)
    connection.write(this.#head, body, this.#bytes)
  }

  onAnswer(head: AnswerHead | undefined, body: Buffer | undefined, isComplete: boolean): void {
    if (isComplete) this.#connection = undefined
    if (head !== undefined) this.#hasHead = true
    if (this.#isPaused || this.#rest !== undefined) {
      this.#rest ??= []
      this.#rest.push({ head, body, isComplete })
      return
    }
    if (!isComplete) this.#wait(this.#request.bodyTimeout)
    this.#deliver(head, body, isComplete)
  }

  /** Tells the handler of a part of the answer; from where it pauses on, the rest waits. */
  #deliver(head: AnswerHead | undefined, body: Buffer | undefined, isComplete: boolean): void {
    const handler = this.#handler
    if (head !== undefined && !this.#isOver) {
      handler.onResponseStart?.(this, head.status, head.fields, head.text)
    }
    if (this.#isPaused) return this.#keepFirst({ body, isComplete })
    if (body !== undefined && !this.#isOver) handler.onResponseData?.(this, body)
    if (!isComplete || this.#isOver) return
    if (this.#isPaused) return this.#keepFirst({ isComplete })
    this.#finish()
    handler.onResponseEnd?.(this, {})
  }

  #keepFirst(part: Part): void {
    if (this.#isOver) return
    this.#rest ??= []
    this.#rest.unshift(part)
  }

  onBroken(error: Error, connection: TargetConnection): void {
    this.#connection = undefined
    if (this.#isOver) return
    const code = networkCode(error) ?? ''
    if (!connection.isReady && this.#place.mayConnectAgain(code)) {
      this.#place.carry(this, true)
      return
    }
    const isStale = connection.uses > 1 && BROKEN.has(code) && !this.#hasHead
    if (isStale && !this.#isRepeated && this.#place.isRetrySafe?.(this.#request)) {
      this.#isRepeated = true
      this.#place.carry(this, true)
      return
    }
    // what came before is told first, to whoever wants it
    if (this.#rest === undefined) this.#fail(error)
    else this.#rest.push({ error })
  }

  /** Looks after a while whether something came. */
  expire(): void {
    if (this.#isPaused) return
    const { bodyTimeout, headersTimeout } = this.#request
    const ms = this.#hasHead ? bodyTimeout : headersTimeout
    if (ms >= SHORT_MS && this.#place.patience.hasPassed(ms, this.#seenAt)) this.#isLate()
  }

  /** Waits so long for the next part of the answer; 0 is for ever. */
  #wait(ms: number): void {
    this.#seenAt = this.#place.patience.now
    this.#cancelTimer?.()
    this.#cancelTimer =
      ms > 0 && ms < SHORT_MS ? this.#place.clock.after(ms, () => this.#isLate()) : undefined
  }

  #isLate(): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.drop()
    this.#fail(codedError(this.#hasHead ? 'UND_ERR_BODY_TIMEOUT' : 'UND_ERR_HEADERS_TIMEOUT'))
  }

  #finish(): void {
    this.#isOver = true
    this.#cancelTimer?.()
    this.#place.patience.delete(this)
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#finish()
    this.#handler.onResponseError?.(this, error)
  }
}

/** Something that waits for a target. */
export interface Waiting extends Rostered {
  /** Gives up when nothing came for too long. */
  expire(): void
}

/** Names that we write ourselves, in lower case, so that they need no look. */
const OURS: ReadonlySet<string> = new Set([
  ...['user-agent', 'accept-encoding', 'content-type', 'accept', 'mcp-protocol-version'],
  ...['mcp-session-id', 'x-request-id', 'cookie', 'traceparent', 'tracestate', 'baggage'],
  ...['authorization', 'mcp-method', 'mcp-name', 'last-event-id'],
])

/** Where a request ends, and what becomes of its connection, is said by us alone. */
const NOT_OURS_TO_PASS: ReadonlySet<string> = new Set([
  ...['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'expect', 'te'],
  ...['trailer', 'host', 'proxy-connection'],
])

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** A line break would begin another field, or another request. */
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/

const BAD_PATH = /[^\x21-\x7e]/

/**
 * Makes what writes the heads of requests to a URL. What is the same in all of them is written once.
 *
 * @returns A function that writes a head for a body of so many bytes. It throws an error with the code
 *   `ERR_INVALID_CHAR` or `ERR_INVALID_HTTP_TOKEN`, and sends nothing then, where a name or a value is
 *   none of HTTP.
 * @see [RFC 9112 §3, §5](https://www.rfc-editor.org/rfc/rfc9112#section-3)
 */
export function createHeadWriter(url: URL): (request: UpstreamRequest, bytes: number) => string {
  const ownPath = url.pathname + url.search
  const common = `host: ${url.host}\r\nconnection: keep-alive\r\n`
  const login = loginOf(url)
  const begin = (method: string, path: string) => `${method} ${path} HTTP/1.1\r\n${common}`
  const post = begin('POST', ownPath)
  return ({ method, path, headers, body }, bytes) => {
    if (path !== undefined && (path === '' || BAD_PATH.test(path))) throw badCharacter('the path')
    let head = method === 'POST' && path === undefined ? post : begin(method, path ?? ownPath)
    let isLoginDue = login !== undefined
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string
      const value = headers[i + 1] as string
      if (!OURS.has(name)) checkName(name)
      if (BAD_VALUE.test(value)) throw badCharacter(`header "${name}"`)
      if (isLoginDue && name.toLowerCase() === 'authorization') isLoginDue = false
      head += `${name}: ${value}\r\n`
    }
    if (isLoginDue) head += `authorization: ${login}\r\n`
    // a POST without a body says so (RFC 9110 §8.6)
    if (body !== undefined || method === 'POST') head += `content-length: ${bytes}\r\n`
    return `${head}\r\n`
  }
}

function checkName(name: string): void {
  if (!TOKEN.test(name)) {
    throw codedError('ERR_INVALID_HTTP_TOKEN', `Header name must be a valid HTTP token ["${name}"]`)
  }
  if (NOT_OURS_TO_PASS.has(name.toLowerCase())) {
    throw codedError('ERR_INVALID_HTTP_TOKEN', `Header "${name}" is not for others to set`)
  }
}

function badCharacter(where: string): Error {
  return codedError('ERR_INVALID_CHAR', `Invalid character in ${where}`)
}

/** The user and password of a URL, as every HTTP client sends them. */
function loginOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return `Basic ${Buffer.from(user).toString('base64')}`
}
