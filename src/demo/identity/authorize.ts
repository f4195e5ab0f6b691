import { authenticateClient, isPublic, resolveClient } from './clients.js'
import { issuerUrl } from './documents.js'
import { bodyParams, checkedParams, type IdentityCall, type IdentityReply, json } from './http.js'
import { consentPage, errorPage } from './pages.js'
import type { Client, EmulatorAuthorization, Surface } from './records.js'
import { describe, EmulatorRefusal, refusal, renderRefusal } from './refusals.js'
import { requestedResources, requestedScopes } from './scopes.js'
import { newSecret, remember, type State } from './state.js'
import { userOf } from './tokens.js'

/** Lifetime of an authorization code, milliseconds. */
const CODE_TTL_MS = 60_000

/**
 * Answers an authorization request, or the form that its consent page submits.
 *
 * A wrong client or redirect URI gets a page and is never redirected. Redirect URIs are compared
 * exactly, ports included.
 *
 * @see [RFC 6749 §4.1.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.1)
 */
export async function authorize(
  state: State,
  call: IdentityCall,
  surface: Surface,
): Promise<IdentityReply> {
  let params: URLSearchParams
  let client: Client
  let redirectUri: string
  try {
    params = call.method === 'POST' ? bodyParams(call) : checkedParams(call.query)
    if (params.has('transaction')) return decide(state, params)
    if (params.has('request_uri')) params = pushedParams(state, params)
    client = await resolveClient(state, params.get('client_id'))
    redirectUri = requireRedirectUri(client, params.get('redirect_uri'))
  } catch (error) {
    return refusalPage(error)
  }
  try {
    const request = parseRequest(state, surface, params, client, redirectUri)
    state.counters.authorizations++
    if (state.options.approval === 'auto') return grantCode(state, request)
    if (state.options.approval === 'deny') return deny(state, request)
    const transaction = newSecret(state)
    state.pending.set(transaction, request)
    return consentPage(client.name, emailsOf(state, request), request.grant.scopes, { transaction })
  } catch (error) {
    if (!(error instanceof EmulatorRefusal)) throw error
    return redirectTo(state, surface, redirectUri, {
      error: error.oauthError,
      error_description: describe(
        error.errorCode ? `${error.message} (${error.errorCode})` : error.message,
      ),
      state: params.get('state') ?? undefined,
    })
  }
}

/**
 * Takes a pushed request out of the store. All that counts is what was pushed.
 *
 * @see [RFC 9126 §4](https://www.rfc-editor.org/rfc/rfc9126#section-4)
 */
function pushedParams(state: State, params: URLSearchParams): URLSearchParams {
  const requestUri = params.get('request_uri') ?? ''
  const pushed = state.pushed.get(requestUri)
  state.pushed.delete(requestUri)
  const isOver = pushed === undefined || state.clock.now() >= pushed.expiresAt
  if (isOver || pushed.clientId !== params.get('client_id')) {
    throw refusal('invalid_request', 'The "request_uri" is not valid, was used, or is too old.')
  }
  return pushed.params
}

/**
 * Checks an authorization request that is pushed, before anybody opens it.
 *
 * @throws {EmulatorRefusal} as at authorization.
 */
export function checkAuthorization(state: State, client: Client, params: URLSearchParams): void {
  const redirectUri = requireRedirectUri(client, params.get('redirect_uri'))
  parseRequest(state, 'project', params, client, redirectUri)
}

function requireRedirectUri(client: Client, redirectUri: string | null): string {
  if (redirectUri === null) throw refusal('invalid_redirect_uri', '"redirect_uri" is missing.')
  if (!client.redirectUris.includes(redirectUri)) {
    throw refusal(
      'invalid_redirect_uri',
      `The redirect URI ${JSON.stringify(redirectUri)} is not registered for ${JSON.stringify(client.name)}. It must match exactly, port included.`,
    )
  }
  return redirectUri
}

