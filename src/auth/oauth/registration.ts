import { ProxyError } from '../../util/errors.js'
import { isTransient } from '../../util/failure.js'
import {
  isObject,
  type JsonObject,
  positiveMember,
  textMember,
  textsMember,
  tryParseJson,
} from '../../util/json.js'
import {
  type ConfiguredClient,
  chooseAuthMethod,
  coversRedirect,
  isAuthMethod,
  methodToRegister,
  type OAuthClient,
  unsupportedMethod,
} from './client.js'
import { type OAuthRefusal, OAuthRefusedError, readRefusal } from './failure.js'
import { fetchText, type HttpDeps, type ReadResponse } from './http.js'
import { missingScopes, splitScopes } from './scopes.js'
import type { AuthorizationServer } from './server-metadata.js'

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
  /** What is about to be requested. */
  scope: string | undefined
  /** Seconds since the epoch. */
  now: number
}

/** A client, with what it may be used for. */
export interface ChosenClient {
  readonly client: OAuthClient
  /** What to request: `scope`, without what the server did not grant to the client. */
  readonly scope: string | undefined
  /** What may go wrong with this client, for people. */
  readonly note: string | undefined
}

/** A registration that collects more scopes than this starts anew with those that are needed. */
const MAX_SCOPES = 100

/**
 * Gets a client for an authorization server, in MCP's order: given by the user, by a client id
 * metadata document, by dynamic registration. A registration is kept under the issuer and made
 * anew only when its redirect URIs or its scopes do not cover ours, or its secret ended.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when there is no way to get one.
 */
