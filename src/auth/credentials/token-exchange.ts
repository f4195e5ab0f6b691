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

const HINT =
  'In the Descope console, check the client id and secret, and that a Policy allows this client delegated access to the target.'

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
  const { clientId: id, clientSecret: secret, scope, audience } = settings
  const resource = settings.resource ?? canonicalResource(new URL(targetUrl))
  const authMethod = 'client_secret_basic'
  const client = { id, secret, authMethod, source: 'static', redirectUris: [] } as const

  const exchange = async (subjectToken: string): Promise<Grant> => {
    const tokenEndpoint = await descope.tokenEndpoint()
    const server = { ...assumedAuthorizationServer(new URL(tokenEndpoint).origin), tokenEndpoint }
    const { oauth, parties, options } = await libraryCall(runtime, server, client)
    const parameters = {
      subject_token: subjectToken,
      subject_token_type: ACCESS_TOKEN,
      requested_token_type: ACCESS_TOKEN,
      resource,
      ...(scope !== undefined && { scope }),
      ...(audience !== undefined && { audience }),
    }
    return readGrant(
      'Exchanging the token',
      await oauth.genericTokenEndpointRequest(...parties, GRANT_TYPE, parameters, options),
    )
  }

  const issue = async ({ principal }: Caller, subjectToken: string): Promise<Issued> => {
    const grant = await exchange(subjectToken).catch((error: unknown) => {
      throw error instanceof OAuthRefusedError ? refusedCredential(error, HINT) : error
    })
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
