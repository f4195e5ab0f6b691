import { hash } from 'node:crypto'
import type { Runtime } from '../../util/runtime.js'
import { libraryCall } from '../oauth/client.js'
import { canonicalResource } from '../oauth/discover.js'
import { OAuthRefusedError } from '../oauth/failure.js'
import { saysTokenInvalid } from '../oauth/parse-challenge.js'
import { assumedAuthorizationServer } from '../oauth/server-metadata.js'
import { type Grant, readGrant } from '../oauth/token-endpoint.js'
import type { Descope } from '../resource-server.js'
import {
  bearerHeaders,
  createCredentialCache,
  type Issued,
  noCaller,
  refusedCredential,
  renewalTime,
} from './cache.js'
import type { Caller, TargetCredential } from './credential.js'

const MAX_CALLERS = 1_000

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

export interface TokenExchangeSettings {
  clientId: string
  clientSecret: string
  scope: string | undefined
  /** Without it, the target's URL. */
  resource: string | undefined
  audience: string | undefined
}

export interface TokenExchangeDeps {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  descope: Pick<Descope, 'tokenEndpoint'>
  targetUrl: string
}

/**
 * Creates a credential that is the caller's own: Descope gives a token for the target in exchange
 * for the caller's. It is kept for the caller's token alone, and never longer than that is valid.
 *
 * @see [RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1) Token Exchange Request
 */
export function tokenExchange(
  settings: TokenExchangeSettings,
  { runtime, descope, targetUrl }: TokenExchangeDeps,
): TargetCredential {
  const cache = createCredentialCache(runtime.clock, MAX_CALLERS)
  const resource = settings.resource ?? canonicalResource(new URL(targetUrl))

  const issue = async ({ principal }: Caller, subjectToken: string): Promise<Issued> => {
    const endpoint = await descope.tokenEndpoint()
    const parameters = exchangeParameters(subjectToken, { ...settings, resource })
    const grant = await requestExchange(runtime, endpoint, settings, parameters)
    const renewAt = renewalTime(runtime.clock.now(), grant.expiresIn)
    const callerEnd = principal === undefined ? renewAt : principal.expiresAt * 1000
    return { headers: bearerHeaders(grant.accessToken), renewAt: Math.min(renewAt, callerEnd) }
  }

  return {
    perCaller: true,
    headers(caller) {
      const { accessToken } = caller
      if (accessToken === undefined) throw noCaller('Token exchange')
      return cache.get(hash('sha256', accessToken, 'base64'), () => issue(caller, accessToken))
    },
    refused: ({ accessToken }, { status, challenge }) =>
      saysTokenInvalid(status, challenge) &&
      accessToken !== undefined &&
      cache.refused(hash('sha256', accessToken, 'base64')),
  }
}

function exchangeParameters(
  subjectToken: string,
  { resource, scope, audience }: TokenExchangeSettings & { resource: string },
): Record<string, string> {
  return {
    subject_token: subjectToken,
    subject_token_type: ACCESS_TOKEN,
    requested_token_type: ACCESS_TOKEN,
    resource,
    ...(scope !== undefined && { scope }),
    ...(audience !== undefined && { audience }),
  }
}

async function requestExchange(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  endpoint: string,
  { clientId, clientSecret }: TokenExchangeSettings,
  parameters: Record<string, string>,
): Promise<Grant> {
  const server = {
    ...assumedAuthorizationServer(new URL(endpoint).origin),
    tokenEndpoint: endpoint,
  }
  const call = await libraryCall(runtime, server, {
    id: clientId,
    secret: clientSecret,
    authMethod: 'client_secret_basic',
    source: 'static',
    redirectUris: [],
  })
  const { oauth, as, client, auth, options } = call
  try {
    const response = await oauth.genericTokenEndpointRequest(
      as,
      client,
      auth,
      GRANT_TYPE,
      parameters,
      options,
    )
    return await readGrant('Exchanging the token', response)
  } catch (error) {
    if (!(error instanceof OAuthRefusedError)) throw error
    throw refusedCredential(
      error,
      'In the Descope console, check the client id and secret, and that a Policy allows this client delegated access to the target.',
    )
  }
}
