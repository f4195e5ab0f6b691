import type { ClientAuth } from 'oauth4webapi'
import { libraryCall, type OAuthClient } from './client.js'
import { type OAuthRefusal, readRefusal } from './failure.js'
import type { HttpDeps } from './http.js'
import { proveRequest, useProofKey } from './proof-keys.js'
import type { AuthorizationServer } from './server-metadata.js'

export interface RevocationRequest {
  server: AuthorizationServer
  client: OAuthClient
  token: string
  hint: 'access_token' | 'refresh_token'
  /** A valid access token: Descope takes nothing else as proof from a public client. */
  accessToken: string | undefined
  /** The key that it is bound to, if it is: then it is sent with a proof, and never as Bearer. */
  proofKey?: string | undefined
}

/**
 * Revokes a token. Tries as the RFC says first; a public client that is refused tries again with
 * the access token in `Authorization`, which Descope requires.
 *
 * @returns `undefined` when the token is revoked (or was unknown), else why not.
 * @throws {RetryableError} when there was no answer.
 * @see [RFC 7009 §2.1](https://www.rfc-editor.org/rfc/rfc7009#section-2.1)
 */
export async function revokeToken(
  deps: HttpDeps,
  request: RevocationRequest,
): Promise<OAuthRefusal | undefined> {
  const { client, accessToken } = request
  const { refusal } = await send(deps, request)
  if (refusal === undefined || client.authMethod !== 'none') return refusal
  if (accessToken === undefined) return refusal
  const second = await send(deps, request, { token: accessToken })
  const { nonce } = second
  // the nonce that proofs must have is only in the refusal of one (RFC 9449 §8)
  if (second.refusal === undefined || request.proofKey === undefined || !nonce)
    return second.refusal
  return (await send(deps, request, { token: accessToken, nonce })).refusal
}

/** What is sent in `Authorization`. */
interface Bearer {
  readonly token: string
  readonly nonce?: string
}

async function send(
  deps: HttpDeps,
  { server, client, token, hint, proofKey }: RevocationRequest,
  bearer?: Bearer,
): Promise<{ refusal: OAuthRefusal | undefined; nonce: string | null }> {
  const { oauth, parties, options } = await libraryCall(deps, server, client)
  const withToken: ClientAuth = (_server, { client_id }, body, headers) => {
    body.set('client_id', client_id)
    const { token: own, nonce } = bearer as Bearer
    if (proofKey === undefined) return headers.set('authorization', `Bearer ${own}`)
    useProofKey(own, proofKey)
    const url = new URL(server.revocationEndpoint as string)
    headers.set('authorization', `DPoP ${own}`)
    const now = deps.clock.now()
    headers.set('dpop', proveRequest({ token: own, method: 'POST', url, nonce, now }))
  }
  const [as, who, auth] = parties
  const chosen = bearer === undefined ? auth : withToken
  const response = await oauth.revocationRequest(as, who, chosen, token, {
    ...options,
    additionalParameters: { token_type_hint: hint },
  })
  const refusal = readRefusal(response.status, response.headers, await response.text())
  return { refusal, nonce: response.headers.get('dpop-nonce') }
}
