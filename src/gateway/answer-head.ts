import type { FailureCause } from './failure.js'
import type { UpstreamSend } from './upstream-send.js'

export type HeaderFields = Readonly<Record<string, string | string[] | undefined>>

/** What to do with a response, judged by its head alone. */
export type HeadVerdict =
  /** Read the body to its end. */
  | { next: 'read' }
  /** Pass its events on. */
  | { next: 'stream' }
  /** The target refused our credential. */
  | { next: 'credential'; challenge: string | undefined }
  | { next: 'fail'; cause: FailureCause; reason: string }

/** What a request waits for: one response, a stream without one (GET), or only a status. */
export type Expectation = 'response' | 'stream' | 'status'

/** Tells what a request waits for. */
export function expectationOf({ id, method }: Pick<UpstreamSend, 'id' | 'method'>): Expectation {
  if (id !== undefined) return 'response'
  return method === 'GET' ? 'stream' : 'status'
}

const JSON_TYPE = 'application/json'
const READ: HeadVerdict = { next: 'read' }
const STREAM: HeadVerdict = { next: 'stream' }

/** Judges the head of a target's response. A redirect is never followed. */
export function judgeHead(
  status: number,
  headers: HeaderFields,
  expected: Expectation,
): HeadVerdict {
  if (status >= 300 && status < 400) return fail('http_status', 'it redirects elsewhere')
  if (status === 401 || status === 403 || status === 407) {
    return { next: 'credential', challenge: allValues(headers['www-authenticate']) }
  }
  if (status === 429 || status >= 500) return fail('http_status', `it answered HTTP ${status}`)
  const encoding = oneValue(headers['content-encoding'])
  if (encoding !== undefined && encoding !== 'identity') {
    return fail('invalid_answer', 'its answer is compressed though nobody asked for it')
  }
  if (status >= 400 || expected === 'status') return READ
  const type = mediaType(oneValue(headers['content-type']))
  if (type === 'text/event-stream') return STREAM
  if (type === JSON_TYPE && expected === 'response') return READ
  return fail('invalid_answer', `its answer is ${describeType(type, status)}, not MCP`)
}

function fail(cause: FailureCause, reason: string): HeadVerdict {
  return { next: 'fail', cause, reason }
}

function mediaType(value: string | undefined): string | undefined {
  if (value === undefined || value === JSON_TYPE) return value
  return value.split(';', 1)[0]?.trim().toLowerCase()
}

/** Returns the value of a header, the first one when it was sent more than once. */
export function oneValue(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

/** Returns the value of a list header, which may be sent in several lines (RFC 9110 §5.3). */
function allValues(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}

function describeType(type: string | undefined, status: number): string {
  if (status === 202) return 'HTTP 202 without a message'
  return type === undefined ? 'without a content type' : JSON.stringify(type.slice(0, 60))
}
