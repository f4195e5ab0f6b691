import type { Message } from './message.js'
import { MODERN_VERSION } from './versions.js'

const SENTINEL = /^=\?base64\?([A-Za-z0-9+/=]*)\?=$/i
const PLAIN = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

/** `_meta` member that carries the protocol version since 2026-07-28. */
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion'

/**
 * Writes a value of `Mcp-Name` or `Mcp-Param-*`: as it is when plain, else Base64 in the sentinel.
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

/** Returns the protocol version of the message's `_meta` envelope, if it has one. */
export function envelopeVersion(message: Message): string | undefined {
  const meta = message.params['_meta']
  if (typeof meta !== 'object' || meta === null) return undefined
  const version = (meta as Record<string, unknown>)[VERSION_KEY]
  return typeof version === 'string' ? version : undefined
}

/** Tells whether a message belongs to the stateless era: its body decides, not its headers. */
export function isModern(message: Message): boolean {
  const version = envelopeVersion(message)
  if (version !== undefined) return version >= MODERN_VERSION
  return message.method === 'server/discover' || message.method === 'subscriptions/listen'
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

/** Returns what `Mcp-Name` says of a message, undisguised; `undefined` where it is not sent. */
export function namedBy({ method, params }: Message): string | undefined {
  const member = NAME_MEMBER[method]
  const value = member === undefined ? undefined : params[member]
  return typeof value === 'string' ? value : undefined
}

/**
 * Compares a modern request's headers with its body, as a server that reads the body must.
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
  const value = namedBy(message)
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
