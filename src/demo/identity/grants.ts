import { createHash } from 'node:crypto'
import { isPublic } from './clients.js'
import { type IdentityReply, json } from './http.js'
import type { Client, EmulatorGrant } from './records.js'
import { refusal } from './refusals.js'
import { narrow, requestedResources, requestedScopes, splitScope } from './scopes.js'
import { newSecret, remember, type State } from './state.js'
import { accessClaims, idClaims, refreshLife, sign, tokenType, verifyOwn } from './tokens.js'

/**
 * Redeems an authorization code, once. A second attempt revokes the first one's tokens.
 *
 * @throws {EmulatorRefusal} `invalid_grant`, and what `narrow` throws.
 * @see [RFC 6749 §4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)
 */
export function redeemCode(
  state: State,
  client: Client,
  params: URLSearchParams,
  jkt?: string,
): IdentityReply | Promise<IdentityReply> {
  const verifier = params.get('code_verifier')
  remember(state, params.get('code'), verifier)
  const code = state.codes.get(params.get('code') ?? '')
  if (code === undefined) throw refusal('invalid_grant', 'Unknown code')
  if (code.grant.clientId !== client.clientId) throw refusal('invalid_grant', 'Another client')
  if (code.used) {
    code.grant.revoked = true
    throw refusal('invalid_grant', 'The code was already used')
  }
  if (code.grant.revoked) throw refusal('consent_gone')
  if (state.clock.now() >= code.expiresAt) throw refusal('invalid_grant', 'The code expired')
  if ((params.get('redirect_uri') ?? code.redirectUri) !== code.redirectUri) {
    throw refusal('invalid_grant', '"redirect_uri" is not the one of the authorization request')
  }
  if (challengeOf(verifier) !== code.challenge) {
    throw refusal('invalid_grant', '"code_verifier" does not match')
  }
  const narrowed = narrow(state, code.grant, params)
  bindGrant(client, code.grant, jkt)
  code.used = true
  state.counters.codes++
  return tokenReply(state, code.grant, { access: narrowed, nonce: code.nonce, refresh: true, jkt })
}

/**
 * Refreshes. With rotation each refresh token works once.
 *
 * @throws {EmulatorRefusal} `consent_gone`, `invalid_grant`, and what `narrow` throws.
 * @see [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)
 */
export function refresh(
  state: State,
  client: Client,
  params: URLSearchParams,
  jkt?: string,
): IdentityReply | Promise<IdentityReply> {
  const value = params.get('refresh_token')
  remember(state, value)
  const known = state.refreshTokens.get(value ?? '')
  if (known === undefined || known.grant.clientId !== client.clientId) {
    throw refusal('invalid_grant', 'Unknown refresh token')
  }
  const { rotateRefresh, reuseDetection } = state.options
  if (known.used) {
    state.counters.reuses++
    if (reuseDetection) known.grant.revoked = true
    throw refusal('invalid_grant', 'The refresh token was already used')
  }
  if (known.grant.revoked) throw refusal('consent_gone')
  if (state.clock.now() >= known.expiresAt) throw refusal('invalid_grant', 'It has expired')
  const narrowed = narrow(state, known.grant, params)
  bindGrant(client, known.grant, jkt)
  known.used = rotateRefresh
  state.counters.refreshes++
  return tokenReply(state, known.grant, { access: narrowed, refresh: rotateRefresh, jkt })
}

interface Issue {
  /** What the access token gets of the grant. */
  access: EmulatorGrant
  nonce?: string | undefined
  /** Whether a new refresh token comes along. */
  refresh: boolean
  /** Thumbprint of the key of the DPoP proof. */
  jkt: string | undefined
}

/**
 * Binds a grant to the key of the proof: the one that authorization named, and a public client's
 * refresh tokens to the first one.
 *
 * @throws {EmulatorRefusal} `invalid_grant` when it is bound to another key.
 * @see [RFC 9449 §5](https://www.rfc-editor.org/rfc/rfc9449#section-5)
 */
export function bindGrant(client: Client, grant: EmulatorGrant, jkt: string | undefined): void {
  if (grant.jkt !== undefined && grant.jkt !== jkt) {
    throw refusal('invalid_grant', 'It is bound to the key of another DPoP proof')
  }
  if (isPublic(client)) grant.jkt = jkt
}

/** Issues the tokens of a grant. */
export async function tokenReply(
  state: State,
  grant: EmulatorGrant,
  issue: Issue,
): Promise<IdentityReply> {
  const { scopes } = issue.access
  const refreshTtl = refreshLife(state, grant.surface)
  let refreshToken: string | undefined
  if (issue.refresh && refreshTtl > 0) {
    refreshToken = newSecret(state)
    const expiresAt = state.clock.now() + refreshTtl * 1000
    state.refreshTokens.set(refreshToken, { grant, expiresAt, used: false })
  }
  const accessToken = await sign(state, accessClaims(state, { ...issue.access, jkt: issue.jkt }))
  if (grant.surface === 'project') state.projectTokens.set(accessToken, true)
  const idToken = scopes.includes('openid')
    ? await sign(state, idClaims(state, grant, issue.nonce))
    : undefined
  return json(200, {
    access_token: accessToken,
    token_type: tokenType(issue.jkt),
    refresh_token: refreshToken,
    id_token: idToken,
    expires_in: state.options.ttl,
    scope: scopes.join(' '),
  })
}

