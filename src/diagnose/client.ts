import { encodeHeaderValue, mcpNameOf } from '../mcp/headers.js'
import { OWN_INFO, OWN_SENDER, withEnvelope } from '../mcp/meta.js'
import { SESSION_BASED_VERSIONS } from '../mcp/versions.js'
import { type HttpAnswer, type ReadResult, readAnswer } from '../upstream/answer-reader.js'
import type { Network } from '../upstream/http/network.js'
import type { Upstream } from '../upstream/upstream.js'
import { isObject, type JsonObject } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'

/** The outcome of one request. */
export type CheckExchange = ReadResult

/** One request to the target, in one of the two protocols. */
export interface CheckRequest {
  method: string
  params?: JsonObject
  /** `version` and `sessionId` are absent before there is a session. */
  era: 'stateless' | 'session-based'
  version?: string | undefined
  sessionId?: string | undefined
  /** Authentication and headers from the command line. */
  headers: Readonly<Record<string, string>>
}

/** Speaks MCP with the target; requests may be concurrent. */
export interface McpClient {
  request(call: CheckRequest): Promise<CheckExchange>
  /** Sends a notification; failures are ignored. */
  notify(call: CheckRequest): Promise<void>
  /** Ends a session at the target. */
  endSession(call: Omit<CheckRequest, 'method'>): Promise<void>
  close(): Promise<void>
}

/** Parameters of our `initialize`. */
export const INITIALIZE_PARAMS: JsonObject = {
  protocolVersion: SESSION_BASED_VERSIONS[0],
  capabilities: {},
  clientInfo: OWN_INFO,
}

const ACCEPT = 'application/json, text/event-stream'

/** Speaks MCP over HTTP. */
export function createHttpClient(
  clock: Pick<Clock, 'after'>,
  upstream: Upstream,
  timeoutMs: number,
): McpClient {
  let lastId = 0
  const send = (call: CheckRequest, id: number | undefined): Promise<CheckExchange> => {
    const { method, era, params = {} } = call
    const full = era === 'stateless' ? withEnvelope(params, OWN_SENDER) : params
    const message = { jsonrpc: '2.0', ...(id !== undefined && { id }), method, params: full }
    const request = {
      method: 'POST' as const,
      headers: toPairs({ ...headersOf(call), 'content-type': 'application/json' }),
      body: JSON.stringify(message),
    }
    return readAnswer({ clock, upstream }, request, id, timeoutMs)
  }
  return {
    request(call) {
      lastId += 1
      return send(call, lastId)
    },
    async notify(call) {
      await send(call, undefined)
    },
    async endSession(call) {
      const request = { method: 'DELETE' as const, headers: toPairs(headersOf(call)) }
      await readAnswer({ clock, upstream }, request, undefined, Math.min(timeoutMs, 2_000))
    },
    close: () => upstream.close(),
  }
}

/** Speaks MCP over the HTTP+SSE transport, which preceded Streamable HTTP. */
export async function createSseClient(
  clock: Pick<Clock, 'after'>,
  network: Network,
  url: URL,
  timeoutMs: number,
): Promise<McpClient> {
  const { createSseUpstream } = await import('../upstream/sse/sse-upstream.js')
  const connect = (to: URL) => network.connect(to)
  return createHttpClient(clock, createSseUpstream({ clock, url, connect }), timeoutMs)
}

function headersOf(call: Partial<CheckRequest>): Record<string, string> {
  const { method, era, params = {}, version, sessionId, headers = {} } = call
  const name =
    era === 'stateless' && method !== undefined ? mcpNameOf({ method, params }) : undefined
  return {
    accept: ACCEPT,
    'accept-encoding': 'identity',
    'user-agent': `${PRODUCT}/${VERSION}`,
    ...headers,
    ...(version !== undefined && { 'mcp-protocol-version': version }),
    ...(sessionId !== undefined && { 'mcp-session-id': sessionId }),
    ...(era === 'stateless' && method !== undefined && { 'mcp-method': method }),
    ...(name !== undefined && { 'mcp-name': encodeHeaderValue(name) }),
  }
}

function toPairs(headers: Readonly<Record<string, string>>): string[] {
  return Object.entries(headers).flat()
}

/** The answer of an exchange, if there was one. */
export function answerOf(exchange: CheckExchange): HttpAnswer | undefined {
  return exchange.kind === 'answer' ? exchange.answer : undefined
}

/** The result of an exchange, if it ended well. */
export function resultOf(exchange: CheckExchange | undefined): JsonObject | undefined {
  if (exchange?.kind !== 'answer' || exchange.answer.status >= 300) return undefined
  const result = exchange.answer.message?.['result']
  return isObject(result) ? result : undefined
}

/** The JSON-RPC error of an exchange, if that is how it ended. */
export function rpcErrorOf(
  exchange: CheckExchange,
): { readonly code: number; readonly message: string; readonly data: unknown } | undefined {
  const error = answerOf(exchange)?.message?.['error']
  if (!isObject(error)) return undefined
  const { code, message, data } = error
  return { code: Number(code), message: String(message), data }
}

/** The first 401 or 403 among some exchanges, if there is one. */
export function refusalAmong(
  ...exchanges: readonly (CheckExchange | undefined)[]
): HttpAnswer | undefined {
  return exchanges
    .map((exchange) => exchange && answerOf(exchange))
    .find((answer) => answer?.status === 401 || answer?.status === 403)
}
