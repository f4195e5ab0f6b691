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
import { isLoopback } from '../../util/private-addresses.js'
import {
  chooseAuthMethod,
  isAuthMethod,
  methodToRegister,
  type OAuthClient,
  unsupportedMethod,
} from './client.js'
import { type OAuthRefusal, OAuthRefusedError, readRefusal } from './failure.js'
import { fetchText, type HttpDeps, type ReadResponse } from './http.js'
import type { AuthorizationServer } from './server-metadata.js'

/** A registration that can be kept, with what decides whether it is still good. */
export interface Registration {
  readonly client: OAuthClient
  /** When the secret ends, seconds since the epoch; `undefined` when it does not. */
  readonly secretExpiresAt: number | undefined
  /** Scopes that were asked for at registration, whether the server took them there or not. */
  readonly requestedScope: string | undefined
  /** Scopes that the client may ask for, where the server says so. */
  readonly grantedScope: string | undefined
  /** Redirect URIs as the server answered them. */
  readonly answeredUris: readonly string[]
}

export interface RegisterOptions {
  server: AuthorizationServer
  /** The one that is about to be used first. */
  redirectUris: readonly string[]
  /** What to register, in the order to try: some servers refuse scopes at registration. */
  scopes: readonly (string | undefined)[]
}

/**
 * Registers a client.
 *
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {ProxyError} `SIGN_IN_FAILED` when the answer holds no client that we can use.
 * @see [RFC 7591 §3](https://www.rfc-editor.org/rfc/rfc7591#section-3) Client Registration Endpoint
 */
export async function register(
  deps: HttpDeps,
  { server, redirectUris, scopes }: RegisterOptions,
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

/** A registration without scopes may pass where this answer refused one with scopes. */
function mayBeAboutScope({ status, headers, body }: ReadResponse): boolean {
  const refusal = readRefusal(status, headers, body)
  if (refusal === undefined || isTransient(status)) return false
  return refusal.kind !== 'transient' ? !isAboutRedirect(refusal) : status >= 400
}

function registrationRequest(
  { grantTypes, deviceAuthorizationEndpoint, tokenAuthMethods }: AuthorizationServer,
  redirectUris: readonly string[],
): JsonObject {
  // Without a list, nothing is known of the grants; one with a list may refuse what is not in it.
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
 * @param redirectUris Those that were asked for. They count as registered even where the answer
 *   names others: what is used is decided by the server, and asking again would change nothing.
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
  const answeredUris = textsMember(json, 'redirect_uris').slice(0, 50)
  return {
    client: {
      id,
      secret,
      // A client that got no secret has nothing to authenticate with, whatever the answer says.
      authMethod:
        secret === undefined
          ? 'none'
          : (stated ?? chooseAuthMethod(server.tokenAuthMethods, secret)),
      source: 'dynamic',
      redirectUris,
    },
    secretExpiresAt: positiveMember(json, 'client_secret_expires_at'),
    requestedScope: undefined,
    grantedScope: textMember(json, 'scope'),
    answeredUris,
  }
}

function isAboutRedirect({ code, description = '' }: OAuthRefusal): boolean {
  return code === 'invalid_redirect_uri' || /redirect|loopback|127\.0\.0\.1/i.test(description)
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

/** The flag that makes redirect URIs with the other usual name of this machine. */
export function otherCallbackHost(redirectUri: string): string {
  const isName = URL.canParse(redirectUri) && new URL(redirectUri).hostname === 'localhost'
  return `\`--callback-host ${isName ? '127.0.0.1' : 'localhost'}\``
}
