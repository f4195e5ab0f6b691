import { randomUUID } from 'node:crypto'
import type * as OAuth from 'oauth4webapi'
import { ProxyError } from '../../util/errors.js'
import type { JwtKey } from '../../util/jwt-key.js'
import { isLoopback } from '../../util/private-addresses.js'
import { fetchText, type HttpDeps, requireSafeUrl } from './http.js'
import type { AuthorizationServer } from './server-metadata.js'

/** How a client authenticates at the token endpoint (RFC 6749 §2.3). */
export type ClientAuthMethod =
  | 'none'
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'private_key_jwt'

/** A client as one authorization server knows it. */
export interface OAuthClient {
  readonly id: string
  readonly secret: string | undefined
  /** Signs the assertion of `private_key_jwt`; such a client is configured, and never stored. */
  readonly key?: JwtKey | undefined
  readonly authMethod: ClientAuthMethod
  /** `static`: given by the user; `document`: a client id metadata document; `dynamic`: RFC 7591. */
  readonly source: 'static' | 'document' | 'dynamic'
  /** As registered; empty when only the server knows them. */
  readonly redirectUris: readonly string[]
}

/** The client that the user configured, if any. */
export interface ConfiguredClient {
  readonly id?: string | undefined
  readonly secret?: string | undefined
  /** https URL of a client id metadata document. */
  readonly metadataUrl?: string | undefined
}

const SECRET_METHODS: readonly ClientAuthMethod[] = ['client_secret_post', 'client_secret_basic']

/** To register for: without a secret first, since a native application keeps none. */
const METHODS: readonly ClientAuthMethod[] = ['none', ...SECRET_METHODS]

/** Tells whether a value names a method that we can authenticate by. */
export function isAuthMethod(value: unknown): value is ClientAuthMethod {
  return METHODS.some((method) => method === value)
}

/**
 * Chooses how a client with or without a secret authenticates at a server. The body comes before the
 * header, because some servers look for `client_id` in the body only, whatever they announce. Without
 * a list, the server takes `client_secret_basic` (RFC 8414 §2).
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the server takes none of our methods.
 */
export function chooseAuthMethod(
  supported: readonly string[],
  secret: string | undefined,
): ClientAuthMethod {
  if (supported.length === 0) return secret === undefined ? 'none' : 'client_secret_basic'
  const chosen = [...SECRET_METHODS, 'none' as const].find((method) => supported.includes(method))
  if (chosen === undefined) throw unsupportedMethod(supported)
  return secret === undefined ? 'none' : chosen
}

/**
 * Chooses the method to register a client for.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the server takes none of our methods.
 */
export function methodToRegister(supported: readonly string[]): ClientAuthMethod {
  if (supported.length === 0) return 'none'
  const chosen = METHODS.find((method) => supported.includes(method))
  if (chosen === undefined) throw unsupportedMethod(supported)
  return chosen
}

/** The error for a server that wants clients to authenticate in a way that we do not know. */
export function unsupportedMethod(methods: readonly string[]): ProxyError {
  const names = methods.map((method) => JSON.stringify(method.slice(0, 60))).slice(0, 8)
  return new ProxyError(
    'SIGN_IN_FAILED',
    `The authorization server authenticates clients only by ${names.join(', ')}, which is not supported`,
    { hint: `Allow one of ${METHODS.join(', ')} for this client at the authorization server.` },
  )
}

/**
 * Returns the other way to send a client's secret, to be tried when the server refuses the client with
 * the first one: what servers announce, or answer at registration, is often not what they do.
 *
 * @returns `undefined` when there is nothing else to try.
 */
export function otherSecretMethod(
  supported: readonly string[],
  { secret, authMethod }: OAuthClient,
): ClientAuthMethod | undefined {
  const isSecret = SECRET_METHODS.includes(authMethod)
  if (secret === undefined || !isSecret) return undefined
  const other = authMethod === 'client_secret_post' ? 'client_secret_basic' : 'client_secret_post'
  return supported.length === 0 || supported.includes(other) ? other : undefined
}

/** Returns a client as it is stored: a configured secret is left out, as it stays in the configuration. */
export function storable(
  client: OAuthClient,
  { authMethod }: { readonly authMethod?: ClientAuthMethod | undefined } = {},
): OAuthClient {
  const known = authMethod === undefined ? client : { ...client, authMethod }
  return known.source === 'static' ? { ...known, secret: undefined } : known
}

/** Puts the configured secret back into a stored client. */
export function withConfiguredSecret(
  client: OAuthClient,
  configured: ConfiguredClient,
): OAuthClient {
  return client.source === 'static' ? { ...client, secret: configured.secret } : client
}

