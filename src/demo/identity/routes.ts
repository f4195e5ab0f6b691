import { ownMember } from '../../util/json.js'
import { accessKeyToken, exchangeAccessKey } from './access-keys.js'
import { customUserinfo, revoke, userinfo } from './account.js'
import { authorize, pushRequest } from './authorize.js'
import { authenticateClient, exchangingClient } from './clients.js'
import { connectionPage, connectionToken, startConnect } from './connections.js'
import { CONTROL } from './control.js'
import { devicePage, pollDevice, startDevice } from './device.js'
import { agenticDocument, bareDocument, keySet, projectDocument } from './documents.js'
import { proofKey } from './dpop.js'
import { exchangeToken, grantClientCredentials, redeemCode, refresh } from './grants.js'
import { bodyParams, type Handler, type IdentityCall, type IdentityReply } from './http.js'
import { checkRelations, recordAuditEvent } from './management.js'
import { frontPage } from './pages.js'
import type { Client, Surface } from './records.js'
import { refusal } from './refusals.js'
import { registerClient, registerProjectClient } from './register.js'
import type { State } from './state.js'

interface Route {
  readonly GET?: Handler
  readonly POST?: Handler
  readonly DELETE?: Handler
  /** Readable by web pages of any origin. */
  readonly open?: boolean
}

export type Routes = ReadonlyMap<string, Route>

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': '*',
  'access-control-max-age': '600',
}

/** Builds the table of exact paths for a project and its MCP server. */
export function createRoutes(projectId: string, serverId: string): Routes {
  const agentic = `agentic/${projectId}/${serverId}`
  const routes = new Map<string, Route>(Object.entries(CONTROL))
  const add = (route: Route, ...paths: string[]) => {
    for (const path of paths) routes.set(path, route)
  }
  for (const name of ['openid-configuration', 'oauth-authorization-server']) {
    const wellKnown = `.well-known/${name}`
    add({ GET: agenticDocument, open: true }, `/v1/apps/${agentic}/${wellKnown}`)
    add({ GET: projectDocument, open: true }, `/v1/apps/${projectId}/${wellKnown}`)
    add({ GET: bareDocument, open: true }, `/${projectId}/${wellKnown}`)
  }
  const inserted = '/.well-known/oauth-authorization-server'
  add({ GET: bareDocument, open: true }, `${inserted}/${projectId}`)
  add({ GET: insertedDocument, open: true }, `${inserted}/v1/apps/${agentic}`)
  add(
    { GET: keySet, open: true },
    `/${projectId}/.well-known/jwks.json`,
    `/v2/keys/${projectId}`,
    `/v1/keys/${projectId}`,
  )
  add({ POST: registerClient }, `/v1/mgmt/mcp/client/${projectId}/${serverId}/register`)
  add({ POST: registerProjectClient }, `/v1/mgmt/inboundapp/app/${projectId}/register`)

  add({ GET: frontPage }, '/')

  const oauth = '/oauth2/v1'
  const prefixes = [`${oauth}/apps`, `${oauth}/apps/${projectId}`]
  add(authorizeRoute('agentic'), `${oauth}/apps/${agentic}/authorize`)
  add(authorizeRoute('project'), ...prefixes.map((prefix) => `${prefix}/authorize`))
  const everywhere = [...prefixes, oauth, `${oauth}/${projectId}`]
  const ofPrefixes = (list: string[], name: string) => list.map((prefix) => `${prefix}/${name}`)
  add({ POST: token }, ...ofPrefixes([`${oauth}/apps/${agentic}`, ...everywhere], 'token'))
  add({ POST: startDevice }, ...ofPrefixes(everywhere, 'device'))
  add({ GET: devicePage, POST: devicePage }, '/device')
  add({ POST: revoke }, ...ofPrefixes(prefixes, 'revoke'))
  add({ GET: userinfo, POST: userinfo }, ...ofPrefixes(prefixes, 'userinfo'))
  add({ GET: customUserinfo, POST: customUserinfo }, `${oauth}/userinfo`)
  add({ POST: pushRequest }, `${oauth}/apps/par`)
  add({ POST: exchangeAccessKey }, '/v1/auth/accesskey/exchange')
  add({ POST: startConnect }, '/v1/mgmt/outbound/app/connect')
  add({ POST: recordAuditEvent }, '/v1/mgmt/audit/event')
  add({ POST: checkRelations }, '/v1/mgmt/fga/check')
  for (const owner of ['user', 'tenant'] as const) {
    const path = `/v1/mgmt/outbound/app/${owner}/token`
    add({ POST: (state, call) => connectionToken(state, call, owner, false) }, path)
    add({ POST: (state, call) => connectionToken(state, call, owner, true) }, `${path}/latest`)
  }
  return routes
}

/** The only path with a part that varies. */
const CONNECT_PAGE: Route = { GET: connectionPage, POST: connectionPage }

/**
 * Answers a call by its exact path and method.
 *
 * @throws {EmulatorRefusal} `not_found`, `method`, and whatever the handler refuses.
 */
export async function answerCall(
  routes: Routes,
  state: State,
  call: IdentityCall,
): Promise<IdentityReply> {
  const route = call.path.startsWith('/connect/') ? CONNECT_PAGE : routes.get(call.path)
  if (route === undefined) throw refusal('not_found')
  if (route.open && call.method === 'OPTIONS') return { status: 204, headers: CORS }
  const method = call.method === 'HEAD' ? 'GET' : call.method
  const handler =
    method === 'GET' || method === 'POST' || method === 'DELETE' ? route[method] : undefined
  if (handler === undefined) throw refusal('method')
  const reply = await handler(state, call)
  return route.open ? { ...reply, headers: { ...CORS, ...reply.headers } } : reply
}

function authorizeRoute(surface: Surface): Route {
  const handler: Handler = (state, call) => authorize(state, call, surface)
  return { GET: handler, POST: handler }
}

const insertedDocument: Handler = (state, call) => {
  if (!state.options.pathInserted) throw refusal('not_found')
  return agenticDocument(state, call)
}

type GrantHandler = (
  state: State,
  client: Client,
  params: URLSearchParams,
  jkt: string | undefined,
) => IdentityReply | Promise<IdentityReply>

const GRANTS: Readonly<Record<string, GrantHandler>> = {
  authorization_code: redeemCode,
  refresh_token: refresh,
  client_credentials: grantClientCredentials,
  'urn:ietf:params:oauth:grant-type:device_code': pollDevice,
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'

/**
 * Answers a token request, whose body may be a form or JSON.
 *
 * @see [RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)
 */
async function token(state: State, call: IdentityCall): Promise<IdentityReply> {
  const params = bodyParams(call)
  const type = params.get('grant_type') ?? ''
  if (type === EXCHANGE) return exchange(state, call, params)
  const grant = ownMember(GRANTS, type)
  if (grant === undefined) throw refusal('unsupported_grant')
  const machine = type === 'client_credentials' ? await accessKeyToken(state, call) : undefined
  if (machine !== undefined) return machine
  const client = await authenticateClient(state, call, params)
  return grant(state, client, params, await proofKey(state, call))
}

async function exchange(
  state: State,
  call: IdentityCall,
  params: URLSearchParams,
): Promise<IdentityReply> {
  const isAgentic = call.path.startsWith('/oauth2/v1/apps/agentic/')
  if (isAgentic && !state.options.agenticExchange) throw refusal('unsupported_grant')
  const client = await exchangingClient(state, call, params)
  return exchangeToken(state, client, params, await proofKey(state, call))
}
