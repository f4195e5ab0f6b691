import type { ServerResponse } from 'node:http'
import { STEP_UP_NEEDED } from '../auth/verify/challenge-response.js'
import type { Reply, ReplyWatcher, StayingStream } from '../gateway/exchange.js'
import { messageData, withId } from '../mcp/incoming.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { isSameId } from '../mcp/message.js'
import { EventSplitter, HEARTBEAT, writeEvent } from '../mcp/sse.js'
import { isObject, tryParseJson } from '../util/json.js'
import { countWaiting, type MemoryBudget, UNCOUNTED_BYTES } from '../util/memory-budget.js'
import type { Roster, Rostered } from '../util/roster.js'
import type { HeaderList } from './origins.js'

const EVENT_STREAM: HeaderList = [
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-store, no-transform',
  'x-accel-buffering',
  'no',
]

/** What a reply needs to know of its request. */
export interface HttpReplyOwner {
  /** Sent with every answer. */
  readonly headers: HeaderList
  cutOff(): string
  /** Makes the challenge for missing scopes. */
  challenge(scopes: readonly string[]): string
  /** Makes the challenge for a missing step-up. */
  stepUpChallenge(scopes: readonly string[]): string
  /** Learns of a stream that opened; it is in `streams` until it ends. */
  readonly streams: Pick<Roster<HttpReply>, 'add' | 'delete'>
  /** Nobody waits for the end of this stream (GET, `subscriptions/listen`). */
  readonly isIdle: boolean
  readonly accepts?: Accepted
  /** The request's id, where it would not be written again as it was. */
  readonly writtenId?: WrittenId | undefined
  /** Counts what waits for clients to read it. */
  readonly memory?: MemoryBudget | undefined
  /** When the caller's token expires, milliseconds since the epoch. */
  readonly expiresAt: number
  /** Looks at a message before it leaves that may be ours, and returns what leaves. */
  own(message: string): string
  /** Called once when the response is over, whoever ended it. */
  onEnd(hasLeft: boolean): void
}

const NO_HEADERS: Readonly<Record<string, string>> = {}

/** Writes a gateway's reply as an HTTP response. */
export class HttpReply implements Reply, Rostered {
  place = -1
  stays: StayingStream | undefined
  readonly #response: ServerResponse
  readonly #owner: HttpReplyOwner
  #watcher: ReplyWatcher | undefined
  #left = false
  #isStream = false
  #isBody = false
  /** For a client that takes no stream: the response among what would have been on it. */
  #collected: { response: string | undefined } | undefined
  #waiting = 0

