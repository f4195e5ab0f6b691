import { ProxyError } from '../../util/errors.js'
import { isObject, stringMember, stringsMember, tryParseJson } from '../../util/json.js'
import {
  type ClientAuthMethod,
  type ConfiguredClient,
  chooseAuthMethod,
  type OAuthClient,
} from './client.js'
import { OAuthRefusedError, readRefusal } from './failure.js'
import { fetchText, type HttpDeps } from './http.js'
import type { AuthorizationServer } from './server-metadata.js'

/** A registration that can be kept, with what decides whether it is still good. */
export interface Registration {
  readonly client: OAuthClient
  /** When the secret ends, seconds since the epoch; `undefined` when it does not. */
  readonly secretExpiresAt: number | undefined
}

/** Where dynamic registrations are kept, by issuer. */
export interface ClientStore {
  load(issuer: string): Promise<Registration | undefined>
  save(issuer: string, registration: Registration): Promise<void>
  forget(issuer: string, clientId: string): Promise<void>
  /** Runs `task` while no other process registers at this issuer. */
  exclusively<T>(issuer: string, task: () => Promise<T>): Promise<T>
}

export interface ChooseClientOptions {
  server: AuthorizationServer
  configured: ConfiguredClient
  clients: ClientStore
  /** The redirect URI that is about to be used. */
  redirectUri: string
  /** All that may ever be used, so that a busy port needs no new registration. */
  candidateUris: readonly string[]
  /** Seconds since the epoch. */
  now: number
}

/**
 * Gets a client for an authorization server, in MCP's order: given by the user, by a client id
 * metadata document, by dynamic registration. A registration is kept under the issuer and made
 * anew only when its redirect URIs do not cover ours or its secret ended.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when there is no way to get one.
 * @see [RFC 7591 §3](https://www.rfc-editor.org/rfc/rfc7591#section-3) Client Registration Endpoint
 */
export async function chooseClient(
  deps: HttpDeps,
  options: ChooseClientOptions,
): Promise<OAuthClient> {
  const { server, configured, clients, redirectUri, now } = options
  const given = configuredClient(server, configured)
  if (given !== undefined) return given
  if (server.registrationEndpoint === undefined) {
    throw new ProxyError('SIGN_IN_FAILED', `${server.issuer} does not register clients by itself`, {
      hint: 'Register a client there and pass its id with `--client-id`.',
    })
  }
  return clients.exclusively(server.issuer, async () => {
    const known = await clients.load(server.issuer)
    const alive = (known?.secretExpiresAt ?? Number.POSITIVE_INFINITY) > now
    if (known?.client.redirectUris.includes(redirectUri) && alive) return known.client
    const made = await register(deps, options)
    await clients.save(server.issuer, made)
    return made.client
  })
}

/** The client that needs no registration; `undefined` when there is none. */
export function configuredClient(
  server: Pick<AuthorizationServer, 'tokenAuthMethods' | 'clientIdMetadataDocuments'>,
  { id, secret, metadataUrl }: ConfiguredClient,
): OAuthClient | undefined {
  if (id !== undefined) {
    const authMethod = chooseAuthMethod(server.tokenAuthMethods, secret)
    return { id, secret, authMethod, source: 'static', redirectUris: [] }
  }
  if (metadataUrl === undefined || !server.clientIdMetadataDocuments) return undefined
  return {
    id: metadataUrl,
    secret: undefined,
    authMethod: 'none',
    source: 'document',
    redirectUris: [],
  }
}

async function register(
  deps: HttpDeps,
  { server, redirectUri, candidateUris }: ChooseClientOptions,
): Promise<Registration> {
  const redirectUris = [...new Set([...candidateUris, redirectUri])]
  const device = server.deviceAuthorizationEndpoint !== undefined
  const request = {
    client_name: 'mcp-descope-proxy',
    application_type: 'native',
    redirect_uris: redirectUris,
    grant_types: [
      'authorization_code',
      'refresh_token',
      ...(device ? ['urn:ietf:params:oauth:grant-type:device_code'] : []),
    ],
    response_types: ['code'],
    token_endpoint_auth_method: registeredAuthMethod(server.tokenAuthMethods),
    // No `scope`: it would bind the client to what is asked for today, and a step-up would fail.
  }
  const answer = await fetchText(deps, new URL(server.registrationEndpoint as string), {
    method: 'POST',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify(request),
  })
  return readRegistration(answer, redirectUris, server)
}

/**
 * Narrows the answer of a registration endpoint. Descope may answer 200 where RFC 7591 says 201.
 *
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {ProxyError} `SIGN_IN_FAILED` when the answer holds no client id.
 */
export function readRegistration(
  { status, headers, body }: { status: number; headers: Headers; body: string },
  redirectUris: readonly string[],
  server: Pick<AuthorizationServer, 'issuer' | 'tokenAuthMethods'>,
): Registration {
  const refusal = readRefusal(status, headers, body)
  if (refusal !== undefined) {
    throw new OAuthRefusedError('Registering a client', refusal, {
      hint: 'Register a client at the authorization server and pass its id with `--client-id`.',
    })
  }
  const json = tryParseJson(body)
  const id = isObject(json) ? stringMember(json, 'client_id') : undefined
  if (!isObject(json) || id === undefined || id === '') {
    throw new ProxyError('SIGN_IN_FAILED', `${server.issuer} registered no "client_id"`)
  }
  const secret = stringMember(json, 'client_secret') || undefined
  const stated = stringMember(json, 'token_endpoint_auth_method')
  const expiry = json['client_secret_expires_at']
  const registered = stringsMember(json, 'redirect_uris')
  return {
    client: {
      id,
      secret,
      authMethod: isAuthMethod(stated) ? stated : chooseAuthMethod(server.tokenAuthMethods, secret),
      source: 'dynamic',
      redirectUris: registered.length > 0 ? registered : redirectUris,
    },
    secretExpiresAt: typeof expiry === 'number' && expiry > 0 ? expiry : undefined,
  }
}

/** A native application keeps no secret, so `none` is asked for wherever that is allowed. */
function registeredAuthMethod(supported: readonly string[]): ClientAuthMethod {
  if (supported.length === 0 || supported.includes('none')) return 'none'
  return supported.includes('client_secret_basic') ? 'client_secret_basic' : 'client_secret_post'
}

function isAuthMethod(text: string | undefined): text is ClientAuthMethod {
  return text === 'none' || text === 'client_secret_basic' || text === 'client_secret_post'
}
