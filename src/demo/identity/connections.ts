import { isObject, stringMember, stringsMember } from '../../util/json.js'
import { projectBearer } from './access-keys.js'
import { type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import type { ConfiguredConnection } from './options.js'
import { randomId } from './records.js'
import { refusal } from './refusals.js'
import { splitScope } from './scopes.js'
import { newSecret, nowSeconds, remember, type State } from './state.js'
import { type Claims, verifyOwn } from './tokens.js'

const FETCH_SCOPE = 'outbound.token.fetch'

/**
 * Gives the third-party token of a connection (an *outbound app*): to a management key, or to a
 * user's own access token with the scope `outbound.token.fetch`.
 *
 * A token from client credentials reads a tenant's connections and never a user's. Chosen by the
 * emulator: a user's token reads only that user's, and only the tenant's that it is signed in to.
 *
 * @param latest Whether any scopes will do; else `scopes` must be the connection's, all of them.
 * @throws {EmulatorRefusal} `invalid_token`, `forbidden` or `not_found`
 */
export async function connectionToken(
  state: State,
  call: IdentityCall,
  owner: 'user' | 'tenant',
  latest: boolean,
): Promise<IdentityReply> {
  const caller = await authenticate(state, projectBearer(state, call))
  const body = jsonBody(call)
  const id = stringMember(body, `${owner}Id`)
  if (caller !== 'management' && !mayRead(caller, owner, id)) throw refusal('forbidden')
  const connection = state.options.connections.find(
    (item) =>
      item.appId === body['appId'] &&
      (owner === 'user' ? item.userId === id : item.userId === undefined && item.tenantId === id),
  )
  if (id === undefined || connection === undefined) throw refusal('not_found', 'Not connected')
  if (!latest && !sameMembers(connection.scopes, stringsMember(body, 'scopes'))) {
    throw refusal('not_found', 'No token with these scopes')
  }
  if (!connection.policy) throw refusal('forbidden')
  const options = isObject(body['options']) ? body['options'] : {}
  const accessToken = currentToken(state, connection, options['forceRefresh'] === true)
  state.counters.connectionTokens++
  return json(200, {
    token: {
      id: randomId(),
      appId: connection.appId,
      userId: connection.userId ?? '',
      tokenSub: '',
      accessToken,
      accessTokenType: 'bearer',
      accessTokenExpiry: String(connection.expiresAt),
      hasRefreshToken: connection.refreshToken !== undefined,
      refreshToken: options['withRefreshToken'] === true ? (connection.refreshToken ?? '') : '',
      lastRefreshTime: '',
      lastRefreshError: '',
      scopes: connection.scopes,
      tenantId: connection.tenantId ?? '',
      grantedBy: connection.userId ?? '',
      externalIdentifier: '',
    },
  })
}

async function authenticate(state: State, credential: string): Promise<'management' | Claims> {
  remember(state, credential)
  if (state.options.managementKeys.includes(credential)) return 'management'
  const claims = await verifyOwn(state, credential)
  if (!splitScope(String(claims['scope'] ?? '')).includes(FETCH_SCOPE)) throw refusal('forbidden')
  return claims
}

function mayRead(claims: Claims, owner: 'user' | 'tenant', id: string | undefined): boolean {
  const machine = claims['sub'] === claims['azp']
  if (owner === 'user') return !machine && claims['sub'] === id
  return machine || claims['dct'] === id
}

/** Refreshes when asked to, or when the token is over, and a refresh token is there. */
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