/** The arguments that every request of oauth4webapi starts with, and its options. */
export interface LibraryCall {
  readonly oauth: typeof OAuth
  readonly parties: readonly [OAuth.AuthorizationServer, OAuth.Client, OAuth.ClientAuth]
  readonly options: OAuth.HttpRequestOptions<'POST', URLSearchParams>
}

/** Prepares a call of oauth4webapi, which is loaded only now: a start with a valid token never needs it. */
export async function libraryCall(
  deps: HttpDeps,
  server: AuthorizationServer,
  client: OAuthClient,
): Promise<LibraryCall> {
  const oauth = await import('oauth4webapi')
  const { revocationEndpoint, deviceAuthorizationEndpoint: deviceEndpoint } = server
  const as = {
    issuer: server.issuer,
    authorization_endpoint: server.authorizationEndpoint,
    token_endpoint: server.tokenEndpoint,
    authorization_response_iss_parameter_supported: server.issInResponses,
    ...(revocationEndpoint && { revocation_endpoint: revocationEndpoint }),
    ...(deviceEndpoint && { device_authorization_endpoint: deviceEndpoint }),
  }
  return {
    oauth,
    parties: [as, { client_id: client.id }, clientAuth(oauth, client, deps)],
    options: {
      // `boundedFetch` decides where plain http is good enough.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (url, init) => boundedFetch(deps, url, init),
    },
  }
}

function clientAuth(
  oauth: typeof OAuth,
  { authMethod, secret, key }: OAuthClient,
  deps: Pick<HttpDeps, 'clock'>,
): OAuth.ClientAuth {
  if (key !== undefined) return byAssertion(key, deps)
  if (authMethod === 'none' || secret === undefined) return oauth.None()
  return authMethod === 'client_secret_post' ? oauth.ClientSecretPost(secret) : inHeader(secret)
}

/**
 * Sends the secret in the header. The library's own function writes `-`, `.` and `_` as `%2D`, `%2E` and
 * `%5F`, and servers that do not decode them see another client. The form encoding leaves them as they are.
 *
 * @see [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
 */
function inHeader(secret: string): OAuth.ClientAuth {
  return (_as, client, _body, headers) => {
    const pair = `${formEncode(client.client_id)}:${formEncode(secret)}`
    headers.set('authorization', `Basic ${btoa(pair)}`)
  }
}

/** Longest life of an assertion, seconds. */
const ASSERTION_LIFE = 60

/**
 * Proves the client by an assertion that it signs, for the token endpoint and for one use.
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2) JWTs for client authentication
 */
function byAssertion(
  { privateKey, alg, kid }: JwtKey,
  { clock }: Pick<HttpDeps, 'clock'>,
): OAuth.ClientAuth {
  return async (as, { client_id: id }, body) => {
    if (privateKey === undefined) throw new ProxyError('CONFIG_INVALID', 'The client key is public')
    const { SignJWT } = await import('jose')
    const now = Math.floor(clock.now() / 1000)
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg, kid, typ: 'JWT' })
      .setIssuer(id)
      .setSubject(id)
      .setAudience(as.token_endpoint ?? as.issuer)
      .setIssuedAt(now)
      .setExpirationTime(now + ASSERTION_LIFE)
      .setJti(randomUUID())
      .sign(privateKey)
    body.set('client_id', id)
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', assertion)
  }
}

function formEncode(value: string): string {
  return new URLSearchParams([['', value]]).toString().slice(1)
}

async function boundedFetch(
  deps: HttpDeps,
  url: string,
  { body, headers, method }: OAuth.CustomFetchOptions<'POST', URLSearchParams>,
): Promise<Response> {
  const endpoint = requireSafeUrl(deps, url, 'The endpoint')
  const answer = await fetchText(deps, endpoint, { method, headers, body })
  // `Response` throws for a body with one of these
  const isEmpty = [204, 205, 304].includes(answer.status)
  return new Response(isEmpty ? null : answer.body, answer)
}

/**
 * Tells whether a registered redirect URI stands for another: the same text, or the same loopback
 * URI with another port or none, since servers must take any port there.
 *
 * @see [RFC 8252 §7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3) Loopback Interface Redirection
 */
export function coversRedirect(registered: string, used: string): boolean {
  if (registered === used) return true
  const [one, other] = [withoutPort(registered), withoutPort(used)]
  return one !== undefined && one === other
}

function withoutPort(uri: string): string | undefined {
  if (!URL.canParse(uri)) return undefined
  const url = new URL(uri)
  if (url.protocol !== 'http:' || !isLoopback(url.hostname)) return undefined
  url.port = ''
  return url.href
}
