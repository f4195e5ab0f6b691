import { endOfString, isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { elementsAt, putMembers, skipSpace } from './json-text.js'
import type { RequestId } from './jsonrpc.js'
import { hasLookalike, isPlainId, isSameId } from './message.js'
import type { EventFields } from './sse.js'

/**
 * Reads messages of servers, in JSON bodies, events and lines. It accepts what the official SDKs
 * accept, and hands on messages that every client understands.
 */

/** What a message of a server is, seen from one request that awaits its response. */
export type IncomingKind =
  /** The response to the request. */
  | 'response'
  /** A request, or a notification. */
  | 'message'
  /** The response to another request. */
  | 'foreign'

export interface Incoming {
  readonly kind: IncomingKind
  /** The message as it may be handed on: a response has the id that the client wrote. */
  readonly text: string
}

/** The request whose response is awaited. */
export interface Awaited {
  /** `undefined` on a stream without a request of its own, where every response is foreign. */
  readonly id: RequestId | undefined
  /** Returns the id as the client wrote it; called only where a response has to be changed. */
  idText(): string
}

const BOM = '\ufeff'

/**
 * Reads the JSON-RPC messages in a text: one, or those of an array. Anything else is skipped, as the
 * official SDKs skip a heartbeat.
 */
export function readIncoming(data: string, awaited: Awaited): readonly Incoming[] {
  const found: Incoming[] = []
  eachValue(data, (value, text) => {
    const incoming = readOne(value, text, awaited)
    if (incoming !== undefined) found.push(incoming)
  })
  return found
}

/** Hands out the JSON value in a text with its own text, or each of those in an array. */
export function eachValue(data: string, onValue: (value: unknown, text: string) => void): void {
  const text = data.startsWith(BOM) ? data.slice(1) : data
  const value = tryParseJson(text)
  if (!Array.isArray(value)) return onValue(value, text)
  for (const [index, { start, end }] of elementsAt(text, 0).entries()) {
    onValue(value[index], text.slice(start, end))
  }
}

/** Finds the response in a text of a server, whichever request it is to. */
export function anyResponse(data: string): JsonObject | undefined {
  let found: JsonObject | undefined
  eachValue(data, (value) => {
    const isResponse = isObject(value) && ('result' in value || 'error' in value)
    if (isResponse) found ??= value
  })
  return found
}

/** Nobody names a member of the envelope so long, but to hide there which one it is taken for. */
const MAX_NAME_TEXT = 4096

/**
 * Lists the ids that a message has, as JSON texts, without parsing it: of a large one that would keep
 * all others waiting. Of text that is no JSON it finds any ids or none.
 *
 * @param text One byte a character.
 * @returns `undefined` when it is no object, or has a member that {@link hasLookalike} refuses.
 */
export function writtenIds(text: string): string[] | undefined {
  const ids: string[] = []
  let name: string | undefined
  let depth = 0
  let valueAt = 0
  for (let i = skipSpace(text, 0); i < text.length; i++) {
    const c = text[i]
    if (c === '"') {
      const end = endOfString(text, i)
      if (depth === 1 && name === undefined) {
        const written = Buffer.from(text.slice(i, end + 1), 'latin1').toString()
        if (written.length > MAX_NAME_TEXT) return undefined
        name = String(tryParseJson(written))
        if (hasLookalike({ [name]: 0 })) return undefined
      }
      i = end
    } else if (c === '{' || c === '[') depth++
    else if (depth === 1 && c === ':') valueAt = i + 1
    else if (depth === 1 && (c === ',' || c === '}')) {
      if (name === 'id') ids.push(text.slice(valueAt, i).trim())
      name = undefined
      if (c === '}') return ids
    } else if (c === '}' || c === ']') depth--
    if (depth === 0) return undefined
  }
  return undefined
}

/**
 * Finds the JSON-RPC error in the body of a refusal. HTTP says which request it belongs to, so that it
 * may have any id.
 *
 * @param idText The id that it is to have, as JSON.
 */
export function errorIn(data: string, idText: string): string | undefined {
  let found: string | undefined
  eachValue(data, (value, text) => {
    if (errorCodeOf(value) !== undefined) found ??= withId(text, idText)
  })
  return found
}

/** Returns the code of an error response; `undefined` when the message is none. */
export function errorCodeOf(message: unknown): number | undefined {
  const error = isObject(message) ? message['error'] : undefined
  const code = isObject(error) ? error['code'] : undefined
  return typeof code === 'number' ? code : undefined
}

function readOne(value: unknown, text: string, awaited: Awaited): Incoming | undefined {
  if (!isObject(value)) return undefined
  const { jsonrpc, method, id, error } = value
  if (method !== undefined) {
    return jsonrpc === '2.0' && typeof method === 'string' ? { kind: 'message', text } : undefined
  }
  const isError = isObject(error)
  if (!isError && !('result' in value)) return undefined
  if (hasLookalike(value)) return { kind: 'foreign', text }
  if (isSameId(id, awaited.id)) {
    const isExact = jsonrpc === '2.0' && isPlainId(awaited.id) && id === awaited.id
    return { kind: 'response', text: isExact ? text : withId(text, awaited.idText()) }
  }
  // a server that could not read the request answers with an error without an id
  if (isError && id == null && awaited.id !== undefined) {
    return { kind: 'response', text: withId(text, awaited.idText()) }
  }
  return jsonrpc === '2.0' && id != null ? { kind: 'foreign', text } : undefined
}

/** Writes a response under another id, and as JSON-RPC 2.0 whatever it said before. */
export function withId(text: string, idText: string): string {
  return putMembers(text, { jsonrpc: '"2.0"', id: idText })
}

type MessageFields = Pick<EventFields, 'event' | 'data'>

/**
 * Returns the data of an event that can carry a message; `undefined` for events without data, as those
 * that prime a stream, and for events of other types than `message`.
 */
export function messageData({ event, data }: MessageFields): string | undefined {
  return data && (!event || event === 'message') ? data : undefined
}

/** Reads the JSON-RPC messages in an event. */
export function incomingOf(fields: MessageFields, awaited: Awaited): readonly Incoming[] {
  const data = messageData(fields)
  return data === undefined ? [] : readIncoming(data, awaited)
}

const NOBODY: Awaited = { id: undefined, idText: () => 'null' }

/** Lists the requests and notifications in an event of a stream that answers to no request. */
export function messagesIn(fields: MessageFields): string[] {
  const messages = incomingOf(fields, NOBODY).filter(({ kind }) => kind === 'message')
  return messages.map(({ text }) => text)
}

/** Finds the number of ours that an answer names; an error without an id belongs to the only open one. */
export function numberOf(
  id: unknown,
  isError: boolean,
  open: ReadonlyMap<number, unknown>,
): number | undefined {
  if (typeof id === 'number') return id
  if (typeof id === 'string' && id.trim() !== '') return Number(id)
  const [only] = open.keys()
  return isError && id == null && open.size === 1 ? only : undefined
}
