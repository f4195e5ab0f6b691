import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { ProxyError } from '../../util/errors.js'
import { requiresStepUp } from '../tokens/token-source.js'
import type { BearerChallenge } from './parse-challenge.js'
import { splitScopes } from './scopes.js'
import type { AuthorizationServer } from './server-metadata.js'

/** What is kept between the authorization request and its answer. */
export interface AuthorizationSecrets {
  readonly state: string
  /** PKCE code verifier (RFC 7636 §4.1). */
  readonly verifier: string
}

/** Makes 256 random bits each for `state` and the code verifier. */
export function createAuthorizationSecrets(): AuthorizationSecrets {
  return {
    state: randomBytes(32).toString('base64url'),
    verifier: randomBytes(32).toString('base64url'),
  }
}

export interface AuthorizationRequest extends AuthorizationSecrets {
  server: AuthorizationServer
  clientId: string
  redirectUri: string
  scope: string | undefined
  resource: string | undefined
  stepUp?: StepUp | undefined
}

/** How somebody has to sign in anew, as a refusal demands it (RFC 9470 §4). */
export interface StepUp {
  readonly acrValues?: string | undefined
  readonly maxAge?: string | undefined
}

/** Reads what kind of sign-in a refusal demands; `undefined` when any will do. */
export function stepUpOf(challenge: BearerChallenge | undefined): StepUp | undefined {
  if (challenge === undefined || !requiresStepUp(challenge)) return undefined
  const { acrValues, maxAge } = challenge
  return {
    acrValues: acrValues?.slice(0, MAX_ACR_VALUES),
    maxAge: /^\d{1,9}$/.test(maxAge ?? '') ? maxAge : undefined,
  }
}

/** Longest list of authentication contexts that is passed on, characters. */
const MAX_ACR_VALUES = 1_000

/** Tells whether the URL of a sign-in requests this step-up already. */
export function isAskedFor(stepUp: StepUp, url: string): boolean {
  const { searchParams } = new URL(url)
  return Object.entries(stepUpParameters(stepUp)).every(([name, value]) => {
    return value === undefined || searchParams.get(name)?.includes(value)
  })
}

/**
 * `prompt` has the person sign in although the server knows them; that alone is a step-up where the
 * challenge names no other condition.
 *
 * @see [OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)
 */
function stepUpParameters({ acrValues, maxAge }: StepUp) {
  return { prompt: 'login', acr_values: acrValues, max_age: maxAge }
}

/**
 * Builds the URL at which somebody signs in: code flow, PKCE with S256, resource indicator.
 *
 * @see [RFC 6749 §4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)
 * @see [RFC 7636 §4.3](https://www.rfc-editor.org/rfc/rfc7636#section-4.3)
 * @see [RFC 8707 §2.1](https://www.rfc-editor.org/rfc/rfc8707#section-2.1)
 */
export function authorizationUrl(request: AuthorizationRequest): string {
  const { server, clientId, redirectUri, scope, resource, state, verifier, stepUp } = request
  const more = stepUp && stepUpParameters(stepUp)
  // OpenID Connect Core §11 grants offline access only after consent was requested.
  const consent = splitScopes(scope).includes('offline_access') ? 'consent' : undefined
  const url = new URL(server.authorizationEndpoint)
  const parameters = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    scope,
    resource,
    ...more,
    prompt: [more?.prompt, consent].filter(Boolean).join(' ') || undefined,
  }
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value)
  }
  return url.href
}

/** Tells whether the `state` of a response is ours, in a time that does not depend on how much matches. */
export function stateMatches(expected: string, received: string | null): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return received !== null && timingSafeEqual(digest(expected), digest(received))
}

/**
 * Checks who sent an authorization response: `iss` is compared as it is, and must be there when
 * the server announced it. No other parameter may be used or shown before.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the response may come from another server.
 * @see [RFC 9207 §2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)
 */
export function checkResponseIssuer(
  server: Pick<AuthorizationServer, 'issuer' | 'issInResponses'>,
  response: URLSearchParams,
): void {
  const issuers = response.getAll('iss')
  const missing = issuers.length === 0 && server.issInResponses
  if (missing || issuers.some((issuer) => issuer !== server.issuer)) {
    const what = `The answer to the sign-in does not come from ${server.issuer}`
    throw new ProxyError('SIGN_IN_FAILED', what, {
      hint: 'Start the sign-in again; if this repeats, do not sign in and tell the operator.',
    })
  }
}

/**
 * Reads the error of an authorization response.
 *
 * @returns `undefined` when it carries a code.
 * @throws {ProxyError} `SIGN_IN_FAILED` when it carries neither.
 * @see [RFC 6749 §4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)
 */
export function readResponseError(
  response: URLSearchParams,
): { code: string; description: string | undefined } | undefined {
  const code = response.get('error')
  if (code !== null) {
    const description = response.get('error_description')?.slice(0, 300)
    return { code: code.slice(0, 100), description }
  }
  if (response.getAll('code').length !== 1 || response.get('code') === '') {
    throw new ProxyError('SIGN_IN_FAILED', 'The answer to the sign-in holds no code')
  }
  return undefined
}
