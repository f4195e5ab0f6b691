import { CALL_TOOL, type CallArguments, FIRST_ID } from '../content.js'

/** Where and as whom a candidate is asked. */
export interface Endpoint {
  port: number
  /** `/mcp` unless given. */
  path?: string
  token: string
  /** Put in front of tool names by the candidate; '' for those that do not rename. */
  prefix: string
}

export type Work =
  | { method: 'tools/call'; size: number; stream: boolean }
  | { method: 'tools/list'; tools: number }

export const PROTOCOL_VERSION = '2025-11-25'

/** Request head for the MCP endpoint; `length` only for a POST. */
export function requestHead(
  { port, path = '/mcp', token }: Endpoint,
  { method, session, length }: { method: 'GET' | 'POST'; session?: string; length?: number },
): string {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    `Authorization: Bearer ${token}`,
    `Accept: ${method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream'}`,
    `MCP-Protocol-Version: ${PROTOCOL_VERSION}`,
    'User-Agent: bench/1.0',
  ]
  if (session !== undefined) lines.push(`Mcp-Session-Id: ${session}`)
  if (length !== undefined)
    lines.push('Content-Type: application/json', `Content-Length: ${length}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

export interface PreparedRequest {
  bytes: Buffer
  /** Offsets of the nine digits of the id in `bytes`. */
  idAt: number[]
}

/** Builds a request once; only the digits of its id change from one use to the next. */
export function prepareRequest(
  endpoint: Endpoint,
  work: Work,
  session: string | undefined,
): PreparedRequest {
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: FIRST_ID,
    method: work.method,
    params: work.method === 'tools/call' ? callParameters(endpoint.prefix, work) : {},
  })
  const head = requestHead(endpoint, {
    method: 'POST',
    length: Buffer.byteLength(body),
    ...(session !== undefined && { session }),
  })
  const bytes = Buffer.from(head + body)
  return { bytes, idAt: findAll(bytes, String(FIRST_ID), head.length) }
}

function callParameters(prefix: string, { size, stream }: Extract<Work, { size: number }>) {
  const call: CallArguments = { nonce: FIRST_ID, size, stream }
  return { name: prefix + CALL_TOOL, arguments: call }
}

export function findAll(bytes: Buffer, text: string, from = 0): number[] {
  const found: number[] = []
  for (let at = bytes.indexOf(text, from); at >= 0; at = bytes.indexOf(text, at + 1)) found.push(at)
  return found
}
