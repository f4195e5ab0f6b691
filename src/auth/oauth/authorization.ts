import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { ProxyError } from '../../util/errors.js'
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
}

/**
 * Builds the URL at which somebody signs in: code flow, PKCE with S256, resource indicator.
 *
 * @see [RFC 6749 §4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)
 * @see [RFC 7636 §4.3](https://www.rfc-editor.org/rfc/rfc7636#section-4.3)
 * @see [RFC 8707 §2.1](https://www.rfc-editor.org/rfc/rfc8707#section-2.1)
 */
export function authorizationUrl(request: AuthorizationRequest): string {
  const { server, clientId, redirectUri, scope, resource, state, verifier } = request
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
    // OpenID Connect Core §11 grants offline access only after consent was asked for.
    prompt: splitScopes(scope).includes('offline_access') ? 'consent' : undefined,
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
