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

/** The code of the error that is made of a proxy's 407. */
export const PROXY_REFUSED = 'ERR_PROXY_AUTH'

const HTTP2_ONLY = 'it speaks HTTP/2 only, and we HTTP/1.1'

const BY_CODE: Readonly<Record<string, NetworkFailure>> = {
  ECONNREFUSED: { cause: 'unreachable', reason: 'the connection was refused' },
  ENOTFOUND: { cause: 'unreachable', reason: 'its host name does not exist' },
  EAI_AGAIN: { cause: 'unreachable', reason: 'its host name could not be looked up' },
  EHOSTUNREACH: { cause: 'unreachable', reason: 'there is no route to its host' },
  ENETUNREACH: { cause: 'unreachable', reason: 'there is no route to its network' },
  ETIMEDOUT: { cause: 'unreachable', reason: 'the connection timed out' },
  UND_ERR_CONNECT_TIMEOUT: { cause: 'unreachable', reason: 'the connection timed out' },
  UND_ERR_HEADERS_TIMEOUT: { cause: 'timeout', reason: 'it did not answer in time' },
  UND_ERR_BODY_TIMEOUT: { cause: 'timeout', reason: 'its answer stopped arriving' },
  UND_ERR_HEADERS_OVERFLOW: {
    cause: 'invalid_answer',
    reason: 'its response headers are too large',
  },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { cause: 'cut_off', reason: 'its answer ended early' },
  CERT_HAS_EXPIRED: { cause: 'unreachable', reason: 'its TLS certificate has expired' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    cause: 'unreachable',
    reason: 'its TLS certificate is for another host name',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: {
    cause: 'unreachable',
    reason: 'its TLS certificate is self-signed',
  },
  SELF_SIGNED_CERT_IN_CHAIN: {
    cause: 'unreachable',
    reason: 'its TLS certificate comes from an unknown authority',
  },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: {
    cause: 'unreachable',
    reason: 'its TLS certificate chain is incomplete or unknown',
  },
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: {
    cause: 'unreachable',
    reason: 'its TLS certificate comes from an unknown authority',
  },
  EPROTO: { cause: 'unreachable', reason: 'it does not speak TLS as expected' },
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: {
    cause: 'invalid_answer',
    reason: HTTP2_ONLY,
  },
  [PROXY_REFUSED]: {
    cause: 'unreachable',
    reason: 'the HTTP proxy wants a user name and a password, answering 407',
  },
}

const TRUST = 'Give the certificate of the authority that signed it: `--ca <file.pem>`.'

const LOOK_UP = 'Check the name and the network: `nslookup <host>`.'

const UNSENDABLE_HINT = 'Look for line breaks and letters beyond ASCII in tokens and headers.'

const ROUTE = 'Check the network and VPN: `curl -v <url>`.'

/** What to do about an error, with a command to try. */
const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Start the server, or correct host and port: `curl -v <url>`.',
  ENOTFOUND: LOOK_UP,
  EAI_AGAIN: LOOK_UP,
  EHOSTUNREACH: ROUTE,
  ENETUNREACH: ROUTE,
  ETIMEDOUT: ROUTE,
  UND_ERR_CONNECT_TIMEOUT: ROUTE,
  CERT_HAS_EXPIRED: 'Renew the certificate of the server, or correct the clock here: `date`.',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'Use the host name that it is for: `openssl s_client -connect <host>:443`.',
  DEPTH_ZERO_SELF_SIGNED_CERT: TRUST,
  SELF_SIGNED_CERT_IN_CHAIN: TRUST,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TRUST,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TRUST,
  ERR_INVALID_CHAR: UNSENDABLE_HINT,
  UND_ERR_INVALID_ARG: UNSENDABLE_HINT,
  EPROTO: 'Check whether the server takes http or https: `curl -v <url>`.',
  [PROXY_REFUSED]: 'Set both: `HTTPS_PROXY=http://user:password@proxy:8080`.',
}

/** A header that HTTP does not allow; the message of such an error names the header, never its value. */
const UNSENDABLE: ReadonlySet<string> = new Set([
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
  'UND_ERR_INVALID_ARG',
])

/** Returns the hint for a reason of {@link describeNetworkError}, if there is one. */
export function networkHint(reason: string): string | undefined {
  const code = /\(([A-Z][A-Z0-9_]+)\)$/.exec(reason)?.[1]
  return code === undefined ? undefined : ownMember(HINTS, code)
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

const NO_ROOM = 'its answer finds no room here: too many wait to be read'

/** Too much waits in memory for clients that are slow, so that nothing more is kept. */
export function noRoom(): UpstreamError {
  return new UpstreamError('http_status', NO_ROOM, 503)
}

/** Makes an error with a code, as Node's network makes them. */
export function codedError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** Describes an error of undici or of Node's network, and names its code. */
export function describeNetworkError(error: unknown): NetworkFailure {
  if (error instanceof UpstreamError) return error.failure
  if (beginsAsHttp2(error)) return { cause: 'invalid_answer', reason: HTTP2_ONLY }
  const code = networkCode(error)
  if (code === undefined) return { cause: 'cut_off', reason: 'the connection was lost' }
  const known = ownMember(BY_CODE, code)
  if (known !== undefined) return { cause: known.cause, reason: `${known.reason} (${code})` }
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
  const bytes = Buffer.isBuffer(rawPacket) ? rawPacket : Buffer.from(String(data ?? ''), 'latin1')
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
