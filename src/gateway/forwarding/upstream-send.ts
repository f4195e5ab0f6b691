import type { Caller } from '../../auth/credentials/credential.js'
import { mirrorHeaders } from '../../mcp/headers.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import { cookieHeader } from '../../upstream/http/cookie-jar.js'
import type { Clock } from '../../util/runtime.js'
import type { TraceSpan } from '../../util/span.js'
import { PRODUCT, VERSION } from '../../util/version.js'
import type { InPlaceRequest } from '../connecting/in-place.js'
import type { Exchange } from '../exchange.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'
import type { Target } from '../target.js'
import type { TargetFailure } from './target-failure.js'

/** What a request waits for: one response, a stream without one (GET), or only a status. */
export type Expectation = 'response' | 'stream' | 'status'

export function expectedOf({ id, method }: Pick<UpstreamSend, 'id' | 'method'>): Expectation {
  if (id !== undefined) return 'response'
  return method === 'GET' ? 'stream' : 'status'
}

/** A request to a target. */
export interface UpstreamSend {
  target: Target
  caller: Caller
  /** What the client said of itself, for whoever answers in the target's place. */
  client?: InPlaceRequest['client']
  method: 'POST' | 'GET' | 'DELETE'
  /** Names and values in turn, without the credential. */
  headers: readonly string[]
  body?: string | Buffer
  /** The id that the answer must carry; absent for notifications, GET and DELETE. */
  id?: RequestId | undefined
  /** It is for whoever answers in the target's place, and may not reach the target. */
  isOursAlone?: boolean
  /** Whether the request carries a session of the target. */
  inSession: boolean
  /** The response is a stream that stays open. */
  isStream?: boolean
  /** Milliseconds without any data after which the request fails; 0 for streams. */
  timeoutMs: number
  /** The client's request, where spans are recorded. */
  span?: TraceSpan | undefined
}

/** A response's headers. */
export type HeaderFields = Readonly<Record<string, string | string[] | undefined>>

/** Gets exactly one of `answer`, `accepted`, `failed`, or `streaming` and then its events. */
export interface AnswerListener {
  /** Handles a body that equals one seen before; false has it checked and passed to `answer`. */
  known?(body: Buffer): boolean
  /**
   * A whole, checked JSON answer: 200, or a JSON-RPC error under its 4xx status. `text` is the same
   * decoded, when it is short.
   */
  answer(status: number, body: Buffer, head: HeaderFields, text?: string): void
  /**
   * Takes over an answer that is too large to be parsed and needs no change: each `piece` then comes
   * as it is received. False has the answer collected.
   *
   * @param start The answer's beginning.
   */
  large?(start: Buffer): boolean
  /** The next piece of such an answer; returns false to be paused. */
  piece?(chunk: Buffer): boolean
  largeEnded?(): void
  /** The target accepted a notification or a DELETE. */
  accepted(status: number): void
  streaming(head: HeaderFields): void
  /** Whole events; returns false to be paused. */
  events(run: Buffer, ends: readonly number[]): boolean
  streamEnded(): void
  /** There is no answer, or the stream broke off. */
  failed(failure: TargetFailure): void
}

const ACCEPT_BOTH = 'application/json, text/event-stream'

const USER_AGENT = `${PRODUCT}/${VERSION}`

/** W3C trace context: the only headers of the client, besides MCP's own, that a target gets. */
const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const

/** Where spans are recorded, the other two name the span of the exchange with the target. */
const BAGGAGE = ['baggage'] as const

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
  for (const name of exchange.span === undefined ? TRACE_HEADERS : BAGGAGE) {
    const value = exchange.header(name)
    if (value !== undefined) headers.push(name, value)
  }
  return headers
}

/**
 * Makes the headers of a request of the stateless era to a target, without its credential.
 *
 * @param name The target's own name for what the request addresses, if it has one.
 * @param extra MCP's headers besides those that we write.
 */
export function statelessHeaders(
  clock: Pick<Clock, 'now'>,
  exchange: Exchange,
  method: string,
  name?: string,
  extra: readonly string[] = exchange.extraHeaders(),
): string[] {
  const headers = upstreamHeaders(clock, exchange, undefined)
  headers.push(...mirrorHeaders(method, name), ...extra)
  return headers
}
