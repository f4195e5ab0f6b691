import type { ClientAuth } from 'oauth4webapi'
import { libraryCall, type OAuthClient } from './client.js'
import { type OAuthRefusal, readRefusal } from './failure.js'
import type { HttpDeps } from './http.js'
import type { AuthorizationServer } from './server-metadata.js'

export interface RevocationRequest {
  server: AuthorizationServer
  client: OAuthClient
  token: string
  hint: 'access_token' | 'refresh_token'
  /** A valid access token: Descope takes nothing else as proof from a public client. */
  accessToken: string | undefined
}

/**
 * Revokes a token. Tries as the RFC says first; a public client that is refused tries again with
 * the access token as `Authorization: Bearer`, which Descope requires.
 *
 * @returns `undefined` when the token is revoked (or was unknown), else why not.
 * @throws {RetryableError} when there was no answer.
 * @see [RFC 7009 §2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)
 */
export async function revokeToken(
  deps: HttpDeps,
  request: RevocationRequest,
): Promise<OAuthRefusal | undefined> {
  const refusal = await send(deps, request)
  if (refusal === undefined || request.client.authMethod !== 'none') return refusal
  return request.accessToken === undefined ? refusal : send(deps, request, request.accessToken)
}

async function send(
  deps: HttpDeps,
  { server, client, token, hint }: RevocationRequest,
  bearer?: string,
): Promise<OAuthRefusal | undefined> {
  const { oauth, parties, options } = await libraryCall(deps, server, client)
  const proof: ClientAuth = (_server, { client_id }, body, headers) => {
    body.set('client_id', client_id)
    headers.set('authorization', `Bearer ${bearer}`)
  }
  const [as, who, auth] = parties
  const response = await oauth.revocationRequest(
    as,
    who,
    bearer === undefined ? auth : proof,
    token,
    {
      ...options,
      additionalParameters: { token_type_hint: hint },
    },
  )
  return readRefusal(response.status, response.headers, await response.text())
}
