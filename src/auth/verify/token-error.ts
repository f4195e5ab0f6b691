import type { LogFields } from '../../util/logger.js'

/** Why a token was refused, as a stable word, with the HTTP status that this means for `/mcp`. */
export const TOKEN_ERROR_STATUS = {
  missing: 401,
  malformed: 401,
  too_large: 401,
  wrong_type: 401,
  wrong_algorithm: 401,
  critical_header: 401,
  no_expiry: 401,
  expired: 401,
  not_yet_valid: 401,
  wrong_issuer: 401,
  wrong_audience: 401,
  not_an_access_token: 401,
  bound_to_key: 401,
  not_bound: 401,
  wrong_key: 401,
  proof_missing: 401,
  proof_invalid: 401,
  proof_replayed: 401,
  unknown_key: 401,
  bad_signature: 401,
  insufficient_scope: 403,
  keys_unavailable: 503,
  proofs_full: 503,
  internal: 503,
} as const

export type TokenErrorReason = keyof typeof TOKEN_ERROR_STATUS

export interface TokenErrorOptions {
  /** For logs only: what was received, quoted and shortened. Never the token itself. */
  details?: LogFields
  /** The scopes that the operation needs; only with `insufficient_scope`. */
  scopes?: readonly string[]
  /** The scopes that the token has; only with `insufficient_scope`. */
  granted?: readonly string[]
  cause?: unknown
}

/**
 * A token was refused. `message` is a sentence that may be sent as `error_description`: it never
 * holds anything of the token.
 */
export class TokenError extends Error {
  readonly reason: TokenErrorReason
  readonly status: 401 | 403 | 503
  readonly details: LogFields
  readonly scopes: readonly string[]
  readonly granted: readonly string[]

  constructor(
    reason: TokenErrorReason,
    message: string,
    { details = {}, scopes = [], granted = [], cause }: TokenErrorOptions = {},
  ) {
    super(message, { cause })
    this.name = 'TokenError'
    this.reason = reason
    this.status = TOKEN_ERROR_STATUS[reason]
    this.details = details
    this.scopes = scopes
    this.granted = granted
  }
}

/** Makes a `TokenError` of anything thrown, so that every exception is a refusal. */
export function toTokenError(error: unknown): TokenError {
  if (error instanceof TokenError) return error
  return new TokenError('internal', 'The access token could not be checked', { cause: error })
}

/** Quotes a value from outside for a log, at most about 200 characters of it. */
export function quoteForLog(value: unknown): string {
  const text = JSON.stringify(value) ?? 'undefined'
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}
