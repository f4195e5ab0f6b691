import { isObject, tryParseJson } from './json.js'

/** What went wrong with a request. */
export type FailureCause =
  /** It could not be sent. */
  | 'unreachable'
  | 'timeout'
  /** The connection or the stream ended before the answer. */
  | 'cut_off'
  | 'invalid_answer'
  /** The status of the answer says it. */
  | 'http_status'
  /** The target no longer knows the session that we sent; without HTTP status, nothing was sent. */
  | 'session_lost'
  /** The target wants a session, and we sent none. */
  | 'session_required'
  | 'refused_credential'
  /** Somebody has to sign in first (only where we sign in ourselves). */
  | 'sign_in_required'

/**
 * What a failure means for who may try again:
 * - `transient`: nothing answered, or it has no time now: the same request may succeed later
 * - `broken`: the server itself fails: it may recover, or always answer so what it does not know
 * - `credential`: another credential, or a sign-in, may help
 * - `session`: a new session may help
 * - `final`: the same request fails again
 */
export type FailureVerdict = 'transient' | 'broken' | 'credential' | 'session' | 'final'

interface Failure {
  readonly cause: FailureCause
  readonly httpStatus?: number | undefined
}

/** By cause, whatever the status; all other causes leave it to the status where there is one. */
const BY_CAUSE: Readonly<Partial<Record<FailureCause, FailureVerdict>>> = {
  sign_in_required: 'credential',
  refused_credential: 'credential',
  session_lost: 'session',
  session_required: 'session',
  invalid_answer: 'final',
}

const CREDENTIAL_STATUS: ReadonlySet<number> = new Set([401, 403, 407])

/** 4xx of a server that has no time: it gave up waiting (408), fears a replay (425), is overrun (429). */
const BUSY: ReadonlySet<number> = new Set([408, 425, 429])

const [CONFLICT, CONTENT_TOO_LARGE, INTERNAL_SERVER_ERROR, NOT_IMPLEMENTED] = [409, 413, 500, 501]

/**
 * Decides what a failure means.
 *
 * @see [RFC 9110 §15](https://www.rfc-editor.org/rfc/rfc9110#section-15) Status Codes
 */
export function classifyFailure({ cause, httpStatus = 0 }: Failure): FailureVerdict {
  const byCause = BY_CAUSE[cause]
  if (byCause !== undefined) return byCause
  if (httpStatus < 400) return cause === 'http_status' ? 'final' : 'transient'
  if (CREDENTIAL_STATUS.has(httpStatus)) return 'credential'
  if (httpStatus === INTERNAL_SERVER_ERROR || httpStatus === NOT_IMPLEMENTED) return 'broken'
  return httpStatus > NOT_IMPLEMENTED || BUSY.has(httpStatus) ? 'transient' : 'final'
}

/** Tells whether a failure may be over by itself. */
export function mayPass(failure: Failure): boolean {
  const verdict = classifyFailure(failure)
  return verdict === 'transient' || verdict === 'broken'
}

/**
 * Tells whether a stream that could not be had (GET) may be had later. A server answers 409 while it
 * has not noticed that our previous stream closed.
 */
export function streamMayPass(failure: Failure): boolean {
  return mayPass(failure) || failure.httpStatus === CONFLICT
}

/** Tells whether a status says that the same request may succeed later. */
export function isTransient(status: number): boolean {
  return mayPass({ cause: 'http_status', httpStatus: status })
}

/** Tells whether a gateway says by this status that it does not reach the server behind it. */
export function isServerAway(status: number): boolean {
  return status >= 502 && status <= 504
}

/**
 * Tells whether a refusal may be about the protocol: it is not where it is about credentials, load,
 * trouble, or the size of the request.
 */
export function mayRefuseProtocol(status: number): boolean {
  const verdict = classifyFailure({ cause: 'http_status', httpStatus: status })
  return status >= 400 && verdict === 'final' && status !== CONTENT_TOO_LARGE
}

/**
 * Tells whether the request that failed may be sent again as it is, by us or by a client. One that was
 * cut off may have run. `broken` does not count: whoever is told to repeat would repeat for ever.
 */
export function mayRepeat(failure: Failure): boolean {
  const { cause } = failure
  if (cause === 'session_lost' || cause === 'sign_in_required') return true
  return cause !== 'cut_off' && classifyFailure(failure) === 'transient'
}

const SAFE = /^(initialize|ping|server\/discover|completion\/complete|notifications\/initialized)$/

const READS = /\/(list|read|get)$/

/**
 * Tells whether a request changes nothing at the target, so that it may be sent twice even if the first
 * one ran. A tool call never is.
 *
 * @param request An HTTP request that carries an MCP message, if it is a POST.
 */
export function isRetrySafe({ method, body }: { method: string; body?: unknown }): boolean {
  if (method !== 'POST') return true
  const message = tryParseJson(body?.toString() ?? '')
  const called = isObject(message) ? message['method'] : undefined
  return typeof called === 'string' && (SAFE.test(called) || READS.test(called))
}

/**
 * What an authorization server's refusal means for us:
 * - `transient`: may pass by itself; tokens are kept and nobody is asked to sign in
 * - `grant`: the code, refresh token or consent is gone; somebody has to sign in
 * - `client`: the server does not know our client (any more)
 * - `poll`: the device flow goes on (`authorization_pending`, `slow_down`)
 * - `refused`: anything else
 */
export type OAuthRefusalKind = 'transient' | 'grant' | 'client' | 'poll' | 'refused'

/**
 * Tells whether an authorization server may grant later what it refused. `poll` where nothing is
 * polled, such as `slow_down` to a refresh, means to come back later.
 */
export function mayGrantLater(kind: OAuthRefusalKind): boolean {
  return kind === 'transient' || kind === 'poll'
}

const NOT_HERE: ReadonlySet<number> = new Set([400, 404, 405, 410, NOT_IMPLEMENTED])

/** Tells whether a server may say by this status that there is no MCP at this path. */
export function mayMeanOtherPath(status: number): boolean {
  return NOT_HERE.has(status)
}
