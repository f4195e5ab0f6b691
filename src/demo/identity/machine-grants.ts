import { isPublic } from './clients.js'
import { type IdentityReply, json } from './http.js'
import type { Client } from './records.js'
import { refusal } from './refusals.js'
import { requestedResources, requestedScopes, splitScope } from './scopes.js'
import { remember, type State } from './state.js'
import { accessClaims, sign, tokenType, verifyOwn } from './tokens.js'

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
 * `resourceUrl`; scopes of other resources are granted as asked: both are choices of the emulator.
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
