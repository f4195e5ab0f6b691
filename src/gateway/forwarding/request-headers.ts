import { mirrorHeaders } from '../../mcp/headers.js'
import { cookieHeader } from '../../upstream/http/cookie-jar.js'
import type { Clock } from '../../util/runtime.js'
import { PRODUCT, VERSION } from '../../util/version.js'
import type { Exchange } from '../exchange.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'

const ACCEPT_BOTH = 'application/json, text/event-stream'

const USER_AGENT = `${PRODUCT}/${VERSION}`

/** W3C trace context: the only headers of the client, besides MCP's own, that a target gets. */
const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const

/**
 * Makes the headers of a request to a target, without its credential. An allow-list: of the
 * client's headers only MCP's own and the trace context go on, never `Authorization`, `Cookie` or
 * `X-Forwarded-*`.
 */
export function upstreamHeaders(
  clock: Pick<Clock, 'now'>,
  exchange: Exchange,
  session: Partial<TargetSession> | undefined,
  method: 'POST' | 'GET' | 'DELETE' = 'POST',
): string[] {
  const headers = ['user-agent', USER_AGENT, 'accept-encoding', 'identity']
  if (method === 'POST') headers.push('content-type', 'application/json')
  if (method === 'GET') headers.push('accept', 'text/event-stream')
  // whatever the client accepts: many servers refuse requests that do not accept both
  else if (method === 'POST') headers.push('accept', ACCEPT_BOTH)
  const version = session?.version ?? exchange.header('mcp-protocol-version')
  if (version !== undefined) headers.push('mcp-protocol-version', version)
  if (session?.id !== undefined) headers.push('mcp-session-id', session.id)
  if (exchange.requestId !== undefined) headers.push('x-request-id', exchange.requestId)
  if (session?.cookies !== undefined) {
    const cookie = cookieHeader(session.cookies, clock.now())
    if (cookie !== undefined) headers.push('cookie', cookie)
  }
  for (const name of TRACE_HEADERS) {
    const value = exchange.header(name)
    if (value !== undefined) headers.push(name, value)
  }
  return headers
}

/**
 * Makes the headers of a request of the stateless era to a target, without its credential.
 *
 * @param name The target's own name for what the request addresses, if it has one.
 */
export function statelessHeaders(
  clock: Pick<Clock, 'now'>,
  exchange: Exchange,
  method: string,
  name?: string,
): string[] {
  const headers = upstreamHeaders(clock, exchange, undefined)
  headers.push(...mirrorHeaders(method, name), ...exchange.extraHeaders())
  return headers
}
