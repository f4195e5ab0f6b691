import { isObject, ownMember, stringMember, stringsMember } from '../../util/json.js'
import { projectBearer } from './access-keys.js'
import { bodyParams, type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import type { ConfiguredConnection, OutboundApp } from './options.js'
import { connectPage, errorPage, page } from './pages.js'
import { type ConnectRequest, randomId } from './records.js'
import { refusal } from './refusals.js'
import { splitScope } from './scopes.js'
import { newSecret, nowSeconds, remember, type State } from './state.js'
import { type Claims, userOf, verifyOwn } from './tokens.js'

const FETCH_SCOPE = 'outbound.token.fetch'

/**
 * Gives the third-party token of a connection (an *outbound app*): to a management key, or to a
 * user's own access token with the scope `outbound.token.fetch`.
 *
 * A token from client credentials reads a tenant's connections and never a user's. A user's
 * connection without a tenant and those for each tenant are different ones. Chosen by the emulator:
 * a user's token reads only that user's, and only for tenants that the user is in; of several, the
 * latest is the one that was connected last.
 *
 * @param latest Whether any scopes will do; else `scopes` must be the connection's, all of them.
 * @throws {EmulatorRefusal} `invalid_token`, `forbidden` or `not_connected`
 */
export async function connectionToken(
  state: State,
  call: IdentityCall,
  owner: 'user' | 'tenant',
  latest: boolean,
): Promise<IdentityReply> {
  const caller = await authenticate(state, projectBearer(state, call))
  const body = jsonBody(call)
  const userId = owner === 'user' ? stringMember(body, 'userId') : undefined
  const tenantId = stringMember(body, 'tenantId') || undefined
  if (caller !== 'management' && !mayRead(state, caller, owner, userId, tenantId)) {
    throw refusal('forbidden')
  }
  if ((owner === 'user' ? userId : tenantId) === undefined) throw refusal('not_connected')
  const connected = allConnections(state).filter(
    (item) => item.appId === body['appId'] && item.userId === userId && item.tenantId === tenantId,
  )
  if (connected.length === 0) throw refusal('not_connected', 'Not connected')
  const scopes = stringsMember(body, 'scopes')
  const connection = connected.findLast((item) => latest || sameMembers(item.scopes, scopes))
  if (connection === undefined) throw refusal('not_connected', 'No token with these scopes')
  if (!connection.policy || !appPolicy(state, connection.appId)) throw refusal('forbidden')
  const options = isObject(body['options']) ? body['options'] : {}
  const accessToken = currentToken(state, connection, options['forceRefresh'] === true)
  state.counters.connectionTokens++
  return json(200, {
    token: describe(connection, accessToken, options['withRefreshToken'] === true),
  })
}

/** `accessTokenType` of an API key is a choice of the emulator. */
function describe(connection: ConfiguredConnection, accessToken: string, withRefresh: boolean) {
  const { appId, userId = '', tenantId = '', kind, refreshToken, scopes, expiresAt } = connection
  return {
    id: randomId(),
    appId,
    userId,
    tokenSub: '',
    accessToken,
    accessTokenType: kind === 'apiKey' ? 'apikey' : 'bearer',
    accessTokenExpiry: String(expiresAt),
    hasRefreshToken: refreshToken !== undefined,
    refreshToken: withRefresh ? (refreshToken ?? '') : '',
    lastRefreshTime: '',
    lastRefreshError: '',
    scopes,
    tenantId,
    grantedBy: userId,
    externalIdentifier: '',
  }
}

/** Returns what is configured and what was connected since, the newest last. */
function allConnections(state: State): readonly ConfiguredConnection[] {
  return [...state.options.connections, ...state.connected]
}

/** Tells whether a Policy lets users reach an app; one that is not listed has one. */
function appPolicy(state: State, appId: string): boolean {
  return state.options.outboundApps.find((app) => app.appId === appId)?.policy ?? true
}

async function authenticate(state: State, credential: string): Promise<'management' | Claims> {
  remember(state, credential)
  if (state.options.managementKeys.includes(credential)) return 'management'
  const claims = await verifyOwn(state, credential)
  if (!splitScope(String(claims['scope'] ?? '')).includes(FETCH_SCOPE)) throw refusal('forbidden')
  return claims
}

function mayRead(
  state: State,
  claims: Claims,
  owner: 'user' | 'tenant',
  userId: string | undefined,
  tenantId: string | undefined,
): boolean {
  if (isMachine(claims)) return owner === 'tenant'
  if (owner === 'user' && userIdOf(claims) !== userId) return false
  return tenantId === undefined || isInTenant(state, claims, tenantId)
}

/** Tells a client's own token from a user's. */
export function isMachine(claims: Claims): boolean {
  return claims['sub'] === claims['azp']
}

/** Returns the user id, also where a template has put something else into `sub`. */
export function userIdOf(claims: Claims): unknown {
  return claims['dsub'] ?? claims['sub']
}

/** Tells whether a user may act for a tenant: the one signed in to or, without one, any of theirs. */
export function isInTenant(state: State, claims: Claims, tenantId: string): boolean {
  if (claims['dct'] !== undefined) return claims['dct'] === tenantId
  const { tenant, tenants } = userOf(state, userIdOf(claims))
  return tenant === tenantId || ownMember(tenants, tenantId) !== undefined
}

/** Refreshes on request or when the token has expired, if there is a refresh token. */
function currentToken(state: State, connection: ConfiguredConnection, force: boolean): string {
  const { accessToken, nextAccessToken, refreshToken, expiresAt } = connection
  const expired = expiresAt > 0 && expiresAt <= nowSeconds(state)
  if (refreshToken !== undefined && (force || expired)) {
    state.counters.connectionRefreshes++
    state.refreshedConnections.set(accessToken, nextAccessToken ?? newSecret(state))
  }
  return state.refreshedConnections.get(accessToken) ?? accessToken
}

function sameMembers(left: readonly string[], right: readonly string[]): boolean {
  const members = new Set(left)
  return members.size === new Set(right).size && right.every((member) => members.has(member))
}

/** Lifetime of a link, milliseconds: a choice of the emulator. */
const LINK_TTL_MS = 600_000

const MOST_CONNECTIONS = 10_000

/**
 * Makes the link at which a user connects to an app. It takes the user's own token: a management
 * key cannot. With `tenantId`, the connection is the user's for that tenant.
 *
 * Chosen by the emulator: any of the user's access tokens will do, and the tenant must be one that
 * the user is in.
 *
 * @throws {EmulatorRefusal} `invalid_token`, `forbidden`, `not_connected` or `invalid_request`
 */
export async function startConnect(state: State, call: IdentityCall): Promise<IdentityReply> {
  const claims = await verifyOwn(state, projectBearer(state, call))
  if (isMachine(claims)) throw refusal('forbidden', 'A client has no connections of its own')
  const body = jsonBody(call)
  const appId = stringMember(body, 'appId') ?? ''
  const app = findApp(state, appId)
  if (app === undefined) throw refusal('not_connected', 'Outbound app not found')
  if (!app.policy) throw refusal('forbidden')
  const tenantId = stringMember(body, 'tenantId') || undefined
  if (tenantId !== undefined && !isInTenant(state, claims, tenantId)) throw refusal('forbidden')
  const options = isObject(body['options']) ? body['options'] : {}
  const redirectUrl = stringMember(options, 'redirectUrl') || undefined
  if (redirectUrl !== undefined && !isWebUrl(redirectUrl)) {
    throw refusal('invalid_request', '"redirectUrl" must be an http or https URL')
  }
  const scopes = stringsMember(options, 'scopes')
  const id = newSecret(state)
  state.connects.set(id, {
    app,
    userId: String(userIdOf(claims)),
    tenantId,
    scopes: scopes.length > 0 ? [...new Set(scopes)] : app.scopes,
    redirectUrl,
    expiresAt: state.clock.now() + LINK_TTL_MS,
  })
  state.counters.connectLinks++
  return json(200, { url: `${state.baseUrl}/connect/${id}` })
}

const isWebUrl = (url: string) => /^https?:\/\/[^/]/.test(url) && URL.canParse(url)

function findApp({ options }: State, appId: string): OutboundApp | undefined {
  const { outboundApps } = options
  if (outboundApps.length === 0 && appId !== '') {
    return { appId, kind: 'oauth', scopes: [], policy: true }
  }
  return outboundApps.find((app) => app.appId === appId)
}

/**
 * Serves the page of a link: it stands for the third party's own sign-in. One click connects; an
 * app with API keys requires the key first.
 */
export function connectionPage(state: State, call: IdentityCall): IdentityReply {
  const id = call.path.slice(call.path.lastIndexOf('/') + 1)
  const request = state.connects.get(id)
  if (request === undefined || state.clock.now() >= request.expiresAt) {
    return errorPage(404, 'expired', 'This link was already used, or it is too old.')
  }
  const { app, scopes } = request
  const { email } = userOf(state, request.userId)
  if (call.method !== 'POST') {
    return connectPage(app.appId, email, scopes, app.kind === 'apiKey')
  }
  const params = bodyParams(call)
  if (params.get('decision') !== 'connect') return end(state, id, request, false)
  const apiKey = params.get('api_key')?.trim() ?? ''
  if (app.kind === 'apiKey' && apiKey === '') {
    return connectPage(app.appId, email, scopes, true)
  }
  remember(state, apiKey)
  const isKey = app.kind === 'apiKey'
  if (state.connected.length >= MOST_CONNECTIONS) state.connected.shift()
  state.connected.push({
    appId: app.appId,
    userId: request.userId,
    tenantId: request.tenantId,
    kind: app.kind,
    accessToken: isKey ? apiKey : newSecret(state),
    refreshToken: isKey ? undefined : newSecret(state),
    scopes: [...scopes],
    expiresAt: isKey ? 0 : Math.floor(state.clock.now() / 1000) + 3600,
    policy: true,
  })
  state.counters.connections++
  return end(state, id, request, true)
}

/** Sends the user back. Which parameters Descope adds is not known: the emulator adds `error` on a refusal. */
function end(
  state: State,
  id: string,
  { redirectUrl, app }: ConnectRequest,
  connected: boolean,
): IdentityReply {
  state.connects.delete(id)
  if (redirectUrl === undefined) {
    const title = connected ? `${app.appId} is connected` : `${app.appId} was not connected`
    return page(200, title, '<p>You can close this window.</p>')
  }
  const location = new URL(redirectUrl)
  if (!connected) location.searchParams.set('error', 'access_denied')
  return { status: 303, headers: { location: location.href, 'cache-control': 'no-store' } }
}
