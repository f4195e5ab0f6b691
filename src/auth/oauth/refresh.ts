import { ProxyError } from '../../util/errors.js'
import { shownUrl } from '../../util/url-text.js'
import type { TokenRecord } from '../tokens/token-store.js'
import {
  type ConfiguredClient,
  type OAuthClient,
  storable,
  withConfiguredSecret,
} from './client.js'
import { isUnknownClient, RetryableError, withRetries } from './failure.js'
import type { HttpDeps } from './http.js'
import { type ClientStore, chooseClient } from './registration.js'
import {
  type AuthorizationServer,
  assumedAuthorizationServer,
  discoverAuthorizationServer,
} from './server-metadata.js'
import { type Grant, grantTimes, refreshGrant } from './token-endpoint.js'

export interface RefreshDeps extends HttpDeps {
  configured: ConfiguredClient
  clients: ClientStore
}

/**
 * Gets new tokens for a record, with a few tries where a failure may pass. A client that the server
 * no longer knows is registered once more, and the refresh token is tried with the new one.
 *
 * @returns The record to keep; it holds the old refresh token when the answer had none.
 * @throws {RetryableError} or {OAuthRefusedError}
 */
export async function refreshRecord(deps: RefreshDeps, record: TokenRecord): Promise<TokenRecord> {
  const { refreshToken } = record
  if (refreshToken === undefined) throw new ProxyError('INTERNAL', 'No refresh token to use')
  const server = await withRetries(deps, () => serverOf(deps, record))
  const { resource, proofKey } = record
  const bound = proofKey === undefined ? {} : ({ proof: 'required', proofKey } as const)
  const requestTokens = (client: OAuthClient) =>
    withRetries(deps, () =>
      refreshGrant(deps, { server, client, resource, refreshToken, ...bound }),
    )
  const client = withConfiguredSecret(record.client, deps.configured)
  try {
    return renewed(deps, record, client, await requestTokens(client))
  } catch (error) {
    if (!isUnknownClient(error) || client.source !== 'dynamic') throw error
    const again = await registerAgain(deps, server, record)
    return renewed(deps, record, again, await requestTokens(again))
  }
}

/**
 * Finds the authorization server that a record came from.
 *
 * @throws {RetryableError} when it cannot be reached now.
 */
export async function serverOf(deps: HttpDeps, record: TokenRecord): Promise<AuthorizationServer> {
  const { issuer, metadataUrl } = record
  if (metadataUrl === undefined) return assumedAuthorizationServer(issuer)
  // the metadata was good once; that it is missing or unusable now says nothing about the tokens
  try {
    const found = await discoverAuthorizationServer(deps, issuer, { known: metadataUrl })
    if (found !== undefined) return found
  } catch (error) {
    if (!(error instanceof ProxyError) || error instanceof RetryableError) throw error
    throw new RetryableError(error.message, { cause: error })
  }
  throw new RetryableError(`${shownUrl(metadataUrl)} does not answer as it did`)
}

async function registerAgain(
  deps: RefreshDeps,
  server: AuthorizationServer,
  { client, requestedScope }: TokenRecord,
): Promise<OAuthClient> {
  await deps.clients.forget(server.issuer, client.id)
  const chosen = await chooseClient(deps, {
    server,
    configured: deps.configured,
    clients: deps.clients,
    redirectUri: client.redirectUris[0] ?? '',
    candidateUris: client.redirectUris,
    scope: requestedScope,
    now: deps.clock.now() / 1_000,
  })
  return chosen.client
}

function renewed(
  { clock }: HttpDeps,
  record: TokenRecord,
  client: OAuthClient,
  grant: Grant,
): TokenRecord {
  return {
    ...record,
    client: storable(client, grant),
    ...grantTimes(clock.now(), grant),
    refused: undefined,
    accessToken: grant.accessToken,
    refreshToken: grant.refreshToken ?? record.refreshToken,
    scope: grant.scope ?? record.scope,
  }
}
