import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { findMember } from '../mcp/json-text.js'

/** How a request is named in our log, to the client (`X-Request-Id`) and to the target. */
export interface RequestName {
  id: string
  /** The client's trace context, as far as W3C defines it; absent where it is missing or not valid. */
  traceparent: string | undefined
}

const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

const TRACEPARENT_LENGTH = 55

/**
 * Names a request: by the trace id of its `traceparent`, else by a new UUID. A client's own
 * `X-Request-Id` is not looked at: it could be anything, and it could be somebody else's.
 *
 * @see [W3C Trace Context §3.2](https://www.w3.org/TR/trace-context/#traceparent-header) traceparent
 */
export function nameRequest({ headers }: Pick<IncomingMessage, 'headers'>): RequestName {
  const { traceparent: sent } = headers
  if (typeof sent !== 'string') return { id: randomUUID(), traceparent: undefined }
  const [traceparent, version, traceId] = TRACEPARENT.exec(sent) ?? []
  // only later versions may say more
  const rest = sent.slice(TRACEPARENT_LENGTH)
  const isWhole = rest === '' || (version !== '00' && rest.startsWith('-'))
  if (traceId === undefined || !isWhole) return { id: randomUUID(), traceparent: undefined }
  return { id: traceId, traceparent }
}

/**
 * Tells whether a message that we wrote is an error. Its id, which comes first, holds no unescaped
 * quote, so that the member that follows it is found by the text before it.
 */
export function isOwnError(text: string): boolean {
  const at = text.indexOf(',"error":{')
  return at >= 0 && text.lastIndexOf(',"result":', at) < 0
}

/** Adds `data.requestId` to an error that we wrote; its id stays as it is written. */
export function withRequestId(text: string, requestId: string): string {
  const error = findMember(text, 0, 'error')
  if (error === undefined) return text
  const member = `"requestId":${JSON.stringify(requestId)}`
  const data = findMember(text, error.start, 'data')
  if (data === undefined) return insert(text, error.end - 1, `,"data":{${member}}`)
  if (text[data.start] !== '{' || findMember(text, data.start, 'requestId') !== undefined) {
    return text
  }
  const isEmpty = text[data.end - 1] === '}' && text.slice(data.start + 1, data.end - 1) === ''
  return insert(text, data.start + 1, isEmpty ? member : `${member},`)
}

function insert(text: string, at: number, what: string): string {
  return text.slice(0, at) + what + text.slice(at)
}
