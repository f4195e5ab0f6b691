import { isSameId, messageData, withId } from '../mcp/incoming.js'
import type { RequestId } from '../mcp/jsonrpc.js'
import { EventSplitter, writeEvent } from '../mcp/sse.js'
import { isObject, tryParseJson } from '../util/json.js'

/** The form of answers that a client takes. MCP asks for both; some ask for one. */
export type Accepted = 'both' | 'json' | 'events'

const JSON_TYPES: ReadonlySet<string> = new Set(['application/json', 'application/*', '*/*'])
const EVENT_TYPES: ReadonlySet<string> = new Set(['text/event-stream', 'text/*', '*/*'])
const USUAL = 'application/json, text/event-stream'

/** Reads `Accept`. Whoever names neither form gets what comes, as without the header. */
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
export function withWrittenId(body: string, { id, text }: WrittenId): string {
  const message = tryParseJson(body)
  const isResponse = isObject(message) && !('method' in message) && isSameId(message['id'], id)
  return isResponse ? withId(body, text) : body
}

/** Does the same for the responses among events. */
export function eventsWithWrittenId(events: string | Buffer, written: WrittenId): string {
  let result = ''
  new EventSplitter().each(Buffer.from(events), (fields, bytes) => {
    const data = messageData(fields)
    const own = data === undefined ? undefined : withWrittenId(data, written)
    result += own === undefined || own === data ? bytes.toString('utf8') : writeEvent(own, fields)
  })
  return result
}

/** Returns the response among events, for a client that takes nothing else. */
export function responseAmong(events: string | Buffer): string | undefined {
  let response: string | undefined
  new EventSplitter().each(Buffer.from(events), (fields) => {
    const data = messageData(fields)
    const message = data === undefined ? undefined : tryParseJson(data)
    if (isObject(message) && !('method' in message)) response ??= data
  })
  return response
}

/** Writes a whole message as the one event of a stream. */
export function asEvent(body: string | Buffer): string {
  return writeEvent(body.toString().replace(/[\r\n]+/g, ' '))
}
