import { ProxyError } from '../../util/errors.js'
import { clientKeyProblem, type JwtKey, readJwtKey } from '../../util/jwt-key.js'
import { chooseAuthMethod, type OAuthClient } from './client.js'
import {
  canonicalResource,
  discoverGrantPlan,
  type GrantPlan,
  type GrantTarget,
} from './discover.js'
import { OAuthRefusedError } from './failure.js'
import type { HttpDeps } from './http.js'
import type { BearerChallenge } from './parse-challenge.js'
import { chooseScope } from './scopes.js'
import { type AuthorizationServer, assumedAuthorizationServer } from './server-metadata.js'
import { clientCredentialsGrant, type Grant } from './token-endpoint.js'

/** A client that proves itself, by a secret or by a key. */
export interface ConfidentialClient {
  readonly id: string
  readonly secret?: string | undefined
  readonly key?: JwtKey | undefined
}

export interface ClientTokenRequest {
  readonly client: ConfidentialClient
  /** What the token is for, whose metadata leads to the authorization server. */
  readonly target: GrantTarget
  /** The token endpoint, where it is configured: then nothing is discovered. */
  readonly tokenUrl?: string | undefined
  /** How the target refused a request without a token. */
  readonly challenge: BearerChallenge | undefined
  /** The scope to request; without it, the one that the target names. */
  readonly scope: string | undefined
}

/**
 * Gets a token for a client itself. A server that was configured by its token URL may know no
 * `resource`: where it refuses that, the request is repeated without it.
 *
 * @throws {OAuthRefusedError} when the server refused.
 * @throws {RetryableError} when there was no answer.
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4) Client Credentials Grant
 */
export async function requestClientToken(
  deps: HttpDeps,
  { client: given, target, tokenUrl, challenge, scope: configured }: ClientTokenRequest,
): Promise<Grant> {
  const { server, resource, resourceScopes, proof } =
    tokenUrl === undefined
      ? await discoverGrantPlan(deps, target, challenge)
      : configuredPlan(tokenUrl, target)
  const client = provenClient(given, server)
  const challenged = challenge?.scope
  // no refresh tokens here, so no `offline_access`
  const scope = chooseScope({ configured, challenged, resource: resourceScopes, server: [] })
  const requestToken = (of: string | undefined) =>
    clientCredentialsGrant(deps, { server, client, resource: of, scope, proof })
  return requestToken(resource).catch((error: unknown) => {
    const code = error instanceof OAuthRefusedError ? error.refusal.code : undefined
    const isAboutResource = code === 'invalid_target' || code === 'invalid_request'
    if (tokenUrl !== undefined && isAboutResource) return requestToken(undefined)
    throw error
  })
}

/** Chooses how a client proves itself: a key goes before what the server announces. */
export function provenClient(
  { id, secret, key }: ConfidentialClient,
  { tokenAuthMethods }: Pick<AuthorizationServer, 'tokenAuthMethods'>,
): OAuthClient {
  const authMethod =
    key === undefined ? chooseAuthMethod(tokenAuthMethods, secret) : 'private_key_jwt'
  return { id, secret, key, authMethod, source: 'static', redirectUris: [] }
}

/** Makes the server of a configured token endpoint. */
export function serverOfTokenUrl(tokenEndpoint: string): AuthorizationServer {
  return { ...assumedAuthorizationServer(new URL(tokenEndpoint).origin), tokenEndpoint }
}

function configuredPlan(tokenUrl: string, target: GrantTarget): GrantPlan {
  const resource = target.kind === 'server' ? canonicalResource(target.url) : target.resource
  return { server: serverOfTokenUrl(tokenUrl), resource, resourceScopes: [] }
}

/**
 * Reads the key by which a client proves itself.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when it cannot be used.
 */
export function clientKeyOf(text: string | undefined): JwtKey | undefined {
  if (text === undefined) return undefined
  const read = readJwtKey(text, 'private')
  const problem = typeof read === 'string' ? read : clientKeyProblem(read)
  if (typeof read !== 'string' && problem === undefined) return read
  throw new ProxyError('CONFIG_INVALID', `The client key ${problem}`, {
    hint: 'Make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.',
  })
}
