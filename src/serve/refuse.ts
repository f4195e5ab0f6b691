import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Principal } from '../auth/principal.js'
import { ownMember } from '../util/json.js'
import type { LogFields } from '../util/logger.js'
import { printable } from '../util/redact.js'
import type { Clock } from '../util/runtime.js'
import { nameRequest } from './http-exchange.js'
import type { BrokenRequest } from './http-server.js'
import type { HeaderList } from './origins.js'
import type { createRequestLog, RequestSummary } from './request-log.js'

export interface PlainRefusal {
  status: number
  /** A stable word for log and metrics. */
  refusal: string
  /** A sentence for the client. */
  message: string
  headers?: HeaderList
  /** For the log only: what is hidden from the caller, and by which rule. */
  target?: string | undefined
  endpoint?: string | undefined
  rule?: string | undefined
  principal?: Principal | undefined
}

const NOBODY = { principal: undefined }

const NOTHING = { tool: undefined, target: undefined, failure: undefined }

export type Refuse = (
  request: IncomingMessage,
  response: ServerResponse,
  refusal: PlainRefusal,
) => void

/** Creates the function that refuses requests before they reach the gateway. */
export function createRefuse(
  log: ReturnType<typeof createRequestLog>,
  clock: Pick<Clock, 'now'>,
): Refuse {
  return (request, response, refused) => {
    const { status, refusal, message, headers = [], target, rule, principal, endpoint } = refused
    const { id, traceparent } = nameRequest(request)
    const body = JSON.stringify({ error: message, requestId: id })
    response.writeHead(status, [
      ...headers,
      ...['x-request-id', id, 'x-content-type-options', 'nosniff'],
      ...['content-type', 'application/json', 'cache-control', 'no-store'],
      ...['content-length', String(Buffer.byteLength(body))],
    ])
    response.end(body)
    log({
      ...{ principal, endpoint, status, refusal, id, traceparent, startedAt: clock.now() },
      record: { ...NOTHING, method: request.method ?? '', target, rule },
      remote: request.socket.remoteAddress,
      why: message,
      seen: seenOf(refusal, request),
    })
  }
}

/** Describes a connection whose request Node refused before it became one. */
export function brokenSummary(
  { status, code, remote }: BrokenRequest,
  clock: Pick<Clock, 'now'>,
): RequestSummary {
  const id = randomUUID()
  return {
    ...{ ...NOBODY, status, remote, id, startedAt: clock.now() },
    record: { ...NOTHING, method: '' },
    refusal: status === 408 ? 'timeout' : 'http',
    seen: { code },
  }
}

/** Longest part of a header or path that a log or an answer repeats, characters. */
const MAX_SHOWN = 100

/** Quotes a part of what a client sent, to show what is wrong with it. */
export function shown(value: string | undefined): string {
  if (value === undefined) return 'none'
  const text = printable(value)
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)
}

/** The header that led to a refusal, behind its name in the log. */
const SEEN_HEADER = {
  host: ['host', 'host'],
  origin: ['origin', 'origin'],
  content_type: ['contentType', 'content-type'],
  body_size: ['contentLength', 'content-length'],
} as const

/** Says what was seen of a request that led to its refusal. Never a token, a query or a body. */
export function seenOf(refusal: string, { headers, url = '' }: IncomingMessage): LogFields {
  const forwarded = headers['x-forwarded-for']
  const seen: Record<string, string | undefined> = {}
  // as a client or proxy claims; for the log only, nothing is decided by it
  if (forwarded !== undefined) seen['forwardedFor'] = shown(String(forwarded))
  const [name, header] = ownMember(SEEN_HEADER, refusal) ?? []
  if (name !== undefined) seen[name] = shown(headers[header])
  if (refusal === 'path') seen['path'] = shown(url.split('?', 1)[0])
  return seen
}
