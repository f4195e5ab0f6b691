import { isObject, stringMember, stringsMember } from '../../util/json.js'
import { projectBearer } from './access-keys.js'
import { isInTenant, isMachine, userIdOf } from './connections.js'
import { bodyParams, type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import type { OutboundApp } from './options.js'
import { connectPage, errorPage, page } from './pages.js'
import type { ConnectRequest } from './records.js'
import { refusal } from './refusals.js'
import { newSecret, remember, type State } from './state.js'
import { userOf, verifyOwn } from './tokens.js'

/** Life of a link, milliseconds: a choice of the emulator. */
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
 * app of API keys wants the key first.
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

/** Sends the user back. Which parameters Descope adds is not known: only a refusal is told. */
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
