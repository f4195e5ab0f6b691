import { compactVerify, errors } from 'jose'
import { bareObject, isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { Principal } from '../principal.js'
import { type ClaimRules, checkClaims, isResource, toPrincipal } from './claims.js'
import type { KeyStore } from './jwks.js'
import { quoteForLog, TokenError } from './token-error.js'

/** Longer tokens are refused before anything of them is parsed; characters, all of them ASCII. */
export const MAX_TOKEN_LENGTH = 16_384

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/

const ACCEPTED_TYPES = new Set(['jwt', 'at+jwt', 'application/at+jwt'])

export interface VerifierOptions {
  clock: Pick<Clock, 'now'>
  keys: Pick<KeyStore, 'get'>
  acceptsIssuer: (issuer: string) => boolean
  /** The URL of the endpoint, which the audience must contain. */
  resource: string
  /** Accepted instead of it, as they are. */
  audience?: readonly string[]
  /** Accepted instead of it: the public URL, where it has only this endpoint. */
  publicUrl?: string | undefined
  ownServer?: ClaimRules['ownServer']
  /** Every token must carry these. */
  requiredScopes?: readonly string[]
  /** Names of further claims that principals keep. */
  keptClaims?: readonly string[] | 'all' | undefined
  acceptsBound?: ClaimRules['acceptsBound']
}

export interface Verifier {
  /**
   * Verifies one access token. The cheap checks come first, so that a token that cannot be ours never
   * causes a fetch of keys.
   *
   * @throws {TokenError}
   */
  verify(token: string): Promise<Principal>
}

/**
 * Creates a verifier of Descope's access tokens for one resource: RS256, `exp` mandatory, 5 seconds
 * of skew. Key references in the header (`jku`, `x5u`, `jwk`, `x5c`) are never followed.
 *
 * @see [RFC 8725](https://www.rfc-editor.org/rfc/rfc8725) JSON Web Token Best Current Practices
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { clock, keys, requiredScopes = [] } = options
  const rules = claimRules(options)
  return {
    async verify(token) {
      const { kid, claims } = parseToken(token)
      checkClaims(claims, clock.now() / 1000, rules)
      await checkSignature(token, await keys.get(kid))
      const principal = toPrincipal(claims, options.keptClaims)
      const missing = requiredScopes.filter((scope) => !principal.scopes.has(scope))
      if (missing.length > 0) {
        const what = `The access token lacks the scope ${missing.join(' ')}`
        const granted = [...principal.scopes]
        throw new TokenError('insufficient_scope', what, { scopes: requiredScopes, granted })
      }
      return principal
    },
  }
}

/** Prepares what the claims of a token must be. */
export function claimRules(
  options: Pick<
    VerifierOptions,
    'acceptsIssuer' | 'resource' | 'audience' | 'publicUrl' | 'ownServer' | 'acceptsBound'
  >,
): ClaimRules {
  const { acceptsIssuer, resource, audience = [], publicUrl, ownServer, acceptsBound } = options
  const ours = [resource, publicUrl].filter((url) => url !== undefined).map(isResource)
  return {
    acceptsIssuer,
    acceptsAudience: (candidate) =>
      ours.some((isOurs) => isOurs(candidate)) || audience.includes(candidate),
    ownServer,
    expectedAudience: resource,
    acceptsBound,
  }
}

/** Decodes a token and checks its header. Nothing in it is verified yet. */
function parseToken(token: string): { kid: string; claims: JsonObject } {
  if (token === '') throw new TokenError('missing', 'No access token was sent')
  if (token.length > MAX_TOKEN_LENGTH) {
    throw new TokenError('too_large', 'The access token is too long')
  }
  if (!COMPACT_JWS.test(token)) throw new TokenError('malformed', 'The access token is not a JWT')
  const [header, claims] = token.split('.', 2).map(decodePart)
  if (!isObject(header) || !isObject(claims)) {
    throw new TokenError('malformed', 'The access token is not a JWT')
  }
  // without a prototype, so that no inherited member counts as a claim
  return { kid: checkHeader(bareObject(header)), claims: bareObject(claims) }
}

function checkHeader({ alg, typ, crit, kid }: JsonObject): string {
  if (alg !== 'RS256') {
    throw new TokenError('wrong_algorithm', 'The access token is not signed with RS256', {
      details: { receivedAlgorithm: quoteForLog(alg) },
    })
  }
  if (typ !== undefined && !(typeof typ === 'string' && ACCEPTED_TYPES.has(typ.toLowerCase()))) {
    throw new TokenError('wrong_type', 'The token is of another type than an access token', {
      details: { receivedType: quoteForLog(typ) },
    })
  }
  if (crit !== undefined) {
    throw new TokenError('critical_header', 'The access token needs an unsupported extension')
  }
  if (typeof kid !== 'string' || kid === '') {
    throw new TokenError('unknown_key', 'The access token does not say which key signed it')
  }
  return kid
}

async function checkSignature(token: string, key: Parameters<typeof compactVerify>[1]) {
  try {
    await compactVerify(token, key, { algorithms: ['RS256'] })
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed) {
      throw new TokenError('bad_signature', 'The signature of the access token is wrong')
    }
    if (error instanceof errors.JOSEError) {
      throw new TokenError('malformed', 'The access token is not a JWT', { cause: error })
    }
    throw error
  }
}

function decodePart(part: string): unknown {
  return tryParseJson(Buffer.from(part, 'base64url').toString('utf8'))
}
