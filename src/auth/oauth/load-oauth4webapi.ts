import type * as OAuth from 'oauth4webapi'
import type { OAuthClient } from './client.js'
import { fetchText, type HttpDeps, requireSafeUrl } from './http.js'
import type { AuthorizationServer } from './server-metadata.js'

/** The arguments that every function of oauth4webapi starts with, and its options. */
export interface LibraryCall {
  readonly oauth: typeof OAuth
  readonly as: OAuth.AuthorizationServer
  readonly client: OAuth.Client
  readonly auth: OAuth.ClientAuth
  readonly options: OAuth.HttpRequestOptions<'POST', URLSearchParams>
}

/** Loads oauth4webapi, which a start with a valid token never needs, and speaks its terms. */
export async function libraryCall(
  deps: HttpDeps,
  server: AuthorizationServer,
  client: OAuthClient,
): Promise<LibraryCall> {
  const oauth = await import('oauth4webapi')
  return {
    oauth,
    as: {
      issuer: server.issuer,
      authorization_endpoint: server.authorizationEndpoint,
      token_endpoint: server.tokenEndpoint,
      authorization_response_iss_parameter_supported: server.issInResponses,
      ...(server.revocationEndpoint && { revocation_endpoint: server.revocationEndpoint }),
      ...(server.deviceAuthorizationEndpoint && {
        device_authorization_endpoint: server.deviceAuthorizationEndpoint,
      }),
    },
    client: { client_id: client.id },
    auth: clientAuth(oauth, client),
    options: {
      // `boundedFetch` decides where plain http is good enough.
      [oauth.allowInsecureRequests]: true,
      [oauth.customFetch]: (url, init) => boundedFetch(deps, url, init),
    },
  }
}

function clientAuth(oauth: typeof OAuth, { authMethod, secret }: OAuthClient): OAuth.ClientAuth {
  if (authMethod === 'none' || secret === undefined) return oauth.None()
  return authMethod === 'client_secret_post'
    ? oauth.ClientSecretPost(secret)
    : secretInHeader(secret)
}

/**
 * The library's own writes `-`, `.` and `_` as `%2D`, `%2E` and `%5F`, which servers that do not
 * decode at all take for another client. The form encoding leaves them as they are.
 *
 * @see [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
 */
function secretInHeader(secret: string): OAuth.ClientAuth {
  return (_as, client, _body, headers) => {
    const pair = `${formEncode(client.client_id)}:${formEncode(secret)}`
    headers.set('authorization', `Basic ${btoa(pair)}`)
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
  const answer = await fetchText(deps, requireSafeUrl(deps, url, 'The endpoint'), {
    method,
    headers,
    body,
  })
  const empty = answer.status === 204 || answer.status === 205 || answer.status === 304
  return new Response(empty ? null : answer.body, {
    status: answer.status,
    headers: answer.headers,
  })
}
