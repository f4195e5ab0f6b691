import { isUtf8 } from 'node:buffer'
import { type Awaited, readIncoming, writtenIds } from '../../mcp/incoming.js'
import { memberText, objectText } from '../../mcp/json-text.js'
import { MAX_MESSAGE_BYTES, type RequestId } from '../../mcp/jsonrpc.js'
import { hasLookalike, isPlainId, isSameId } from '../../mcp/message.js'
import { writeEvent } from '../../mcp/sse.js'
import { MAX_REFUSAL_BYTES } from '../../upstream/upstream.js'
import type { FailureCause } from '../../util/failure.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { HeldBytes, UNCOUNTED_BYTES } from '../../util/memory-budget.js'
import { decodeUtf8 } from '../../util/text.js'
import type { AnswerListener, HeaderFields, UpstreamSend } from './upstream-send.js'

/** Node sends a short string in one packet with the head, which is faster than a buffer after it. */
const MAX_TEXT_BYTES = 4096

/** What follows from a piece of an answer. */
export type Kept = 'more' | 'pause' | 'too large' | 'no room'

/**
 * The body of an answer: collected, counted in what all answers may hold together, or handed on piece
 * by piece where it is large and its listener can use it so.
 */
export class AnswerBody implements Awaited {
  readonly #listener: AnswerListener
  readonly #send: UpstreamSend
  #held: HeldBytes | undefined
  #chunks: Buffer[] = []
  #bytes = 0
  #isLarge: boolean | undefined

  constructor(send: UpstreamSend, listener: AnswerListener) {
    this.#send = send
    this.#listener = listener
  }

  get id(): RequestId | undefined {
    return this.#send.id
  }

  idText(): string {
    const { id, body } = this.#send
    return (body && memberText(body.toString(), 'id')) ?? JSON.stringify(id)
  }

  /** It went on piece by piece, and there is nothing to be read as a whole. */
  get isLarge(): boolean {
    return this.#isLarge === true
  }

