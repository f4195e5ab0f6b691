import { META, metaOf, offersStateless } from '../mcp/meta.js'
import { SESSION_BASED_VERSIONS, STATELESS_VERSION } from '../mcp/versions.js'
import type { HttpAnswer } from '../upstream/answer-reader.js'
import { isObject, type JsonObject, ownMember, stringMember } from '../util/json.js'
import {
  answerOf,
  type CheckExchange,
  type CheckRequest,
  INITIALIZE_PARAMS,
  type McpClient,
  refusalAmong,
  resultOf,
} from './client.js'

/** The protocol version of the HTTP+SSE transport. */
export const OLDER_VERSION = '2024-11-05'

const SPOKEN: readonly string[] = [...SESSION_BASED_VERSIONS, OLDER_VERSION]

/** A session with the target, in either protocol. */
export interface CheckSession {
  readonly era: 'stateless' | 'session-based'
  readonly version: string
  /** `undefined` when the server issued none. */
  readonly sessionId: string | undefined
  readonly capabilities: JsonObject
  readonly server: string | undefined
  readonly client: McpClient
  /** Headers of each request. */
  readonly headers: Readonly<Record<string, string>>
  request(
    method: string,
    params?: JsonObject,
    headers?: Readonly<Record<string, string>>,
  ): Promise<CheckExchange>
  close(): Promise<void>
}

/** The target's answers to the first requests. */
export interface Handshake {
  /** `undefined` when it was not sent. */
  readonly discover: CheckExchange | undefined
  /** `undefined` when it was not sent. */
  readonly initialize: CheckExchange | undefined
  /** The target speaks only HTTP+SSE. */
  readonly older: boolean
  readonly session: CheckSession | undefined
}

export interface HandshakeOptions {
  client: McpClient
  headers: Readonly<Record<string, string>>
  /** Opens a client for HTTP+SSE; absent where that does not apply. */
  openSse?: (() => Promise<McpClient>) | undefined
}

/**
 * Opens a session as a client of both protocols does: `server/discover` first, then `initialize`,
 * then the HTTP+SSE transport if the answers suggest it.
 *
 * @see [MCP 2026-07-28, versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning)
 */
export async function openHandshake(options: HandshakeOptions): Promise<Handshake> {
  const { client, headers, openSse } = options
  const discover = await client.request(statelessRequest(headers, 'server/discover'))
  const isOver = discover.kind === 'failed' || refusalAmong(discover) !== undefined
  if (isOver) return { discover, initialize: undefined, older: false, session: undefined }
  const found = resultOf(discover)
  if (found !== undefined && offersStateless(found)) {
    const session = statelessSession(client, headers, found)
    return { discover, initialize: undefined, older: false, session }
  }
  const opened = await initializeChecked(client, headers)
  if (opened.session !== undefined || openSse === undefined || !maySpeakSse(opened.exchange)) {
    const { exchange, session } = opened
    return { discover, initialize: exchange, older: false, session }
  }
  const older = await openSse()
  const second = await initializeChecked(older, headers)
  if (second.session !== undefined) {
    return { discover, initialize: second.exchange, older: true, session: second.session }
  }
  await older.close()
  return { discover, initialize: opened.exchange, older: false, session: undefined }
}

/** The 401 or 403 with which the target refused the first requests, if it did. */
export function handshakeRefusal({ discover, initialize }: Handshake): HttpAnswer | undefined {
  return refusalAmong(discover, initialize)
}

/** Sends `initialize`, and `notifications/initialized` when it went well. */
export async function initializeChecked(
  client: McpClient,
  headers: HandshakeOptions['headers'],
): Promise<{ exchange: CheckExchange; session: CheckSession | undefined }> {
  const method = 'initialize'
  const call = { method, era: 'session-based' as const, params: INITIALIZE_PARAMS, headers }
  const exchange = await client.request(call)
  const result = resultOf(exchange)
  const version = result && stringMember(result, 'protocolVersion')
  if (result === undefined || version === undefined || !SPOKEN.includes(version)) {
    return { exchange, session: undefined }
  }
  const sessionId = answerOf(exchange)?.header('mcp-session-id')
  const rest = { era: 'session-based' as const, version, sessionId, headers }
  await client.notify({ ...rest, method: 'notifications/initialized' })
  const session: CheckSession = {
    era: 'session-based',
    version,
    sessionId,
    capabilities: objectMember(result, 'capabilities'),
    server: nameOf(result['serverInfo']),
    client,
    headers,
    request: (called, params = {}, more = {}) =>
      client.request({ ...rest, method: called, params, headers: { ...headers, ...more } }),
    async close() {
      if (sessionId !== undefined) await client.endSession(rest)
    },
  }
  return { exchange, session }
}

function statelessSession(
  client: McpClient,
  headers: HandshakeOptions['headers'],
  found: JsonObject,
): CheckSession {
  return {
    era: 'stateless',
    version: STATELESS_VERSION,
    sessionId: undefined,
    capabilities: objectMember(found, 'capabilities'),
    server: nameOf(metaOf(found)[META.serverInfo]),
    client,
    headers,
    request: (method, params = {}, more = {}) =>
      client.request({ ...statelessRequest({ ...headers, ...more }, method), params }),
    close: async () => undefined,
  }
}

function statelessRequest(headers: HandshakeOptions['headers'], method: string): CheckRequest {
  return { method, era: 'stateless', version: STATELESS_VERSION, headers }
}

/** @see [MCP 2025-11-25](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility) */
function maySpeakSse(exchange: CheckExchange): boolean {
  const answer = answerOf(exchange)
  if (answer === undefined || answer.message !== undefined) return false
  return answer.status === 400 || answer.status === 404 || answer.status === 405
}

function objectMember(object: JsonObject, member: string): JsonObject {
  const value = ownMember(object, member)
  return isObject(value) ? value : {}
}

function nameOf(info: unknown): string | undefined {
  if (!isObject(info)) return undefined
  const { name, version } = info
  return typeof name === 'string' ? `${name} ${String(version ?? '')}`.trim() : undefined
}
