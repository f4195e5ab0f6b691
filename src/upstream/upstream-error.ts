import { MAX_MESSAGE_BYTES } from '../mcp/jsonrpc.js'
import { messageOf } from '../util/errors.js'
import type { FailureCause } from '../util/failure.js'
import { ownMember } from '../util/json.js'

/**
 * How far a request came before the network failed. Where an {@link UpstreamError} says that it is the
 * status or the session, nothing was sent to the target.
 */
export type NetworkCause = Exclude<FailureCause, 'refused_credential' | 'sign_in_required'>

export interface NetworkFailure {
  cause: NetworkCause
  /** What happened, for the end of a sentence: `the connection was refused (ECONNREFUSED)`. */
  reason: string
  /** The HTTP status that says the same, for the cause `http_status`. */
  httpStatus?: number
}

/** What is wrong with an answer, for the end of a sentence that begins with the target's name. */
export const ANSWER_PROBLEMS = {
  tooLarge: `its answer is larger than ${MAX_MESSAGE_BYTES / (1024 * 1024)} MiB`,
  brokenStream: 'its event stream cannot be read',
  endedEarly: 'its event stream ended before the answer',
  foreign: 'an event of its answer belongs to another request',
} as const

/** The code of the error that is made of a proxy's 407. */
export const PROXY_REFUSED = 'ERR_PROXY_AUTH'

const HTTP2_ONLY = 'it speaks HTTP/2 only, and we HTTP/1.1'

const OTHER_NAME = 'its TLS certificate is for another host name'

const UNKNOWN_AUTHORITY = 'its TLS certificate comes from an unknown authority'

const INCOMPLETE_CHAIN = 'its TLS certificate chain is incomplete or unknown'

const PROXY_WANTS_LOGIN = 'the HTTP proxy wants a user name and a password, answering 407'

const TRUST = 'Give the certificate of the authority that signed it: `--ca <file.pem>`.'

const LOOK_UP = 'Check the name and the network: `nslookup <host>`.'

const ROUTE = 'Check the network and VPN: `curl -v <url>`.'

const START = 'Start the server, or correct host and port: `curl -v <url>`.'

const RENEW = 'Renew the certificate of the server, or correct the clock here: `date`.'

const RENAME = 'Use the host name that it is for: `openssl s_client -connect <host>:443`.'

const SCHEME = 'Check whether the server takes http or https: `curl -v <url>`.'

const LOGIN = 'Set both: `HTTPS_PROXY=http://user:password@proxy:8080`.'

/** By the code of an error: how far the request came, what happened, and what to do about it. */
const BY_CODE: Readonly<Record<string, readonly [NetworkCause, reason: string, hint?: string]>> = {
  ECONNREFUSED: ['unreachable', 'the connection was refused', START],
  ENOTFOUND: ['unreachable', 'its host name does not exist', LOOK_UP],
  EAI_AGAIN: ['unreachable', 'its host name could not be looked up', LOOK_UP],
  EHOSTUNREACH: ['unreachable', 'there is no route to its host', ROUTE],
  ENETUNREACH: ['unreachable', 'there is no route to its network', ROUTE],
  ETIMEDOUT: ['unreachable', 'the connection timed out', ROUTE],
  UND_ERR_CONNECT_TIMEOUT: ['unreachable', 'the connection timed out', ROUTE],
  UND_ERR_HEADERS_TIMEOUT: ['timeout', 'it did not answer in time'],
  UND_ERR_BODY_TIMEOUT: ['timeout', 'its answer stopped arriving'],
  UND_ERR_HEADERS_OVERFLOW: ['invalid_answer', 'its response headers are too large'],
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: ['cut_off', 'its answer ended early'],
  CERT_HAS_EXPIRED: ['unreachable', 'its TLS certificate has expired', RENEW],
  ERR_TLS_CERT_ALTNAME_INVALID: ['unreachable', OTHER_NAME, RENAME],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['unreachable', 'its TLS certificate is self-signed', TRUST],
  SELF_SIGNED_CERT_IN_CHAIN: ['unreachable', UNKNOWN_AUTHORITY, TRUST],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['unreachable', UNKNOWN_AUTHORITY, TRUST],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['unreachable', INCOMPLETE_CHAIN, TRUST],
  EPROTO: ['unreachable', 'it does not speak TLS as expected', SCHEME],
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: ['invalid_answer', HTTP2_ONLY],
  [PROXY_REFUSED]: ['unreachable', PROXY_WANTS_LOGIN, LOGIN],
}

