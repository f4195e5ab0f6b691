import { type JsonObject, stringMember, stringsMember } from '../../util/json.js'
import { redirectUriProblem } from './client-metadata.js'
import { PROJECT_SCOPES } from './documents.js'
import { type Handler, type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import { type Client, newClientId } from './records.js'
import { refusal } from './refusals.js'
import { newSecret, nowSeconds, type State } from './state.js'

const AUTH_METHODS = ['none', 'client_secret_basic', 'client_secret_post']

/** Registers a client of the MCP server. */
export const registerClient: Handler = (state, call) => register(state, call, state.options.scopes)

/** Registers a client of the project's own authorization server (an *inbound app*). */
export const registerProjectClient: Handler = (state, call) =>
  register(state, call, [...PROJECT_SCOPES, ...state.options.scopes])

/**
 * Registers a client, public whatever it requested, unless `dcrSecret` says otherwise. The
 * requested scope is cut to what the server has; a scope that it lacks is an error only at
 * authorization.
 *
 * @see [RFC 7591 §3](https://www.rfc-editor.org/rfc/rfc7591#section-3)
 */
function register(state: State, call: IdentityCall, known: readonly string[]): IdentityReply {
  if (call.headers['x-forwarded-host'] !== undefined) {
    throw refusal('invalid_request', '"x-forwarded-host" is not allowed here')
  }
  const { dcr, dcrSecret, dcrDevice, registerStatus } = state.options
  if (!dcr) throw refusal('registration_off')
  const { metadata, redirectUris } = parseMetadata(jsonBody(call))
  const isPublic = metadata.token_endpoint_auth_method === 'none' || !dcrSecret
  const client: Client = {
    clientId: newClientId(state.projectId),
    clientSecret: isPublic ? undefined : newSecret(state),
    name: metadata.client_name,
    redirectUris,
    policy: true,
    machine: metadata.grant_types.includes('client_credentials'),
    device: dcrDevice,
  }
  state.clients.set(client.clientId, client)
  state.counters.registrations++
  const scope = metadata.scope
    ?.split(' ')
    .filter((name) => known.includes(name))
    .join(' ')
  return json(registerStatus, {
    client_id: client.clientId,
    ...(isPublic ? {} : { client_secret: client.clientSecret, client_secret_expires_at: 0 }),
    client_id_issued_at: nowSeconds(state),
    ...metadata,
    ...(isPublic && { token_endpoint_auth_method: 'none' }),
    scope: scope ?? known.join(' '),
    redirect_uris: redirectUris,
  })
}

function parseMetadata(body: JsonObject) {
  const wrong = (member: string) => refusal('invalid_registration', `Invalid "${member}"`)
  const metadata = {
    client_name: stringMember(body, 'client_name') ?? 'An unnamed client',
    client_uri: stringMember(body, 'client_uri'),
    logo_uri: stringMember(body, 'logo_uri'),
    application_type: stringMember(body, 'application_type'),
    scope: stringMember(body, 'scope'),
    token_endpoint_auth_method:
      stringMember(body, 'token_endpoint_auth_method') ?? 'client_secret_basic',
    grant_types: listOr(body, 'grant_types', ['authorization_code']),
    response_types: listOr(body, 'response_types', ['code']),
  }
  if (!AUTH_METHODS.includes(metadata.token_endpoint_auth_method)) {
    throw wrong('token_endpoint_auth_method')
  }
  if (!['native', 'web', undefined].includes(metadata.application_type)) {
    throw wrong('application_type')
  }
  if (metadata.response_types.some((type) => type !== 'code')) throw wrong('response_types')
  const redirectUris = stringsMember(body, 'redirect_uris')
  if (redirectUris.length === 0 && metadata.grant_types.includes('authorization_code')) {
    throw refusal('invalid_redirect_uri', '"redirect_uris" is missing or empty')
  }
  for (const uri of redirectUris) {
    const problem = redirectUriProblem(uri, metadata.application_type)
    if (problem !== undefined) {
      throw refusal('invalid_redirect_uri', `${JSON.stringify(uri)} ${problem}`)
    }
  }
  return { metadata, redirectUris }
}

function listOr(body: JsonObject, member: string, fallback: string[]): string[] {
  return Object.hasOwn(body, member) ? stringsMember(body, member) : fallback
}
