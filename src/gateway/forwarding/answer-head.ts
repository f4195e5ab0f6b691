import { JSON_TYPE, mediaTypeOf, STREAM_TYPE } from '../../mcp/headers.js'
import { codingsOf } from '../../upstream/http/decode.js'
import { type FailureCause, isTransient } from '../../util/failure.js'
import { isPrivateHost } from '../../util/private-addresses.js'
import type { TargetFailure } from './target-failure.js'
import type { Expectation, HeaderFields } from './upstream-send.js'

/** What to do with a response, decided by its head alone. */
export type HeadVerdict =
  /** Read the body to its end. */
  | { next: 'read' }
  /** Pass its events on. */
  | { next: 'stream' }
  /** The target refused our credential. */
  | { next: 'credential'; challenge: string | undefined }
  | ({ next: 'fail' } & Pick<TargetFailure, 'cause' | 'reason' | 'told'>)

export const READ: HeadVerdict = { next: 'read' }

const STREAM: HeadVerdict = { next: 'stream' }

/** Decides by the head what to do with a response. Redirects are never followed. */
export function judgeHead(
  status: number,
  headers: HeaderFields,
  expected: Expectation,
): HeadVerdict {
  if (status >= 300 && status < 400) return fail('http_status', 'it redirects elsewhere')
  if (status === 401 || status === 403 || status === 407) {
    return { next: 'credential', challenge: allValues(headers['www-authenticate']) }
  }
  if (status >= 400 && isTransient(status)) return fail('http_status', `it answered HTTP ${status}`)
  const encoding = oneValue(headers['content-encoding'])
  if (encoding && codingsOf(encoding).length > 0) {
    return fail('invalid_answer', 'its answer is compressed, which was not requested')
  }
  if (status >= 400 || expected === 'status') return READ
  const type = mediaTypeOf(headers['content-type'])
  if (type === STREAM_TYPE) return STREAM
  if (type === JSON_TYPE && expected === 'response') return READ
  return fail('invalid_answer', `its answer is ${describeType(type, status)}, not MCP`)
}

/** Decides as {@link judgeHead}, and names where a redirect leads. */
export function readHead(
  status: number,
  headers: HeaderFields,
  expected: Expectation,
): HeadVerdict {
  const verdict = judgeHead(status, headers, expected)
  const location = status >= 300 && status < 400 ? oneValue(headers['location']) : undefined
  if (verdict.next !== 'fail' || location === undefined) return verdict
  return { ...verdict, ...describeRedirect(location) }
}

const MAX_LOCATION = 200

/**
 * Says where a redirect leads, without the query, which may hold secrets. Clients are told only the
 * path where the host belongs to an inner network.
 */
function describeRedirect(location: string): { reason: string; told: string } {
  const url = URL.canParse(location) ? new URL(location) : undefined
  const path = url?.pathname ?? location.split(/[?#]/, 1)[0] ?? ''
  const reason = redirects(url === undefined ? path : url.origin + path)
  const isInner = url !== undefined && isPrivateHost(url.hostname)
  return { reason, told: isInner ? redirects(path) : reason }
}

function redirects(to: string): string {
  const shown = JSON.stringify(to.slice(0, MAX_LOCATION))
  return `it redirects to ${shown}, which is not followed: if it moved there, give that URL`
}

function fail(cause: FailureCause, reason: string): HeadVerdict {
  return { next: 'fail', cause, reason }
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