export async function chooseClient(
  deps: HttpDeps,
  options: ChooseClientOptions,
): Promise<ChosenClient> {
  const { server, configured, clients, redirectUri, candidateUris, scope, now } = options
  const given = configuredClient(server, configured)
  if (given !== undefined) return { client: given, scope, note: undefined }
  if (server.registrationEndpoint === undefined) {
    throw new ProxyError('SIGN_IN_FAILED', `${server.issuer} does not register clients by itself`, {
      hint: 'Register a client there and pass its id with `--client-id`.',
    })
  }
  return clients.exclusively(server.issuer, async () => {
    const known = await clients.load(server.issuer)
    if (known !== undefined && isStillGood(known, redirectUri, scope, now)) {
      return chosen(known, redirectUri, scope)
    }
    const redirectUris = [...new Set([redirectUri, ...candidateUris])]
    const made = await register(deps, server, redirectUris, scopesToRegister(known, scope))
    await clients.save(server.issuer, made)
    return chosen(made, redirectUri, scope)
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
  const plain = { secret: undefined, authMethod: 'none', redirectUris: [] } as const
  return { id: metadataUrl, source: 'document', ...plain }
}

/** Tells whether a registration can be used. What was requested counts as registered: requesting it again changes nothing. */
function isStillGood(
  { client, secretExpiresAt, requestedScope, grantedScope }: Registration,
  redirectUri: string,
  scope: string | undefined,
  now: number,
): boolean {
  const isAlive = (secretExpiresAt ?? Number.POSITIVE_INFINITY) > now
  const registered = `${requestedScope ?? ''} ${grantedScope ?? ''}`
  const coversScopes = missingScopes(scope, registered).length === 0
  return isAlive && coversScopes && client.redirectUris.includes(redirectUri)
}

/**
 * Chooses what to register: all scopes that were needed at this server so far, so that several
 * targets can share a client; else those that are needed now; else none.
 */
function scopesToRegister(
  known: Registration | undefined,
  scope: string | undefined,
): (string | undefined)[] {
  const all = splitScopes(`${known?.requestedScope ?? ''} ${scope ?? ''}`)
  const together = all.length === 0 || all.length > MAX_SCOPES ? scope : all.join(' ')
  return [...new Set([together, scope, undefined])]
}

/** Leaves out scopes that the server did not grant to the client, as it would refuse them. */
function chosen(
  { client, grantedScope, answeredUris }: Registration,
  redirectUri: string,
  scope: string | undefined,
): ChosenClient {
  const granted = new Set(splitScopes(grantedScope))
  const usable = splitScopes(scope).filter((name) => granted.has(name))
  const isCovered =
    answeredUris.length === 0 || answeredUris.some((uri) => coversRedirect(uri, redirectUri))
  return {
    client,
    scope: usable.length > 0 ? usable.join(' ') : scope,
    note: isCovered
      ? undefined
      : `The server registered ${JSON.stringify(answeredUris[0]?.slice(0, 200))} in place of ${redirectUri}: if it refuses to sign you in, use ${otherCallbackHost(redirectUri)}.`,
  }
}

/** A registration that can be kept, with what decides whether it is still good. */
export interface Registration {
  readonly client: OAuthClient
  /** When the secret ends, seconds since the epoch; `undefined` when it does not. */
  readonly secretExpiresAt: number | undefined
  /** Scopes that were requested at registration, whether the server took them there or not. */
  readonly requestedScope: string | undefined
  /** Scopes that the client may request, where the server says so. */
  readonly grantedScope: string | undefined
  /** Redirect URIs as the server answered them. */
  readonly answeredUris: readonly string[]
}

/**
 * Registers a client.
 *
 * @param redirectUris The one that is about to be used comes first.
 * @param scopes What to register, in the order to try: some servers refuse scopes at registration.
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {ProxyError} `SIGN_IN_FAILED` when the answer holds no client that we can use.
 * @see [RFC 7591 §3](https://www.rfc-editor.org/rfc/rfc7591#section-3) Client Registration Endpoint
 */
async function register(
  deps: HttpDeps,
  server: AuthorizationServer,
  redirectUris: readonly string[],
  scopes: readonly (string | undefined)[],
): Promise<Registration> {
  const endpoint = new URL(server.registrationEndpoint as string)
  const wanted = registrationRequest(server, redirectUris)
  for (const scope of scopes) {
    const answer = await fetchText(deps, endpoint, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/json' },
      body: JSON.stringify(scope === undefined ? wanted : { ...wanted, scope }),
    })
    if (scope !== scopes.at(-1) && mayBeAboutScope(answer)) continue
    return { ...readRegistration(answer, redirectUris, server), requestedScope: scopes[0] }
  }
  throw new ProxyError('INTERNAL', 'There is always a last try')
}

/** Tells whether a registration with fewer scopes may pass where this answer refused one. */
function mayBeAboutScope({ status, headers, body }: ReadResponse): boolean {
  const refusal = readRefusal(status, headers, body)
  if (refusal === undefined || isTransient(status)) return false
  return refusal.kind !== 'transient' ? !isAboutRedirect(refusal) : status >= 400
}

function registrationRequest(
  { grantTypes, deviceAuthorizationEndpoint, tokenAuthMethods }: AuthorizationServer,
  redirectUris: readonly string[],
): JsonObject {
  // a server with a list of grants may refuse others; without a list, all are tried
  const takes = (grant: string) => grantTypes.length === 0 || grantTypes.includes(grant)
  const device = 'urn:ietf:params:oauth:grant-type:device_code'
  return {
    client_name: 'mcp-descope-proxy',
    application_type: 'native',
    redirect_uris: redirectUris,
    grant_types: [
      'authorization_code',
      ...(takes('refresh_token') ? ['refresh_token'] : []),
      ...(deviceAuthorizationEndpoint !== undefined && takes(device) ? [device] : []),
    ],
    response_types: ['code'],
    token_endpoint_auth_method: methodToRegister(tokenAuthMethods),
  }
}

/**
 * Narrows the answer of a registration endpoint. Descope may answer 200 where RFC 7591 says 201.
 *
 * @param redirectUris Those that were requested. They count as registered even where the answer
 *   names others: what is used is decided by the server, and another request would change nothing.
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {ProxyError} `SIGN_IN_FAILED` when the answer holds no client that we can use.
 */
export function readRegistration(
  { status, headers, body }: ReadResponse,
  redirectUris: readonly string[],
  server: Pick<AuthorizationServer, 'issuer' | 'tokenAuthMethods'>,
): Registration {
  const refusal = readRefusal(status, headers, body)
  if (refusal !== undefined) {
    throw new OAuthRefusedError('Registering a client', refusal, {
      hint: isAboutRedirect(refusal)
        ? `Use ${otherCallbackHost(redirectUris[0] ?? '')} if the server takes only that name, or register a client there and pass its id with \`--client-id\`.`
        : 'Register a client at the authorization server and pass its id with `--client-id`.',
    })
  }
  const json = tryParseJson(body)
  const id = isObject(json) ? textMember(json, 'client_id') : undefined
  if (!isObject(json) || id === undefined) {
    throw new ProxyError('SIGN_IN_FAILED', `${server.issuer} registered no "client_id"`)
  }
  const secret = textMember(json, 'client_secret')
  const stated = textMember(json, 'token_endpoint_auth_method')
  if (stated !== undefined && !isAuthMethod(stated)) throw unsupportedMethod([stated])
  return {
    client: {
      id,
      secret,
      // without a secret there is nothing to authenticate with, whatever the answer says
      authMethod: secret ? (stated ?? chooseAuthMethod(server.tokenAuthMethods, secret)) : 'none',
      source: 'dynamic',
      redirectUris,
    },
    secretExpiresAt: positiveMember(json, 'client_secret_expires_at'),
    requestedScope: undefined,
    grantedScope: textMember(json, 'scope'),
    answeredUris: textsMember(json, 'redirect_uris').slice(0, 50),
  }
}

function isAboutRedirect({ code, description = '' }: OAuthRefusal): boolean {
  return code === 'invalid_redirect_uri' || /redirect|loopback|127\.0\.0\.1/i.test(description)
}

/** The flag that makes redirect URIs with the other usual name of this machine. */
function otherCallbackHost(redirectUri: string): string {
  const isName = URL.canParse(redirectUri) && new URL(redirectUri).hostname === 'localhost'
  return `\`--callback-host ${isName ? '127.0.0.1' : 'localhost'}\``
}
