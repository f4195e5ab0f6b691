import type { Runtime } from '../../util/runtime.js'
import { requestReply } from '../fetch-json.js'
import { type ConfidentialClient, clientKeyOf, requestClientToken } from '../oauth/client-token.js'
import { OAuthRefusedError } from '../oauth/failure.js'
import {
  type BearerChallenge,
  readBearerChallenge,
  saysTokenInvalid,
} from '../oauth/parse-challenge.js'
import type { Grant } from '../oauth/token-endpoint.js'
import {
  bearerHeaders,
  createCredentialCache,
  type Issued,
  refusedCredential,
  renewalTime,
} from './cache.js'
import type { TargetCredential } from './credential.js'

export interface ClientCredentialsSettings {
  tokenUrl: string | undefined
  clientId: string
  /** Without it, there is a key. */
  clientSecret?: string | undefined
  /** PEM or JWK, for `private_key_jwt`. */
  clientKey?: string | undefined
  scope: string | undefined
}

/**
 * Creates a credential that is the proxy's own at the target's authorization server: the configured
 * one, else the one that the target's 401 and metadata name.
 *
 * The client secret goes to whatever server the target names; `tokenUrl` pins it.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the client key cannot be used.
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4) Client Credentials Grant
 */
export function clientCredentials(
  settings: ClientCredentialsSettings,
  { runtime, targetUrl }: { runtime: Pick<Runtime, 'fetch' | 'clock'>; targetUrl: string },
): TargetCredential {
  const cache = createCredentialCache(runtime.clock, 1)
  const target = new URL(targetUrl)
  const { clientId: id, clientSecret: secret, clientKey } = settings
  const client = { id, secret, key: clientKeyOf(clientKey) }

  const issue = async (): Promise<Issued> => {
    const { accessToken, expiresIn } = await requestGrant(runtime, target, settings, client)
    const now = runtime.clock.now()
    return {
      headers: bearerHeaders(accessToken),
      renewAt: renewalTime(now, expiresIn),
      endsAt: expiresIn === undefined ? undefined : now + expiresIn * 1000,
    }
  }

  return {
    validity() {
      const endsAt = cache.endsAt('')
      return endsAt === undefined ? undefined : { endsAt, isRenewed: true }
    },
    headers: () => cache.get('', issue),
    // Any other 403 is about permissions, which a new token would not change.
    refused: (_caller, { status, challenge }) =>
      saysTokenInvalid(status, challenge) && cache.refused(''),
  }
}

/** Sends the target a request without a token to get its challenge; without a 401 there is none. */
async function provokeChallenge(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  target: URL,
): Promise<BearerChallenge | undefined> {
  const init = {
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    },
    body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
  }
  try {
    const { status, headers } = await requestReply(runtime, target.href, init)
    return status === 401 ? readBearerChallenge(headers.get('www-authenticate')) : undefined
  } catch {
    return undefined
  }
}

/** Requests a token, and says what to look at when there is none. */
async function requestGrant(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  url: URL,
  { tokenUrl, scope }: ClientCredentialsSettings,
  client: ConfidentialClient,
): Promise<Grant> {
  const challenge = tokenUrl === undefined ? await provokeChallenge(runtime, url) : undefined
  const target = { kind: 'server', url } as const
  try {
    return await requestClientToken(runtime, { client, target, tokenUrl, challenge, scope })
  } catch (error) {
    if (!(error instanceof OAuthRefusedError)) throw error
    throw refusedCredential(
      error,
      error.refusal.kind === 'client'
        ? 'Check "clientId" and "clientSecret" of this target (or "clientKey").'
        : 'Check "scope" of this target, and that the client may use client credentials there (in Descope: a Policy).',
    )
  }
}
