import { isObject, ownMember } from '../util/json.js'
import { envelopeVersion, type Message } from './message.js'
import { META, metaOf } from './meta.js'

const SENTINEL = /^=\?base64\?([A-Za-z0-9+/=]*)\?=$/i

const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/**
 * Writes a value of `Mcp-Name` or `Mcp-Param-*`: as it is, or in Base64 where a header cannot hold it.
 *
 * @see [MCP 2026-07-28, Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http)
 */
export function encodeHeaderValue(value: string): string {
  if (PLAIN.test(value) && !SENTINEL.test(value)) return value
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`
}

/** Reads a value of `Mcp-Name` or `Mcp-Param-*`. */
export function decodeHeaderValue(value: string): string {
  const encoded = SENTINEL.exec(value)?.[1]
  return encoded === undefined ? value : Buffer.from(encoded, 'base64').toString('utf8')
}

/**
 * Says what a request of the stateless protocol lacks in `_meta`.
 *
 * @see [MCP 2026-07-28, `_meta`](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta)
 */
export function envelopeProblem({ params }: Pick<Message, 'params'>): string | undefined {
  const meta = metaOf(params)
  if (typeof meta[META.version] !== 'string') return `_meta needs the string "${META.version}"`
  if (isObject(meta[META.clientCapabilities])) return undefined
  return `_meta needs the object "${META.clientCapabilities}"`
}

/** The member that `Mcp-Name` mirrors, by method. */
const NAME_MEMBER: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

/** Returns what `Mcp-Name` says of a message, not encoded; `undefined` where it is not sent. */
export function mcpNameOf({
  method,
  params,
}: Pick<Message, 'method' | 'params'>): string | undefined {
  const member = ownMember(NAME_MEMBER, method)
  const value = member === undefined ? undefined : ownMember(params, member)
  return typeof value === 'string' ? value : undefined
}

/**
 * Makes the headers that repeat what a request of 2026-07-28 says in its body, names and values in
 * turn. `MCP-Protocol-Version` and `Mcp-Param-*` are not among them.
 *
 * @param name See {@link mcpNameOf}.
 */
export function mirrorHeaders(method: string, name: string | undefined): string[] {
  const headers = ['mcp-method', method]
  if (name !== undefined) headers.push('mcp-name', encodeHeaderValue(name))
  return headers
}

/**
 * Compares a stateless request's headers with its body, as a server that reads the body must.
 * Notifications are exempt.
 *
 * @returns What differs, or `undefined` when nothing does.
 * @see [MCP 2026-07-28, Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http)
 */
export function headerMismatch(
  message: Message,
  header: (name: string) => string | undefined,
): string | undefined {
  if (message.kind !== 'request') return undefined
  const version = envelopeVersion(message)
  const sentVersion = header('mcp-protocol-version')
  if (version !== undefined && sentVersion !== version) {
    return differs('MCP-Protocol-Version', sentVersion, version)
  }
  const sentMethod = header('mcp-method')
  if (sentMethod !== message.method) return differs('Mcp-Method', sentMethod, message.method)
  const value = mcpNameOf(message)
  if (value === undefined) return undefined
  const sentName = header('mcp-name')
  if (sentName === undefined || decodeHeaderValue(sentName) !== value) {
    return differs('Mcp-Name', sentName, value)
  }
  return undefined
}

function differs(name: string, sent: string | undefined, body: string): string {
  const is = sent === undefined ? 'is missing' : `is ${JSON.stringify(sent)}`
  return `The header ${name} ${is}; the body says ${JSON.stringify(body)}`
}
/** The two types that an MCP answer may have. */
export const JSON_TYPE = 'application/json'

export const STREAM_TYPE = 'text/event-stream'

/** Returns a content type in lower case and without its parameters. */
export function mediaTypeOf(value: string | string[] | undefined): string | undefined {
  const first = Array.isArray(value) ? value[0] : value
  if (first === undefined || first === JSON_TYPE || first === STREAM_TYPE) return first
  return first.split(';', 1)[0]?.trim().toLowerCase()
}