  constructor(response: ServerResponse, owner: HttpReplyOwner) {
    this.#response = response
    this.#owner = owner
    response.on('close', () => {
      owner.streams.delete(this)
      if (this.#waiting > 0) this.#count(0)
      this.#left = !response.writableFinished
      if (this.#left) this.#watcher?.onClose()
      owner.onEnd(this.#left)
    })
  }

  get watcher(): ReplyWatcher | undefined {
    return this.#watcher
  }

  /** Told at once when the client left before anybody wanted to know. */
  set watcher(watcher: ReplyWatcher | undefined) {
    this.#watcher = watcher
    if (this.#left) watcher?.onClose()
  }

  json(
    status: number,
    body: string | Buffer,
    headers: Readonly<Record<string, string>> = NO_HEADERS,
  ): void {
    if (this.#response.headersSent) return
    const { accepts, writtenId } = this.#owner
    const own = writtenId === undefined ? body : withWrittenId(body.toString(), writtenId)
    const sent = typeof own === 'string' ? this.#owner.own(own) : own
    if (accepts === 'events' && status === 200) {
      const head = [...this.#owner.headers, ...EVENT_STREAM, ...Object.entries(headers).flat()]
      return void this.#response.writeHead(200, head).end(asEvent(sent))
    }
    const bytes = Buffer.byteLength(sent)
    const all = ['content-type', 'application/json', 'cache-control', 'no-store']
    all.push('content-length', String(bytes), ...this.#owner.headers)
    if (headers !== NO_HEADERS) all.push(...Object.entries(headers).flat())
    this.#response.writeHead(status, all)
    // Node copies ASCII as Latin-1, and writes UTF-8 character by character
    this.#response.end(sent, bytes === sent.length ? 'latin1' : 'utf8')
    if (sent.length > UNCOUNTED_BYTES) this.#count(this.#response.writableLength)
  }

  openBody(): boolean {
    const { accepts, writtenId } = this.#owner
    if (this.#left || this.#response.headersSent || accepts === 'events' || writtenId) return false
    const type = ['content-type', 'application/json', 'cache-control', 'no-store']
    this.#response.writeHead(200, [...this.#owner.headers, ...type])
    this.#isBody = true
    return true
  }

  breakOff = (): void => void this.#response.destroy()

  empty(status: number): void {
    if (this.#response.headersSent) return
    const headers = [...this.#owner.headers, 'content-length', '0']
    if (status === 405) headers.push('allow', 'POST, DELETE')
    this.#response.writeHead(status, headers).end()
  }

  get isStream(): boolean {
    return this.#isStream
  }

  get isIdle(): boolean {
    return this.#owner.isIdle
  }

  openStream(): void {
    // the client left already: nothing would remove the stream from the open ones
    if (this.#left || this.#response.headersSent) return
    if (this.#owner.accepts === 'json' && !this.isIdle) {
      this.#collected = { response: undefined }
      return
    }
    this.#response.writeHead(200, [...this.#owner.headers, ...EVENT_STREAM])
    this.#response.flushHeaders()
    this.#isStream = true
    this.#owner.streams.add(this)
  }

  write(events: string | Buffer): boolean {
    if (this.#response.destroyed || this.#response.writableEnded) return true
    if (this.#collected !== undefined) {
      this.#collected.response ??= responseAmong(events)
      return true
    }
    const { writtenId } = this.#owner
    const own = writtenId === undefined ? events : eventsWithWrittenId(events, writtenId)
    const ready = this.#response.write(own)
    if (ready) return true
    this.#count(this.#response.writableLength)
    if (!this.#response.listenerCount('drain')) {
      this.#response.on('drain', () => {
        this.#count(0)
        this.#watcher?.onDrain()
      })
    }
    return false
  }

  endStream(): void {
    if (this.#collected === undefined) this.#response.end()
    else this.json(200, this.#collected.response ?? this.#owner.cutOff())
  }

  /** Counts the bytes that the client has not taken yet. */
  #count(bytes: number): void {
    this.#waiting = countWaiting(this.#owner.memory, this.#waiting, bytes)
  }

  insufficientScope(id: RequestId, scopes: readonly string[]): void {
    const error = { code: -32603, message: `This call needs the scopes: ${scopes.join(' ')}` }
    const challenge = this.#owner.challenge(scopes)
    this.json(403, errorResponse(id, error), { 'www-authenticate': challenge })
  }

  stepUpNeeded(id: RequestId, scopes: readonly string[]): void {
    const challenge = this.#owner.stepUpChallenge(scopes)
    const error = { code: -32603, message: `${STEP_UP_NEEDED}, and call it again` }
    this.json(401, errorResponse(id, error), { 'www-authenticate': challenge })
  }

  /**
   * Tells intermediaries and the client that the stream is alive. One that nobody waits for ends with
   * the token that it was opened with, so that the client comes again with a new one.
   *
   * @param now Milliseconds since the epoch.
   */
  heartbeat(now: number): void {
    if (this.isIdle && now >= this.#owner.expiresAt) return this.finish()
    if (!this.#response.writableNeedDrain) this.#response.write(HEARTBEAT)
  }

  /**
   * Ends the reply from our side before it is whole.
   *
   * @param message The error to end with; without one, nobody waits for an answer.
   */
  expire(message: string | undefined): void {
    if (this.#response.writableEnded) return
    this.#watcher?.onClose()
    if (this.#isBody) return this.breakOff()
    if (!this.#isStream) return message === undefined ? this.empty(504) : this.json(200, message)
    if (message !== undefined) this.write(writeEvent(this.#owner.own(message)))
    this.#response.end()
  }

  /** Ends the stream from our side, in order. */
  finish(): void {
    if (this.#response.writableEnded) return
    this.#watcher?.onShutdown?.()
    this.#watcher?.onClose()
    this.#response.end()
  }
}

/** The form of answers that a client takes. MCP requires both; some accept one only. */
export type Accepted = 'both' | 'json' | 'events'

const JSON_TYPES: ReadonlySet<string> = new Set(['application/json', 'application/*', '*/*'])

const EVENT_TYPES: ReadonlySet<string> = new Set(['text/event-stream', 'text/*', '*/*'])

const USUAL = 'application/json, text/event-stream'

/** Reads `Accept`. With neither form in it, or without the header, the answer has the form that it comes in. */
export function readAccepted(accept: string | undefined): Accepted {
  if (accept === undefined || accept === USUAL) return 'both'
  let json = false
  let events = false
  for (const range of accept.split(',')) {
    const [type = '', ...params] = range.split(';').map((part) => part.trim().toLowerCase())
    if (params.some((param) => /^q ?= ?0(\.0{0,3})?$/.test(param))) continue
    json ||= JSON_TYPES.has(type)
    events ||= EVENT_TYPES.has(type)
  }
  if (json === events) return 'both'
  return json ? 'json' : 'events'
}

/** An id that is not written again as it was, such as a number beyond 2^53. */
export interface WrittenId {
  readonly id: RequestId
  readonly text: string
}

/** Gives the response to a request the id as its client wrote it. */
function withWrittenId(body: string, { id, text }: WrittenId): string {
  const message = tryParseJson(body)
  const isResponse = isObject(message) && !('method' in message) && isSameId(message['id'], id)
  return isResponse ? withId(body, text) : body
}

/** Does the same for the responses among events. */
function eventsWithWrittenId(events: string | Buffer, written: WrittenId): string {
  let result = ''
  new EventSplitter().each(Buffer.from(events), (fields, bytes) => {
    const data = messageData(fields)
    const own = data === undefined ? undefined : withWrittenId(data, written)
    result += own === undefined || own === data ? bytes.toString('utf8') : writeEvent(own, fields)
  })
  return result
}

/** Returns the response among events, for a client that takes nothing else. */
function responseAmong(events: string | Buffer): string | undefined {
  let response: string | undefined
  new EventSplitter().each(Buffer.from(events), (fields) => {
    const data = messageData(fields)
    const message = data === undefined ? undefined : tryParseJson(data)
    if (isObject(message) && !('method' in message)) response ??= data
  })
  return response
}

/** Writes a whole message as the one event of a stream. */
function asEvent(body: string | Buffer): string {
  return writeEvent(body.toString().replace(/[\r\n]+/g, ' '))
}
