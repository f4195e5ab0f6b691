import { scopeUnion } from './resource-metadata.js'
import type { TokenError } from './token-error.js'

/** What a caller without a step-up is told. */
export const STEP_UP_NEEDED = 'This call needs a step-up: sign in again and confirm that it is you'

export interface Challenge {
  /** Left out when no token was sent. */
  error?:
    | 'invalid_request'
    | 'invalid_token'
    | 'insufficient_scope'
    | 'insufficient_user_authentication'
  /** A sentence for people. */
  description?: string
  /** Absolute URL of the protected resource metadata. */
  resourceMetadata: string
  scopes?: readonly string[]
}

/**
 * Renders the value of a `WWW-Authenticate` header. Characters that RFC 6750 does not allow in
 * a parameter are replaced, so that no text can end its quotes or the header.
 *
 * @see [RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3) The WWW-Authenticate Response Header Field
 * @see [RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1) `resource_metadata`
 */
export function challengeHeader(challenge: Challenge): string {
  const { error, description, resourceMetadata, scopes = [] } = challenge
  const scope = scopes.filter((name) => /^[!#-[\]-~]+$/.test(name)).join(' ')
  const parameters = [
    error && `error="${error}"`,
    error && description && `error_description="${printable(description)}"`,
    `resource_metadata="${printable(resourceMetadata)}"`,
    scope && `scope="${scope}"`,
  ]
  return `Bearer ${parameters.filter(Boolean).join(', ')}`
}

/** Characters of scopes beyond which a header may be too long for what stands before us. */
const MAX_SCOPES = 2_000

const lengthOf = (scopes: readonly string[]) => scopes.join(' ').length

/**
 * Names what a token must have for a request. Clients up to MCP 2025-11-25 ask for exactly what they
 * are told, so that they are told what they have too; later ones add that themselves.
 *
 * @param needed Of every token, and of the call.
 * @param granted What the client's token has; empty for later clients.
 * @see [MCP 2026-07-28, authorization](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization) Scope accumulation
 */
export function scopesOfChallenge(
  needed: readonly (readonly string[])[],
  granted: readonly string[],
): readonly string[] {
  const scopes = scopeUnion(...needed, granted)
  return lengthOf(scopes) > MAX_SCOPES ? scopeUnion(...needed) : scopes
}

/** Too many scopes for a header are left to the metadata, where clients look without them. */
export function scopesIfShort(scopes: readonly string[]): readonly string[] {
  return lengthOf(scopes) > MAX_SCOPES ? [] : scopes
}

/**
 * Renders the challenge that goes with a refused token, or returns `undefined` when the refusal
 * is not the token's fault (503).
 */
export function challengeFor(
  error: Pick<TokenError, 'reason' | 'status' | 'message' | 'scopes'>,
  { resourceMetadata, scopes = [] }: Pick<Challenge, 'resourceMetadata' | 'scopes'>,
): string | undefined {
  switch (error.status) {
    case 401:
      return challengeHeader(
        error.reason === 'missing'
          ? { resourceMetadata, scopes }
          : { error: 'invalid_token', description: error.message, resourceMetadata, scopes },
      )
    case 403:
      return challengeHeader({
        error: 'insufficient_scope',
        description: error.message,
        resourceMetadata,
        scopes: error.scopes,
      })
    case 503:
      return undefined
  }
}

/** RFC 6750 allows %x20-21 / %x23-5B / %x5D-7E: no quote, no backslash, ASCII only. */
function printable(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replace(/[^ -~]/g, '?')
}
