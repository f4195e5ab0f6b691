import { isUtf8 } from 'node:buffer'
import { isObject, type JsonObject } from '../util/json.js'
import { decodeUtf8, foldName } from '../util/text.js'
import {
  type Member,
  memberText,
  putMembers,
  scanMembers,
  skipSpace,
  type TextSpan,
  withoutMember,
} from './json-text.js'
import { ERROR_CODES, type RequestId, type WireError } from './jsonrpc.js'
import { META } from './meta.js'
import { STATELESS_VERSION } from './versions.js'

const ENVELOPE: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'result', 'error'])

/** Tells whether a lenient client may take a member for one of the envelope that it is not. */
export function hasLookalike(message: JsonObject): boolean {
  for (const name in message) {
    if (!ENVELOPE.has(name) && ENVELOPE.has(foldName(name))) return true
  }
  return false
}

/**
 * Tells whether a response's id is that of a request. The SDKs of Python and TypeScript accept the
 * text of a number as the number.
 */
export function isSameId(given: unknown, id: RequestId | undefined): boolean {
  if (given === id) return id !== undefined
  if (typeof given === 'string' && typeof id === 'number') {
    return given.trim() !== '' && Number(given) === id
  }
  return typeof given === 'number' && typeof id === 'string' && String(given) === id
}

/** Tells whether a parsed id is safe to write again; other numbers would lose their spelling. */
export function isPlainId(id: RequestId | null | undefined): boolean {
  return typeof id !== 'number' || Number.isSafeInteger(id)
}

/** Returns the protocol version of the message's `_meta` envelope, if it has one. */
export function envelopeVersion(message: Message): string | undefined {
  const meta = message.params['_meta']
  if (!isObject(meta)) return undefined
  const version = meta[META.version]
  return typeof version === 'string' ? version : undefined
}

/** Tells whether a message is one of the stateless protocol: its body decides, not its headers. */
export function isStateless(message: Message): boolean {
  const version = envelopeVersion(message)
  if (version !== undefined) return version >= STATELESS_VERSION
  return message.method === 'server/discover' || message.method === 'subscriptions/listen'
}

/**
 * Tells whether a message claims the stateless protocol by its header alone. `initialize` and
 * responses exist in the session-based protocol only, whatever their headers say.
 *
 * @param header Its `MCP-Protocol-Version`.
 */
export function claimsStateless({ kind, method }: Message, header: string | undefined): boolean {
  return header === STATELESS_VERSION && kind !== 'response' && method !== 'initialize'
}

/** One JSON-RPC message of a client, parsed once, with the text it came as. */
export interface Message {
  readonly kind: 'request' | 'notification' | 'response'
  readonly text: string
  /** Present on requests and responses. */
  readonly id: RequestId | undefined
  /** '' on responses. */
  readonly method: string
  /** {} when absent. */
  readonly params: JsonObject
  /** Where the value of a member stands: `id`, `name`, `uri`, `ref.name`, `ref.uri`, … */
  readonly spans: ReadonlyMap<string, TextSpan>
}

/** A message that is refused before anything is decided from it. */
export class InvalidMessageError extends Error {
  readonly wire: WireError
  /** The request's id when it could be read. */
  readonly id: RequestId | null

  constructor(code: number, message: string, id: RequestId | null = null) {
    super(message)
    this.wire = { code, message }
    this.id = id
  }
}

const MAX_DEPTH = 128

const PARAMS_MEMBERS = ['name', 'arguments', 'uri', 'cursor', 'ref', 'argument', 'context']
  .concat([
    '_meta',
    'level',
    'protocolVersion',
    'capabilities',
    'clientInfo',
    'requestId',
    'progressToken',
    'reason',
  ])
  .concat(['task', 'taskId', 'notifications', 'inputResponses', 'requestState'])

const KNOWN = {
  message: spellings(['jsonrpc', 'id', 'method', 'params', 'result', 'error']),
  params: spellings(PARAMS_MEMBERS),
  ref: spellings(['type', 'name', 'uri']),
}

/**
 * Parses the body of a client's POST. Refuses what two parsers could read differently: batches,
 * duplicate members, and members that differ from a known one only in case, in the message, its
 * `params` and a completion's `ref`.
 *
 * @throws {InvalidMessageError} `-32700` when it is not JSON, `-32600` when it is not one message.
 * @see [JSON-RPC 2.0 §4](https://www.jsonrpc.org/specification#request_object)
 */
export function parseMessage(body: Buffer): Message {
  if (!isUtf8(body)) {
    throw new InvalidMessageError(ERROR_CODES.parseError, 'The body is not valid UTF-8')
  }
  return parseMessageText(decodeUtf8(body))
}

