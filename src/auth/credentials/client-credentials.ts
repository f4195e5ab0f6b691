import type { Runtime } from '../../util/runtime.js'
import { requestReply } from '../fetch-json.js'
import { chooseAuthMethod } from '../oauth/client.js'
import { canonicalResource, discoverGrantPlan, type GrantPlan } from '../oauth/discover.js'
import { OAuthRefusedError } from '../oauth/failure.js'
import {
  type BearerChallenge,
  readBearerChallenge,
  saysTokenInvalid,
} from '../oauth/parse-challenge.js'
import { chooseScope } from '../oauth/scopes.js'
import { assumedAuthorizationServer } from '../oauth/server-metadata.js'
import { clientCredentialsGrant, type Grant } from '../oauth/token-endpoint.js'
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
  clientSecret: string
  scope: string | undefined
}

/**
 * Creates a credential that is the proxy's own at the target's authorization server: the configured
 * one, else the one that the target's 401 and metadata name.
 *
 * The client secret goes to whatever server the target names; `tokenUrl` pins it.
 *
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4) Client Credentials Grant
 */
export function clientCredentials(
  settings: ClientCredentialsSettings,
  { runtime, targetUrl }: { runtime: Pick<Runtime, 'fetch' | 'clock'>; targetUrl: string },
): TargetCredential {
  const cache = createCredentialCache(runtime.clock, 1)
  const target = new URL(targetUrl)

  const issue = async (): Promise<Issued> => {
    const grant = await requestGrant(runtime, target, settings)
    return {
      headers: bearerHeaders(grant.accessToken),
      renewAt: renewalTime(runtime.clock.now(), grant.expiresIn),
    }
  }

  return {
    headers: () => cache.get('', issue),
    // Any other 403 is about permissions, which a new token would not change.
    refused: (_caller, { status, challenge }) =>
      saysTokenInvalid(status, challenge) && cache.refused(''),
  }
}

/** Asks the target without a token for its challenge; without a 401 there is none. */
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

function configuredPlan(tokenEndpoint: string, target: URL): GrantPlan {
  const { origin } = new URL(tokenEndpoint)
  const server = { ...assumedAuthorizationServer(origin), tokenEndpoint }
  return { server, resource: canonicalResource(target), resourceScopes: [] }
}

/** Asks for a token. A server that was configured by its token URL may know no `resource`. */
async function requestGrant(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  target: URL,
  { tokenUrl, clientId: id, clientSecret: secret, scope: configured }: ClientCredentialsSettings,
): Promise<Grant> {
  const challenge = tokenUrl === undefined ? await provokeChallenge(runtime, target) : undefined
  const { server, resource, resourceScopes } =
    tokenUrl === undefined
      ? await discoverGrantPlan(runtime, { kind: 'server', url: target }, challenge)
      : configuredPlan(tokenUrl, target)
  const authMethod = chooseAuthMethod(server.tokenAuthMethods, secret)
  const client = { id, secret, authMethod, source: 'static', redirectUris: [] } as const
  const challenged = challenge?.scope
  const scope = chooseScope({ configured, challenged, resource: resourceScopes, server: [] })
  const ask = (of: string | undefined) =>
    clientCredentialsGrant(runtime, { server, client, resource: of, scope })
  try {
    return await ask(resource).catch((error: unknown) => {
      const code = error instanceof OAuthRefusedError ? error.refusal.code : undefined
      const isAboutResource = code === 'invalid_target' || code === 'invalid_request'
      if (tokenUrl !== undefined && isAboutResource) return ask(undefined)
      throw error
    })
  } catch (error) {
    if (!(error instanceof OAuthRefusedError)) throw error
    throw refusedCredential(
      error,
      error.refusal.kind === 'client'
        ? 'Check "clientId" and "clientSecret" of this target.'
        : 'Check "scope" of this target, and that the client may use client credentials there (in Descope: a Policy).',
    )
  }
}
