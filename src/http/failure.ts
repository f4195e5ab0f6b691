/** How far a request came before the network failed. */
export type NetworkCause = 'unreachable' | 'timeout' | 'cut_off' | 'invalid_answer'

export interface NetworkFailure {
  cause: NetworkCause
  /** What happened, for the end of a sentence: `the connection was refused (ECONNREFUSED)`. */
  reason: string
}

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
}

/** Describes an error of undici or of Node's network, with its code for who wants to look it up. */
export function describeNetworkError(error: unknown): NetworkFailure {
  const code = codeOf(error)
  if (code === undefined) return { cause: 'cut_off', reason: 'the connection was lost' }
  const known = BY_CODE[code]
  if (known !== undefined) return { cause: known.cause, reason: `${known.reason} (${code})` }
  if (code.startsWith('HPE_')) {
    return { cause: 'invalid_answer', reason: `its answer is not HTTP (${code})` }
  }
  return { cause: 'cut_off', reason: `the connection was lost (${code})` }
}

/** Finds the code in an error, in its cause, or in the parts of an AggregateError. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const code = (error as NodeJS.ErrnoException).code
  if (typeof code === 'string') return code
  if (error instanceof AggregateError) return codeOf(error.errors[0])
  return codeOf(error.cause)
}