function parseRequest(
  state: State,
  surface: Surface,
  params: URLSearchParams,
  client: Client,
  redirectUri: string,
): EmulatorAuthorization {
  if (params.get('response_type') !== 'code') throw refusal('unsupported_response')
  const challenge = params.get('code_challenge') ?? undefined
  remember(state, challenge)
  if (challenge === undefined && isPublic(client)) {
    throw refusal('invalid_request', '"code_challenge" is missing: public clients need PKCE')
  }
  if (challenge !== undefined) {
    if (params.get('code_challenge_method') !== 'S256') {
      throw refusal('invalid_request', '"code_challenge_method" must be "S256"')
    }
    if (!/^[\w-]{43}$/.test(challenge)) throw refusal('invalid_request', 'Bad "code_challenge"')
  }
  const scopes = requestedScopes(state, surface, params.get('scope'))
  const resources = requestedResources(state, params.getAll('resource'))
  if (!client.policy) throw refusal('not_associated')
  return {
    grant: {
      clientId: client.clientId,
      surface,
      scopes,
      resources,
      userId: userOf(state, params.get('login_hint') ?? params.get('loginHint')).id,
      tenant: params.get('tenant') ?? undefined,
      jkt: params.get('dpop_jkt') ?? undefined,
      steppedUp: state.options.stepUp === 'asked' && requestsStepUp(params),
      revoked: false,
    },
    redirectUri,
    state: params.get('state') ?? undefined,
    challenge,
    nonce: params.get('nonce') ?? undefined,
  }
}

/** Both are choices of the emulator: what makes Descope set `su` is not documented. */
function requestsStepUp(params: URLSearchParams): boolean {
  return params.has('acr_values') || (params.get('prompt') ?? '').split(' ').includes('login')
}

function decide(state: State, params: URLSearchParams): IdentityReply {
  const transaction = params.get('transaction') ?? ''
  const request = state.pending.get(transaction)
  if (request === undefined) throw refusal('invalid_request', 'This page was already answered.')
  state.pending.delete(transaction)
  const decision = params.get('decision') ?? ''
  if (decision === 'approve') return grantCode(state, request)
  if (!decision.startsWith('approve:')) return deny(state, request)
  const { id: userId } = userOf(state, decision.slice('approve:'.length))
  return grantCode(state, { ...request, grant: { ...request.grant, userId } })
}

/** Lists the users, the one named by the login hint first. */
function emailsOf(state: State, { grant }: EmulatorAuthorization): string[] {
  const { user, users } = state.options
  const emails = [user, ...users].map(({ email }) => email)
  return [...new Set([userOf(state, grant.userId).email, ...emails])]
}

function grantCode(state: State, request: EmulatorAuthorization): IdentityReply {
  const code = newSecret(state)
  state.codes.set(code, {
    ...request,
    expiresAt: state.clock.now() + CODE_TTL_MS,
    used: false,
  })
  return redirectTo(state, request.grant.surface, request.redirectUri, {
    code,
    state: request.state,
  })
}

function deny(state: State, request: EmulatorAuthorization): IdentityReply {
  return redirectTo(state, request.grant.surface, request.redirectUri, {
    error: 'access_denied',
    error_description: 'The user denied the request',
    state: request.state,
  })
}

function redirectTo(
  state: State,
  surface: Surface,
  redirectUri: string,
  parameters: Record<string, string | undefined>,
): IdentityReply {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) query.set(name, value)
  }
  if (state.options.iss) query.set('iss', issuerUrl(state, surface))
  const separator = redirectUri.includes('?') ? '&' : '?'
  return {
    status: 302,
    headers: { location: `${redirectUri}${separator}${query}`, 'cache-control': 'no-store' },
  }
}

function refusalPage(error: unknown): IdentityReply {
  if (!(error instanceof EmulatorRefusal)) throw error
  const { status } = renderRefusal(error, 'descope')
  return errorPage(status, `${error.oauthError} ${error.errorCode ?? ''}`.trim(), error.message)
}

/** Lifetime of a pushed request, seconds: a choice of the emulator. */
const PUSHED_TTL = 60

/**
 * Stores an authorization request and returns the `request_uri` under which it can be used once.
 *
 * @throws {EmulatorRefusal} what client authentication and the request itself are refused with.
 * @see [RFC 9126 §2](https://www.rfc-editor.org/rfc/rfc9126#section-2)
 */
export async function pushRequest(state: State, call: IdentityCall): Promise<IdentityReply> {
  const params = bodyParams(call)
  const client = await authenticateClient(state, call, params)
  if (params.has('request_uri')) throw refusal('invalid_request', '"request_uri" is not allowed')
  for (const name of ['client_secret', 'client_assertion', 'client_assertion_type']) {
    params.delete(name)
  }
  params.set('client_id', client.clientId)
  checkAuthorization(state, client, params)
  const requestUri = `urn:ietf:params:oauth:request_uri:${newSecret(state)}`
  state.pushed.set(requestUri, {
    clientId: client.clientId,
    params,
    expiresAt: state.clock.now() + PUSHED_TTL * 1000,
  })
  state.counters.pushedRequests++
  return json(201, { request_uri: requestUri, expires_in: PUSHED_TTL })
}