function challengeOf(verifier: string | null): string | undefined {
  if (verifier === null) return undefined
  if (!/^[\w.~-]{43,128}$/.test(verifier)) return ''
  return createHash('sha256').update(verifier).digest('base64url')
}

const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'

/**
 * Issues a token to a client for itself: confidential clients with a policy only, and never a
 * refresh token.
 *
 * @throws {EmulatorRefusal} `unauthorized_client`, `not_associated`, `invalid_scope` or `invalid_target`
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)
 */
export async function grantClientCredentials(
  state: State,
  client: Client,
  params: URLSearchParams,
  jkt?: string,
): Promise<IdentityReply> {
  requireMachine(client)
  const claims = accessClaims(state, {
    clientId: client.clientId,
    scopes: requestedScopes(state, 'agentic', params.get('scope')),
    resources: oneResource(state, params),
    machine: true,
    jkt,
  })
  const accessToken = await sign(state, claims)
  state.counters.clientCredentials++
  return json(200, {
    access_token: accessToken,
    token_type: tokenType(jkt),
    expires_in: state.options.ttl,
    scope: claims['scope'],
  })
}

/**
 * Exchanges a user's access token for one with another audience, on behalf of that user. The client
 * may prove itself, be named only, or be left out: then the one of the token takes its place.
 *
 * Any URI will do as `resource`. `audience` and `resource` both go into `aud`, in place of
 * `resourceUrl`; scopes of other resources are granted as requested: both are choices of the emulator.
 *
 * @throws {EmulatorRefusal} `no_delegation_…`, `invalid_request`, `invalid_grant`,
 *   `invalid_target`, and what client authentication throws.
 * @see [RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1)
 */
export async function exchangeToken(
  state: State,
  client: Client | undefined,
  params: URLSearchParams,
  jkt?: string,
): Promise<IdentityReply> {
  remember(state, params.get('subject_token'))
  const { delegatedAccess, resourceUrl } = state.options
  if (delegatedAccess !== true) throw refusal(`no_delegation_${delegatedAccess}`)
  if (client !== undefined && !client.policy) throw refusal('not_associated')
  if (params.get('subject_token_type') !== ACCESS_TOKEN_TYPE) {
    throw refusal('invalid_request', '"subject_token_type" must be an access token')
  }
  if ((params.get('requested_token_type') ?? ACCESS_TOKEN_TYPE) !== ACCESS_TOKEN_TYPE) {
    throw refusal('invalid_request', '"requested_token_type" must be an access token')
  }
  const subject = await verifyOwn(state, params.get('subject_token') ?? undefined).catch(() => {
    throw refusal('invalid_grant', 'Bad "subject_token"')
  })
  const resources = [...params.getAll('resource'), ...params.getAll('audience')]
  if (params.getAll('resource').some((uri) => !URL.canParse(uri) || uri.includes('#'))) {
    throw refusal('invalid_target')
  }
  const scope = params.get('scope')
  const isForeign = resources.some((resource) => resource !== resourceUrl)
  const claims = accessClaims(state, {
    clientId: client?.clientId ?? String(subject['azp'] ?? state.projectId),
    scopes: isForeign && scope ? splitScope(scope) : requestedScopes(state, 'agentic', scope),
    resources,
    userId: String(subject['dsub'] ?? subject['sub']),
    tenant: typeof subject['dct'] === 'string' ? subject['dct'] : undefined,
    jkt,
  })
  const accessToken = await sign(state, {
    ...claims,
    sub: subject['sub'],
    dsub: subject['dsub'],
    act: client && { sub: client.clientId },
  })
  state.counters.exchanges++
  return json(200, {
    access_token: accessToken,
    issued_token_type: ACCESS_TOKEN_TYPE,
    token_type: tokenType(jkt),
    expires_in: state.options.ttl,
    scope: claims['scope'],
  })
}

function requireMachine(client: Client): void {
  if (isPublic(client)) {
    throw refusal('unauthorized_client', 'Public clients may not use this grant')
  }
  if (!client.machine) throw refusal('unauthorized_client')
  if (!client.policy) throw refusal('not_associated')
}

function oneResource(state: State, params: URLSearchParams): string[] {
  const resources = requestedResources(state, params.getAll('resource'))
  if (resources.length > 1) throw refusal('invalid_target', 'Only one "resource" is supported')
  return resources
}