/** A header that HTTP does not allow; the message of such an error names the header, never its value. */
const UNSENDABLE: ReadonlySet<string> = new Set([
  ...['ERR_INVALID_CHAR', 'ERR_INVALID_HTTP_TOKEN', 'UND_ERR_INVALID_ARG'],
])

const UNSENDABLE_HINT = 'Look for line breaks and letters beyond ASCII in tokens and headers.'

/** Returns the hint for a reason of {@link describeNetworkError}, if there is one. */
export function networkHint(reason: string): string | undefined {
  const code = /\(([A-Z][A-Z0-9_]+)\)$/.exec(reason)?.[1]
  if (code === undefined) return undefined
  return UNSENDABLE.has(code) ? UNSENDABLE_HINT : ownMember(BY_CODE, code)?.[2]
}

/** A failure that carries its own description. */
export class UpstreamError extends Error {
  readonly failure: NetworkFailure

  constructor(cause: NetworkCause, reason: string, httpStatus?: number) {
    super(reason)
    this.failure = httpStatus === undefined ? { cause, reason } : { cause, reason, httpStatus }
  }
}

/** Makes the failure of an answer that made whatever read it throw. */
export function unusableAnswer(error: unknown): UpstreamError {
  return new UpstreamError('invalid_answer', `its answer is of no use: ${messageOf(error)}`)
}

/**
 * Makes the failure of an answer that breaks the rules of HTTP/1.
 *
 * @param problem For the end of a sentence about the answer.
 * @param bytes Its beginning, where that is not one of HTTP/1.
 */
export function notHttp(problem: string, bytes?: Buffer): UpstreamError {
  const isOther = bytes !== undefined && isHttp2(bytes)
  return new UpstreamError(
    'invalid_answer',
    isOther ? HTTP2_ONLY : `its answer is not HTTP: ${problem}`,
  )
}

/** Makes the failure of an answer that is not kept, since too much waits in memory for slow clients. */
export function noRoom(): UpstreamError {
  const reason = 'its answer finds no room here: too many wait to be read'
  return new UpstreamError('http_status', reason, 503)
}

/** Makes an error with a code, as Node's network makes them. */
export function codedError(code: string, message = code): Error {
  return Object.assign(new Error(message), { code })
}

/** Describes an error of undici or of Node's network, and names its code. */
export function describeNetworkError(error: unknown): NetworkFailure {
  if (error instanceof UpstreamError) return error.failure
  if (beginsAsHttp2(error)) return { cause: 'invalid_answer', reason: HTTP2_ONLY }
  const code = networkCode(error)
  if (code === undefined) return { cause: 'cut_off', reason: 'the connection was lost' }
  const [cause, reason] = ownMember(BY_CODE, code) ?? []
  if (cause !== undefined) return { cause, reason: `${reason} (${code})` }
  if (UNSENDABLE.has(code)) {
    const reason = `the request to it cannot be sent: ${messageOf(error)} (${code})`
    return { cause: 'http_status', reason }
  }
  if (code.startsWith('HPE_')) {
    return { cause: 'invalid_answer', reason: `its answer is not HTTP (${code})` }
  }
  return { cause: 'cut_off', reason: `the connection was lost (${code})` }
}

const SETTINGS = 4

const FRAME_HEAD_BYTES = 9

/** Every HTTP/2 server begins with a frame of settings, which Node's parsers show with their error. */
function beginsAsHttp2(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const { rawPacket, data } = error as { rawPacket?: unknown; data?: unknown }
  return isHttp2(Buffer.isBuffer(rawPacket) ? rawPacket : Buffer.from(String(data ?? ''), 'latin1'))
}

function isHttp2(bytes: Buffer): boolean {
  if (bytes.length < FRAME_HEAD_BYTES) return false
  // a frame of stream 0 is one of the connection itself
  return bytes[3] === SETTINGS && bytes.readUInt32BE(5) === 0
}

/** Finds the code in an error, in its cause, or in the parts of an AggregateError. */
export function networkCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const code = (error as NodeJS.ErrnoException).code
  if (typeof code === 'string') return code
  if (error instanceof AggregateError) return networkCode(error.errors[0])
  return networkCode(error.cause)
}
