import type { TokenEndpointRequestOptions } from 'oauth4webapi'
import { ProxyError } from '../../util/errors.js'
import { isObject, tryParseJson } from '../../util/json.js'
import type { OAuthClient } from './client.js'
import { OAuthRefusedError, RetryableError, readRefusal } from './failure.js'
import type { HttpDeps } from './http.js'
import { type LibraryCall, libraryCall } from './library.js'
import type { AuthorizationServer } from './server-metadata.js'

/** What a token endpoint granted. */
export interface Grant {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** As the server said; absent means: as asked for. */
  readonly scope: string | undefined
  /** Seconds from now; absent when the server did not say. */
  readonly expiresIn: number | undefined
}

/** Who asks whom, for which resource. */
export interface GrantRequest {
  server: AuthorizationServer
  client: OAuthClient
  /** Sent with every request to the token endpoint (RFC 8707); `undefined` sends none. */
  resource: string | undefined
}

/**
 * Exchanges an authorization response for tokens. Checks `state` and `iss` once more (RFC 9207).
 *
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {RetryableError} when there was no answer.
 * @see [RFC 6749 §4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)
 */
export async function exchangeCode(
  deps: HttpDeps,
  request: GrantRequest & {
    response: URLSearchParams
    state: string
    redirectUri: string
    verifier: string
  },
): Promise<Grant> {
  const call = await prepare(deps, request)
  const { oauth, as, client } = call
  const checked = oauth.validateAuthResponse(as, client, request.response, request.state)
  return send(call, 'Exchanging the code', (options) =>
    oauth.authorizationCodeGrantRequest(
      as,
      client,
      call.auth,
      checked,
      request.redirectUri,
      request.verifier,
      options,
    ),
  )
}

/**
 * Gets new tokens for a refresh token. The answer may hold no new refresh token; then the old one
 * stays good.
 *
 * @see [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)
 */
export async function refreshGrant(
  deps: HttpDeps,
  request: GrantRequest & { refreshToken: string },
): Promise<Grant> {
  const call = await prepare(deps, request)
  const { oauth, as, client, auth } = call
  return send(call, 'Refreshing the token', (options) =>
    oauth.refreshTokenGrantRequest(as, client, auth, request.refreshToken, options),
  )
}

/**
 * Gets a token for the client itself.
 *
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)
 */
export async function clientCredentialsGrant(
  deps: HttpDeps,
  request: GrantRequest & { scope: string | undefined },
): Promise<Grant> {
  const call = await prepare(deps, request)
  const { oauth, as, client, auth } = call
  const parameters = request.scope === undefined ? {} : { scope: request.scope }
  return send(
    call,
    'Getting a token with client credentials',
    ({ additionalParameters, ...rest }) =>
      oauth.clientCredentialsGrantRequest(
        as,
        client,
        auth,
        { ...(additionalParameters as Record<string, string>), ...parameters },
        rest,
      ),
  )
}

/**
 * Asks once whether a device code was approved.
 *
 * @throws {OAuthRefusedError} with kind `poll` while it was not.
 * @see [RFC 8628 §3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4)
 */
export async function deviceGrant(
  deps: HttpDeps,
  request: GrantRequest & { deviceCode: string },
): Promise<Grant> {
  const call = await prepare(deps, request)
  const { oauth, as, client, auth } = call
  return send(call, 'Signing in with a code', (options) =>
    oauth.deviceCodeGrantRequest(as, client, auth, request.deviceCode, options),
  )
}

type Prepared = LibraryCall & { resource: string | undefined }

async function prepare(deps: HttpDeps, request: GrantRequest): Promise<Prepared> {
  const { server, client, resource } = request
  return { ...(await libraryCall(deps, server, client)), resource }
}

async function send(
  call: Prepared,
  doing: string,
  request: (options: TokenEndpointRequestOptions) => Promise<Response>,
): Promise<Grant> {
  const { resource, options } = call
  const response = await request({
    ...options,
    additionalParameters: resource === undefined ? {} : { resource },
  })
  return readGrant(call, doing, response)
}

/**
 * Narrows a token endpoint's answer. The body is read before the status, in OAuth's error shape and
 * in Descope's. An id token is dropped unread: its issuer may differ, and nothing here uses it.
 */
export async function readGrant(
  { oauth, as, client }: Pick<LibraryCall, 'oauth' | 'as' | 'client'>,
  doing: string,
  response: Response,
): Promise<Grant> {
  const body = await response.text()
  const refusal = readRefusal(response.status, response.headers, body)
  if (refusal !== undefined) throw new OAuthRefusedError(doing, refusal)
  const json = tryParseJson(body)
  if (!isObject(json)) throw new RetryableError(`${doing} failed: the answer is not JSON`)
  const { id_token: _dropped, ...members } = json
  const clean = new Response(JSON.stringify({ token_type: 'bearer', ...members }), {
    headers: { 'content-type': 'application/json' },
  })
  try {
    const granted = await oauth.processGenericTokenEndpointResponse(as, client, clean)
    if (granted.token_type !== 'bearer') throw new Error('"token_type" is not "Bearer"')
    return {
      accessToken: granted.access_token,
      refreshToken: granted.refresh_token,
      scope: granted.scope,
      expiresIn: granted.expires_in,
    }
  } catch (error) {
    throw new ProxyError('SIGN_IN_FAILED', `${doing} failed: the answer is no token response`, {
      cause: error,
    })
  }
}
