import type { TokenEndpointRequestOptions } from 'oauth4webapi'
import { ProxyError } from '../../util/errors.js'
import { isObject, positiveMember, textMember, tryParseJson } from '../../util/json.js'
import {
  type ClientAuthMethod,
  type LibraryCall,
  libraryCall,
  type OAuthClient,
  otherSecretMethod,
} from './client.js'
import { isUnknownClient, OAuthRefusedError, RetryableError, readRefusal } from './failure.js'
import type { HttpDeps } from './http.js'
import { newProofKey, tokenEndpointProofs } from './proof-keys.js'
import type { ProofWish } from './proof-wish.js'
import { splitScopes } from './scopes.js'
import type { AuthorizationServer } from './server-metadata.js'

/** What a token endpoint granted. */
export interface Grant {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** As the server said; absent means: as requested. */
  readonly scope: string | undefined
  /** Seconds from now; absent when the server did not say. */
  readonly expiresIn: number | undefined
  /** How the client authenticated, where the way that was tried first was refused. */
  readonly authMethod?: ClientAuthMethod
  /** The private key that the tokens are bound to; absent where they are Bearer. */
  readonly proofKey?: string
}

/** What every request to the token endpoint needs. */
export interface GrantRequest {
  server: AuthorizationServer
  client: OAuthClient
  /** Sent with every request to the token endpoint (RFC 8707); `undefined` sends none. */
  resource: string | undefined
  /** Requests a token that is bound to a key; with `required`, accepts no other. */
  proof?: ProofWish | undefined
  /** That key, where there is one already. */
  proofKey?: string | undefined
}

/**
 * Exchanges an authorization response for tokens. Checks `state` and `iss` once more (RFC 9207).
 *
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {RetryableError} when there was no answer.
 * @see [RFC 6749 §4.1.3](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3)
 */
export function exchangeCode(
  deps: HttpDeps,
  request: GrantRequest & {
    response: URLSearchParams
    state: string
    redirectUri: string
    verifier: string
  },
): Promise<Grant> {
  const { response, state, redirectUri, verifier } = request
  return send(deps, request, 'Exchanging the code', ({ oauth, parties }, options) => {
    const [as, client] = parties
    const checked = oauth.validateAuthResponse(as, client, response, state)
    return oauth.authorizationCodeGrantRequest(...parties, checked, redirectUri, verifier, options)
  })
}

/**
 * Gets new tokens for a refresh token. The answer may hold no new refresh token; then the old one
 * stays good.
 *
 * @throws {RetryableError} when there was no answer, or one that cannot be read, which says nothing
 *   about the refresh token.
 * @see [RFC 6749 §6](https://www.rfc-editor.org/rfc/rfc6749#section-6)
 */
export async function refreshGrant(
  deps: HttpDeps,
  request: GrantRequest & { refreshToken: string },
): Promise<Grant> {
  try {
    return await send(deps, request, 'Refreshing the token', ({ oauth, parties }, options) =>
      oauth.refreshTokenGrantRequest(...parties, request.refreshToken, options),
    )
  } catch (error) {
    if (!(error instanceof ProxyError) || error instanceof OAuthRefusedError) throw error
    if (error instanceof RetryableError) throw error
    throw new RetryableError(error.message, { cause: error })
  }
}

/**
 * Gets a token for the client itself.
 *
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)
 */
export function clientCredentialsGrant(
  deps: HttpDeps,
  request: GrantRequest & { scope: string | undefined },
): Promise<Grant> {
  const { resource, scope } = request
  const parameters = { ...(resource && { resource }), ...(scope !== undefined && { scope }) }
  const doing = 'Getting a token with client credentials'
  return send(deps, request, doing, ({ oauth, parties }, options) =>
    oauth.clientCredentialsGrantRequest(...parties, parameters, options),
  )
}

/**
 * Polls once whether a device code was approved.
 *
 * @throws {OAuthRefusedError} with kind `poll` while it was not.
 * @see [RFC 8628 §3.4](https://www.rfc-editor.org/rfc/rfc8628#section-3.4)
 */
export function deviceGrant(
  deps: HttpDeps,
  request: GrantRequest & { deviceCode: string },
): Promise<Grant> {
  return send(deps, request, 'Signing in with a code', ({ oauth, parties }, options) =>
    oauth.deviceCodeGrantRequest(...parties, request.deviceCode, options),
  )
}

/**
 * Sends a request to the token endpoint. When the server does not know the client, the other way to
 * send its secret is tried too.
 */
