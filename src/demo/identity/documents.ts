import { DPOP_ALGORITHMS } from './dpop.js'
import type { Handler, IdentityReply } from './http.js'
import type { Surface } from './records.js'
import type { State } from './state.js'

const CACHEABLE = { 'cache-control': 'no-cache' }
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** Scopes of the project's own authorization server, without those of the MCP server. */
export const PROJECT_SCOPES = ['openid', 'profile', 'email', 'phone'] as const

/** Returns the issuer that the discovery document of a surface names. */
export function issuerUrl(state: State, surface: Surface): string {
  const { baseUrl, projectId, serverId } = state
  return surface === 'agentic'
    ? `${baseUrl}/v1/apps/agentic/${projectId}/${serverId}`
    : `${baseUrl}/v1/apps/${projectId}`
}

/** Serves the document of the MCP server: the one that `DESCOPE_CONFIG_URL` names. */
export const agenticDocument: Handler = (state) => {
  const { baseUrl, projectId, serverId, options } = state
  const endpoints = `${baseUrl}/oauth2/v1/apps/agentic/${projectId}/${serverId}`
  return answer(state, {
    issuer: issuerUrl(state, 'agentic'),
    authorization_endpoint: `${endpoints}/authorize`,
    token_endpoint: `${endpoints}/token`,
    registration_endpoint: options.dcr
      ? `${baseUrl}/v1/mgmt/mcp/client/${projectId}/${serverId}/register`
      : undefined,
    ...common(state, `${baseUrl}/oauth2/v1/apps/${projectId}`),
    ...announced(state),
    client_id_metadata_document_supported: options.cimd || undefined,
    authorization_response_iss_parameter_supported: options.iss || undefined,
    scopes_supported: options.scopes,
  })
}

/** Serves the document of the project. */
export const projectDocument: Handler = (state) =>
  answer(state, {
    ...ofProject(state, issuerUrl(state, 'project')),
    authorization_response_iss_parameter_supported: state.options.iss || undefined,
  })

/** Serves the document whose issuer is `{base}/{P}`. */
export const bareDocument: Handler = (state) =>
  answer(state, ofProject(state, `${state.baseUrl}/${state.projectId}`))

/** Serves the project's keys (RFC 7517). */
export const keySet: Handler = (state) => {
  state.counters.keySets++
  return {
    status: 200,
    headers: CACHEABLE,
    body: { keys: state.keys.published.map(({ jwk }) => jwk) },
  }
}

function answer(state: State, document: object): IdentityReply {
  state.counters.documents++
  return { status: 200, headers: CACHEABLE, body: document }
}

function ofProject(state: State, issuer: string): object {
  const endpoints = `${state.baseUrl}/oauth2/v1/apps`
  return {
    issuer,
    authorization_endpoint: `${endpoints}/authorize`,
    token_endpoint: `${endpoints}/token`,
    registration_endpoint: state.options.dcr
      ? `${state.baseUrl}/v1/mgmt/inboundapp/app/${state.projectId}/register`
      : undefined,
    ...common(state, endpoints),
    ...announced(state),
    scopes_supported: PROJECT_SCOPES,
  }
}

function common({ baseUrl, projectId, options }: State, account: string): object {
  return {
    revocation_endpoint: `${account}/revoke`,
    userinfo_endpoint: `${account}/userinfo`,
    jwks_uri: `${baseUrl}/${projectId}/.well-known/jwks.json`,
    device_authorization_endpoint: options.device ? `${baseUrl}/oauth2/v1/apps/device` : undefined,
    code_challenge_methods_supported: ['S256'],
    grant_types_supported: [
      'authorization_code',
      'refresh_token',
      'client_credentials',
      'urn:openid:params:grant-type:ciba',
      'urn:ietf:params:oauth:grant-type:jwt-bearer',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      ...(options.device ? [DEVICE_GRANT] : []),
    ],
    id_token_signing_alg_values_supported: ['RS256'],
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_basic', 'client_secret_post'],
    claims_supported: [
      ...['iss', 'aud', 'iat', 'exp', 'sub', 'name', 'email', 'email_verified', 'phone_number'],
      ...['phone_number_verified', 'picture', 'family_name', 'given_name'],
    ],
  }
}

/** CIBA is announced because Descope's documents do; the emulator does not implement it. */
function announced({ baseUrl, options }: State): object {
  return {
    backchannel_authentication_endpoint: `${baseUrl}/oauth2/v1/apps/bc-authorize`,
    backchannel_token_delivery_modes_supported: ['poll'],
    dpop_signing_alg_values_supported: options.dpop === 'off' ? undefined : DPOP_ALGORITHMS,
  }
}