  keep(chunk: Buffer, status: number): Kept {
    if (this.#isLarge) return this.#listener.piece?.(chunk) === false ? 'pause' : 'more'
    this.#bytes += chunk.length
    if (this.#bytes > (status < 400 ? MAX_MESSAGE_BYTES : MAX_REFUSAL_BYTES)) return 'too large'
    this.#chunks.push(chunk)
    if (!this.hold(this.#bytes)) return 'no room'
    if (this.#bytes > MAX_PARSED_BYTES && this.#isLarge === undefined) this.#offer(status)
    return 'more'
  }

  #offer(status: number): void {
    const start = this.whole()
    this.#isLarge = status === 200 && this.#listener.large?.(start) === true
    this.#chunks = this.#isLarge ? [] : [start]
    if (this.#isLarge) this.hold(0)
  }

  whole(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks)
  }

  /** Counts this many bytes as held in memory; false when there is no room for them. */
  hold(bytes: number): boolean {
    const { memory } = this.#send.target
    if (memory === undefined) return true
    if (this.#held === undefined && bytes <= UNCOUNTED_BYTES) return true
    this.#held ??= new HeldBytes(memory)
    return this.#held.set(bytes)
  }

  /**
   * Passes on a whole JSON answer, repaired where that is needed and possible.
   *
   * @returns What is wrong with it when it cannot be passed on.
   */
  pass(status: number, head: HeaderFields): string | undefined {
    const body = this.whole()
    const text = body.length <= MAX_TEXT_BYTES ? decodeUtf8(body) : undefined
    const problem = checkAnswer(body, this.#send.id as RequestId, text)
    if (problem === undefined) {
      this.#listener.answer(status, body, head, text)
      return undefined
    }
    const mended = mendAnswer(body, this)
    if (mended === undefined) return problem
    if (mended.before.length === 0) {
      this.#listener.answer(status, Buffer.from(mended.response), head)
      return undefined
    }
    this.#listener.streaming(head)
    for (const message of [...mended.before, mended.response]) {
      const event = Buffer.from(writeEvent(message))
      this.#listener.events(event, [event.length])
    }
    this.#listener.streamEnded()
    return undefined
  }

  clear(): void {
    this.#chunks = []
    this.#bytes = 0
    this.hold(0)
  }
}

/** Of larger answers only the ids are checked: parsing them would block all other requests. */
const MAX_PARSED_BYTES = 1024 * 1024

/** Larger answers that fail the check are not repaired. */
const MAX_MENDED_BYTES = 8 * 1024 * 1024

/** Error codes that are about the protocol itself and not about a missing session. */
const PROTOCOL_CODES: ReadonlySet<unknown> = new Set([-32020, -32021, -32022, -32602, -32601])

/**
 * Checks that a JSON answer is the response to one request and can be passed on unchanged.
 *
 * @param text The body decoded, where that was done already.
 * @returns What is wrong with it, or `undefined`.
 */
export function checkAnswer(body: Buffer, id: RequestId, text?: string): string | undefined {
  if (!isUtf8(body)) return 'its answer is not valid UTF-8'
  if (body.length > MAX_PARSED_BYTES) return checkLarge(body, id)
  const value = tryParseJson(text ?? decodeUtf8(body))
  if (!isObject(value)) return 'its answer is not valid JSON'
  const isExact = value['id'] === id && isPlainId(id) && value['jsonrpc'] === '2.0'
  return isExact && isResponseTo(value, id) && !hasLookalike(value)
    ? undefined
    : 'its answer is not a response to this request'
}

/** Every id counts: which of two a client takes is not known. */
function checkLarge(body: Buffer, id: RequestId): string | undefined {
  const ids = writtenIds(body.toString('latin1'))
  if (ids === undefined) return 'its answer is not a JSON object'
  const written = inBytes(JSON.stringify(id))
  const isOther = ids.length === 0 || ids.some((other) => other !== written)
  return isOther ? 'its answer is not a response to this request' : undefined
}

const ID = String.raw`"id"\s{0,9}:\s{0,9}("[^"\\]{0,128}"|-?\d{1,20}|null)`

const VERSION = String.raw`"jsonrpc"\s{0,9}:\s{0,9}"2\.0"`

const IN_HEAD = new RegExp(String.raw`^\s{0,9}\{\s{0,9}(?:${VERSION}\s{0,9},\s{0,9})?${ID}\s{0,9},`)

const IN_TAIL = new RegExp(String.raw`,\s{0,9}${ID}\s{0,9}(?:,\s{0,9}${VERSION}\s{0,9})?\}\s{0,9}$`)

/** Writes each byte of a text's UTF-8 as a character, as texts are read here that are not decoded. */
export function inBytes(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** Returns the id's JSON text where it stands before the result, as some serializers write it. */
export function idInHead(head: string): string | undefined {
  return IN_HEAD.exec(head)?.[1]
}

/**
 * Writes the id at the end of a response as the client wrote it, where the target wrote it differently.
 *
 * @param tail One byte a character, as the text that is returned.
 * @returns `undefined` when the response is to another request.
 */
export function mendTail(tail: string, awaited: Awaited): string | undefined {
  const [end = '', written = ''] = IN_TAIL.exec(tail) ?? []
  if (written === '') return tail
  const id = tryParseJson(Buffer.from(written, 'latin1').toString())
  if (!isSameId(id, awaited.id)) return undefined
  const at = tail.length - end.length + end.indexOf(written, end.indexOf(':'))
  return tail.slice(0, at) + inBytes(awaited.idText()) + tail.slice(at + written.length)
}

/** What could be made of an answer that failed the check. */
type Mended =
  /** The repaired response, and the messages that precede it in an array. */
  | { readonly response: string; readonly before: readonly string[] }
  /** It holds a response to another request, or none. */
  | undefined

/** Repairs a JSON answer that {@link checkAnswer} refused, as far as the official SDKs accept it. */
function mendAnswer(body: Buffer, awaited: Awaited): Mended {
  if (body.length > MAX_MENDED_BYTES || !isUtf8(body)) return undefined
  const before: string[] = []
  for (const { kind, text } of readIncoming(body.toString('utf8'), awaited)) {
    if (kind === 'foreign') return undefined
    if (kind === 'response') return { response: text, before }
    before.push(text)
  }
  return undefined
}

/** Tells whether a message is the JSON-RPC response to the request with this id. */
export function isResponseTo(value: JsonObject, id: RequestId): boolean {
  const isError = isObject(value['error'])
  if (!isError && !('result' in value)) return false
  return isSameId(value['id'], id) || (isError && value['id'] == null)
}

/**
 * Reads the body of a 4xx.
 *
 * @returns The JSON-RPC error in it, with the request's id, and whether it is about the protocol;
 *   `undefined` when the body is anything else.
 */
function checkRefusal(
  body: Buffer,
  awaited: Awaited,
): { bytes: Buffer; protocol: boolean } | undefined {
  const whole = body.toString('utf8')
  const text = whole.replace(/^\ufeff/, '')
  const value = tryParseJson(text)
  if (!isObject(value) || !isObject(value['error'])) return undefined
  const { error } = value
  if (typeof error['code'] !== 'number' || typeof error['message'] !== 'string') return undefined
  const protocol = PROTOCOL_CODES.has(error['code'])
  if (value['id'] === awaited.id && isPlainId(awaited.id)) {
    return { bytes: text === whole ? body : Buffer.from(text), protocol }
  }
  // taken from the text, so that large numbers keep their digits
  const own = objectText(text, 'error')
  const members = ['code', 'message', ...(isObject(error['data']) ? ['data'] : [])]
  const wire = members.map((name) => `${JSON.stringify(name)}:${memberText(own, name)}`).join(',')
  const response = `{"jsonrpc":"2.0","id":${awaited.idText()},"error":{${wire}}}`
  return { bytes: Buffer.from(response), protocol }
}

const LOST = 'it no longer knows the session'

const MAX_WORDS = 300

/** "No valid session ID provided", "Session not found", and "Server not initialized" after a restart. */
const SESSION_WORDS = /session|not initialized/i

/**
 * Tells whether a 400 in a session may mean that the session is gone, in the words of the official
 * SDKs' examples. That is a guess: callers probe the target before they act on it.
 */
function speaksOfSession(body: Buffer): boolean {
  const text = body.toString('utf8')
  const value = tryParseJson(text)
  const error = isObject(value) ? (value['error'] ?? value['message']) : text
  if (!isObject(error)) return SESSION_WORDS.test(String(error).slice(0, MAX_WORDS))
  if (PROTOCOL_CODES.has(error['code'])) return false
  return SESSION_WORDS.test(String(error['message']).slice(0, MAX_WORDS))
}

export type RefusalVerdict =
  /** The target's own JSON-RPC error, to be passed on with its status. */
  | { cause: undefined; answer: Buffer }
  | { cause: FailureCause; reason: string; answer: Buffer | undefined }

/** Tells what a 4xx is: the target's own JSON-RPC error, a lost or missing session, or no MCP. */
export function classifyRefusal(
  status: number,
  body: Buffer,
  { id, inSession }: Pick<UpstreamSend, 'id' | 'inSession'>,
  awaited: Awaited = { id, idText: () => JSON.stringify(id) },
): RefusalVerdict {
  const error = id === undefined ? undefined : checkRefusal(body, awaited)
  const answer = error?.bytes
  if (inSession && (status === 404 || (status === 400 && speaksOfSession(body)))) {
    if (status === 400) return { cause: 'session_lost', reason: LOST, answer }
    return { cause: 'session_lost', reason: LOST, answer: undefined }
  }
  if (status === 400 && !inSession && error?.protocol !== true) {
    return { cause: 'session_required', reason: 'it answered HTTP 400', answer }
  }
  if (answer !== undefined) return { cause: undefined, answer }
  return { cause: 'http_status', reason: `it answered HTTP ${status}`, answer: undefined }
}

/** A stream that resumes one that broke off. */
export interface Resumed {
  /** The request whose answer is to come; `undefined` where only the target's session knows it. */
  request: RequestId | undefined
}

/** Tells whether a message is the answer that a stream was resumed for. */
export function isAnswerTo(message: unknown, { request }: Resumed): boolean {
  if (!isObject(message) || 'method' in message) return false
  if (request !== undefined) return isResponseTo(message, request)
  return 'result' in message || isObject(message['error'])
}