async function send(
  deps: HttpDeps,
  { server, client, resource, proof, ...given }: GrantRequest,
  doing: string,
  request: (call: LibraryCall, options: TokenEndpointRequestOptions) => Promise<Response>,
): Promise<Grant> {
  const additionalParameters: Record<string, string> = resource === undefined ? {} : { resource }
  const key = given.proofKey ?? (proof && (await newProofKey()))
  const send = async (who: OAuthClient) => {
    const call = await libraryCall(deps, server, who)
    const DPoP = key && (await tokenEndpointProofs(call.oauth, key))
    const options = { ...call.options, additionalParameters, ...(DPoP && { DPoP }) }
    const answer = async () => readGrant(doing, await request(call, options), key)
    return await answer().catch((error: unknown) => {
      // the library has the nonce of the refusal, and puts it into the next proof
      if (DPoP && isNonceWanted(error)) return answer()
      throw error
    })
  }
  const bound = async (who: OAuthClient) => {
    const grant = await send(who)
    if (proof !== 'required' || grant.proofKey !== undefined) return grant
    throw notBound(doing)
  }
  try {
    return await bound(client)
  } catch (error) {
    const authMethod = otherSecretMethod(server.tokenAuthMethods, client)
    if (authMethod === undefined || !isUnknownClient(error)) throw error
    return { ...(await bound({ ...client, authMethod })), authMethod }
  }
}

const isNonceWanted = (error: unknown) =>
  error instanceof OAuthRefusedError && error.refusal.code === 'use_dpop_nonce'

/** The error for a Bearer token, which a thief could use, in place of one bound to a key. */
function notBound(doing: string): OAuthRefusedError {
  const description = 'it issued a Bearer token, though one that is bound to a key was asked for'
  const refusal = { code: 'not_bound', description, status: 200, retryAfter: null }
  return new OAuthRefusedError(doing, { kind: 'grant', ...refusal })
}

/**
 * Narrows a token endpoint's answer. The body is read before the status, in OAuth's error shape and
 * in Descope's. Optional members that are `null` or empty are absent. An id token is left unread: its
 * issuer may differ, and nothing here uses it.
 *
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {RetryableError} when the answer is not JSON.
 * @param proofKey The key that was proved with the request, if any: the token may be bound to it.
 * @throws {ProxyError} `SIGN_IN_FAILED` when it holds no token that we can use.
 * @see [RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1) Successful Response
 */
export async function readGrant(
  doing: string,
  response: Response,
  proofKey?: string | undefined,
): Promise<Grant> {
  const body = await response.text()
  const refusal = readRefusal(response.status, response.headers, body)
  if (refusal !== undefined) throw new OAuthRefusedError(doing, refusal)
  const json = tryParseJson(body)
  if (!isObject(json)) throw new RetryableError(`${doing} failed: the answer is not JSON`)
  const accessToken = textMember(json, 'access_token')
  const type = textMember(json, 'token_type') ?? 'bearer'
  const isBound = proofKey !== undefined && type.toLowerCase() === 'dpop'
  if (accessToken === undefined || (type.toLowerCase() !== 'bearer' && !isBound)) {
    const problem =
      accessToken === undefined
        ? 'it has no "access_token"'
        : `its "token_type" is ${JSON.stringify(type.slice(0, 60))}, not "Bearer"`
    const what = `${doing} failed: the answer is no token response, ${problem}`
    throw new ProxyError('SIGN_IN_FAILED', what)
  }
  return {
    accessToken,
    refreshToken: textMember(json, 'refresh_token'),
    scope: scopeOf(json['scope']),
    expiresIn: positiveMember(json, 'expires_in'),
    ...(isBound && { proofKey }),
  }
}

/** Some servers send a list where RFC 6749 §3.3 has a text. */
function scopeOf(value: unknown): string | undefined {
  const words = [value].flat().filter((word) => typeof word === 'string')
  return splitScopes(words.join(' ')).join(' ') || undefined
}

/** A hundred years, in seconds; a longer life could exceed what a date can hold. */
const LONGEST_LIFE = 3_153_600_000

/**
 * Turns a lifetime into times of our own clock, which is never compared with the server's. A lifetime
 * that is not positive counts as unknown.
 */
export function grantTimes(
  nowMs: number,
  { expiresIn }: Pick<Grant, 'expiresIn'>,
): { receivedAt: number; expiresAt: number | undefined } {
  const receivedAt = Math.floor(nowMs / 1_000)
  if (expiresIn === undefined || expiresIn <= 0) return { receivedAt, expiresAt: undefined }
  return { receivedAt, expiresAt: receivedAt + Math.ceil(Math.min(expiresIn, LONGEST_LIFE)) }
}
