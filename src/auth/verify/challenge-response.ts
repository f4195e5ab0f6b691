import { type DpopMode, PROOF_ALGORITHMS } from './dpop-proof.js'
import { scopeUnion } from './resource-metadata.js'
import type { TokenError } from './token-error.js'

/** What a caller without a step-up is told. */
export const STEP_UP_NEEDED = 'This call needs a step-up: sign in again and confirm that it is you'

/** How a request says whose access token it sends (RFC 6750, RFC 9449). */
export type TokenScheme = 'Bearer' | 'DPoP'

export interface Challenge {
  /** Left out when no token was sent. */
  error?:
    | 'invalid_request'
    | 'invalid_token'
    | 'invalid_dpop_proof'
    | 'insufficient_scope'
    | 'insufficient_user_authentication'
  /** A sentence for people. */
  description?: string
  /** Absolute URL of the protected resource metadata. */
  resourceMetadata: string
  scopes?: readonly string[]
  /** Which schemes are taken; Bearer alone by default. */
  dpop?: DpopMode | undefined
  /** That of the request, which the error is about; Bearer by default. */
  scheme?: TokenScheme | undefined
}

const SCHEMES: Readonly<Record<DpopMode, readonly [TokenScheme, ...TokenScheme[]]>> = {
  off: ['Bearer'],
  // the first one is the only one that many clients see
  accept: ['Bearer', 'DPoP'],
  require: ['DPoP'],
}

/** Longer scopes are named once in a header. */
const MAX_TWICE = 1_000

/**
 * Renders the value of a `WWW-Authenticate` header. Characters that RFC 6750 does not allow in
 * a parameter are replaced, so that no text can end its quotes or the header.
 *
 * @see [RFC 6750 §3](https://www.rfc-editor.org/rfc/rfc6750#section-3) The WWW-Authenticate Response Header Field
 * @see [RFC 9449 §7.1](https://www.rfc-editor.org/rfc/rfc9449#section-7.1) The DPoP Authentication Scheme
 * @see [RFC 9728 §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-5.1) `resource_metadata`
 */
export function challengeHeader(challenge: Challenge): string {
  const { error, description, resourceMetadata, scopes = [], dpop = 'off', scheme } = challenge
  const taken = SCHEMES[dpop]
  const used = taken.find((name) => name === scheme) ?? taken[0]
  // more scopes are missing, whatever the scheme
  const named = error === 'insufficient_scope' ? [used] : taken
  const scope = scopes.filter((name) => /^[!#-[\]-~]+$/.test(name)).join(' ')
  return named
    .map((name, index) => {
      const parameters = [
        error && name === used && `error="${error}"`,
        error && name === used && description && `error_description="${printable(description)}"`,
        name === 'DPoP' && `algs="${PROOF_ALGORITHMS.join(' ')}"`,
        `resource_metadata="${printable(resourceMetadata)}"`,
        scope && (index === 0 || scope.length <= MAX_TWICE) && `scope="${scope}"`,
      ]
      return `${name} ${parameters.filter(Boolean).join(', ')}`
    })
    .join(', ')
}

/** Characters of scopes beyond which a header may be too long for what stands before us. */
const MAX_SCOPES = 2_000

const lengthOf = (scopes: readonly string[]) => scopes.join(' ').length

/**
 * Names what a token must have for a request. Clients up to MCP 2025-11-25 request exactly what they
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

/** What the challenges of an endpoint are made of: `scopes` are to be requested first. */
export interface ChallengeParts {
  resourceMetadata: string
  scopes: readonly string[]
  /** Of every token. */
  required: readonly string[]
  dpop?: DpopMode | undefined
}

/** Reads the scheme of a request; what is none of ours counts as Bearer. */
export function schemeOf(authorization: string | undefined): TokenScheme {
  return authorization !== undefined && /^dpop(?: |$)/i.test(authorization) ? 'DPoP' : 'Bearer'
}

const RETRY_SECONDS = '5'

/** Renders the headers of the answer to a refused token. */
export function refusalHeaders(
  error: TokenError,
  granted: readonly string[],
  { resourceMetadata, scopes, dpop, scheme }: ChallengeParts & { scheme: TokenScheme },
): Record<string, string> {
  const { reason, status, message } = error
  const needed = scopesOfChallenge([error.scopes], granted)
  const challenge = challengeFor(
    { reason, status, message, scopes: needed },
    { resourceMetadata, scopes: scopesIfShort(scopes), dpop, scheme },
  )
  return challenge === undefined
    ? { 'retry-after': RETRY_SECONDS }
    : { 'www-authenticate': challenge }
}

/** Where and how to get a token. */
export type ChallengeContext = Pick<Challenge, 'resourceMetadata' | 'scopes' | 'dpop' | 'scheme'>

/**
 * Renders the challenge that goes with a refused token, or returns `undefined` when the refusal
 * is not the token's fault (503).
 */
export function challengeFor(
  error: Pick<TokenError, 'reason' | 'status' | 'message' | 'scopes'>,
  context: ChallengeContext,
): string | undefined {
  const { reason, status, message: description } = error
  switch (status) {
    case 401:
      if (reason === 'missing') return challengeHeader(context)
      return challengeHeader({
        ...context,
        error: reason.startsWith('proof_') ? 'invalid_dpop_proof' : 'invalid_token',
        description,
      })
    case 403: {
      const { scopes } = error
      return challengeHeader({ ...context, error: 'insufficient_scope', description, scopes })
    }
    case 503:
      return undefined
  }
}

/** Renders the challenge for a call that needs more scopes than the token has. */
export function scopeChallenge(scopes: readonly string[], context: ChallengeContext): string {
  const description = 'The access token lacks scopes that this call needs'
  return challengeHeader({ ...context, error: 'insufficient_scope', description, scopes })
}

/** Renders the challenge for a call that needs a step-up. */
export function stepUpChallenge(scopes: readonly string[], context: ChallengeContext): string {
  const error = 'insufficient_user_authentication'
  return challengeHeader({ ...context, error, description: STEP_UP_NEEDED, scopes })
}

/** RFC 6750 allows %x20-21 / %x23-5B / %x5D-7E: no quote, no backslash, ASCII only. */
function printable(text: string): string {
  return text
    .replaceAll('"', "'")
    .replaceAll('\\', '/')
    .replace(/[^ -~]/g, '?')
}
