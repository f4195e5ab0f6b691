import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../util/runtime.js'
import type { HeaderList } from './cors.js'
import type { BrokenRequest } from './http-server.js'
import { seenOf } from './refusal.js'
import { nameRequest } from './request-id.js'
import type { createRequestLog, RequestSummary } from './request-log.js'

export interface PlainRefusal {
  status: number
  /** A stable word for log and metrics. */
  refusal: string
  /** A sentence for the client. */
  message: string
  headers?: HeaderList
}

const NOBODY = { principal: undefined }
const NOTHING = { tool: undefined, target: undefined, failure: undefined }

export type Refuse = (
  request: IncomingMessage,
  response: ServerResponse,
  refusal: PlainRefusal,
) => void

/** Creates the function that refuses what is no MCP request, or comes from where none may come. */
export function createRefuse(
  log: ReturnType<typeof createRequestLog>,
  clock: Pick<Clock, 'now'>,
): Refuse {
  return (request, response, { status, refusal, message, headers = [] }) => {
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
      ...{ ...NOBODY, status, refusal, id, traceparent, startedAt: clock.now() },
      record: { ...NOTHING, method: request.method ?? '' },
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
