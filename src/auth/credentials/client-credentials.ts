import type { Runtime } from '../../util/runtime.js'
import { requestReply } from '../fetch-json.js'
import { type ClientAuthMethod, chooseAuthMethod } from '../oauth/client.js'
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

interface Plan extends GrantPlan {
  readonly challengedScope: string | undefined
  readonly authMethod: ClientAuthMethod
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
    const plan =
      settings.tokenUrl === undefined
        ? await discoverPlan(runtime, target, settings)
        : configuredPlan(settings.tokenUrl, target)
    const grant = await requestGrant(runtime, plan, settings)
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

async function discoverPlan(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  target: URL,
  { clientSecret }: ClientCredentialsSettings,
): Promise<Plan> {
  const challenge = await provokeChallenge(runtime, target)
  const plan = await discoverGrantPlan(runtime, { kind: 'server', url: target }, challenge)
  const authMethod = chooseAuthMethod(plan.server.tokenAuthMethods, clientSecret)
  return { ...plan, challengedScope: challenge?.scope, authMethod }
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

function configuredPlan(tokenUrl: string, target: URL): Plan {
  const { origin } = new URL(tokenUrl)
  return {
    server: { ...assumedAuthorizationServer(origin), tokenEndpoint: tokenUrl },
    resource: canonicalResource(target),
    resourceScopes: [],
    challengedScope: undefined,
    authMethod: 'client_secret_basic',
  }
}

/**
 * Asks for a token. A server that was configured by its token URL may know no `resource`.
 */
async function requestGrant(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  plan: Plan,
  settings: ClientCredentialsSettings,
): Promise<Grant> {
  let { resource } = plan
  const client = {
    id: settings.clientId,
    secret: settings.clientSecret,
    authMethod: plan.authMethod,
    source: 'static' as const,
    redirectUris: [],
  }
  for (;;) {
    const scope = chooseScope({
      configured: settings.scope,
      challenged: plan.challengedScope,
      resource: plan.resourceScopes,
      server: [],
    })
    try {
      return await clientCredentialsGrant(runtime, { server: plan.server, client, resource, scope })
    } catch (error) {
      if (!(error instanceof OAuthRefusedError)) throw error
      const { kind, code } = error.refusal
      if (
        settings.tokenUrl !== undefined &&
        resource !== undefined &&
        (code === 'invalid_target' || code === 'invalid_request')
      ) {
        resource = undefined
      } else {
        throw refusedCredential(
          error,
          kind === 'client'
            ? 'Check "clientId" and "clientSecret" of this target.'
            : 'Check "scope" of this target, and that the client may use client credentials there (in Descope: a Policy).',
        )
      }
    }
  }
}