/** Parses one message from text, with the same refusals as {@link parseMessage}. */
export function parseMessageText(text: string): Message {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new InvalidMessageError(ERROR_CODES.parseError, 'The body is not valid JSON')
  }
  if (Array.isArray(value)) throw invalid('Batches are not supported: send one message per request')
  if (!isObject(value)) throw invalid('The body is not a JSON-RPC message')
  const given = value['id']
  const id = typeof given === 'string' || typeof given === 'number' ? given : null
  const spans = new Map<string, TextSpan>()
  const top = members(text, skipSpace(text, 0), 'message', id)
  for (const member of top) {
    if (member.key === 'id') spans.set('id', member)
    else if (member.key === 'params' && isObject(value['params'])) {
      collectParams(text, member, id, value['params'], spans)
    }
  }
  const tidy = withoutNulls(value, text)
  return tidy === undefined ? classify(value, text, id, spans) : parseMessageText(tidy)
}

function classify(
  value: JsonObject,
  text: string,
  id: RequestId | null,
  spans: ReadonlyMap<string, TextSpan>,
): Message {
  if (value['jsonrpc'] !== '2.0') throw invalid('The member "jsonrpc" must be "2.0"', id)
  const { method, params } = value
  if (method === undefined) {
    if (id === null || 'result' in value === 'error' in value) {
      throw invalid('The message is neither a request nor a response', id)
    }
    return { kind: 'response', text, id, method: '', params: {}, spans }
  }
  if (typeof method !== 'string') throw invalid('The member "method" must be a string', id)
  if (params !== undefined && !isObject(params)) {
    throw invalid('The member "params" must be an object', id)
  }
  if ('id' in value && id === null) throw invalid('The member "id" must be a string or a number')
  const kind = id === null ? 'notification' : 'request'
  return { kind, text, id: id ?? undefined, method, params: params ?? {}, spans }
}

function collectParams(
  text: string,
  at: Member,
  id: RequestId | null,
  params: JsonObject,
  spans: Map<string, TextSpan>,
): void {
  for (const member of members(text, at.start, 'params', id)) {
    // the message's own `id` and the members of `ref` keep their places
    if (member.key !== 'id' && !member.key.startsWith('ref.')) spans.set(member.key, member)
    if (member.key !== 'ref' || !isObject(params['ref'])) continue
    for (const inner of members(text, member.start, 'ref', id)) spans.set(`ref.${inner.key}`, inner)
  }
}

function members(
  text: string,
  start: number,
  where: keyof typeof KNOWN,
  id: RequestId | null,
): Member[] {
  const list = scanMembers(text, start, MAX_DEPTH)
  if (list === undefined) throw invalid(`The message is nested deeper than ${MAX_DEPTH}`, id)
  const { names, known } = KNOWN[where]
  for (const { key } of list) {
    const canonical = names.has(key) ? key : known.get(fold(key))
    if (canonical !== undefined && canonical !== key) {
      throw invalid(`The member ${JSON.stringify(key)} must be written "${canonical}"`, id)
    }
  }
  const twice = findTwice(list)
  if (twice === undefined) return list
  throw invalid(`The member ${JSON.stringify(twice)} stands twice in the ${where}`, id)
}

const FEW = 8

/** Finds a key that occurs twice; with few keys, comparing all pairs is fastest. */
function findTwice(list: readonly Member[]): string | undefined {
  if (list.length > FEW) {
    const seen = new Set<string>()
    return list.find(({ key }) => seen.size === seen.add(key).size)?.key
  }
  for (let i = 1; i < list.length; i++) {
    for (let j = 0; j < i; j++) if (list[i]?.key === list[j]?.key) return list[i]?.key
  }
  return undefined
}

function invalid(message: string, id: RequestId | null = null): InvalidMessageError {
  return new InvalidMessageError(ERROR_CODES.invalidRequest, message, id)
}

/** The exact names, and the exact name for each name in any case. */
function spellings(names: readonly string[]) {
  return { names: new Set(names), known: new Map(names.map((name) => [fold(name), name])) }
}

/** Folds case as lenient parsers do, for whom the long s is an s and the Kelvin sign a k. */
function fold(name: string): string {
  return name.toLowerCase().toUpperCase()
}

/** Returns the id of a message as it is written; `null` where it has none. */
export function idText({ text, spans }: Pick<Message, 'text' | 'spans'>): string {
  const span = spans.get('id')
  return span === undefined ? 'null' : text.slice(span.start, span.end)
}

/**
 * Takes a `params` or `cursor` that is null out of a message: some serializers write every member of a
 * type, and servers refuse that.
 *
 * @returns `undefined` when there are none.
 */
function withoutNulls(message: JsonObject, text: string): string | undefined {
  const { params } = message
  if (params === null) return withoutMember(text, 'params')
  if (!isObject(params) || params['cursor'] !== null) return undefined
  return putMembers(text, { params: withoutMember(memberText(text, 'params') ?? '{}', 'cursor') })
}
