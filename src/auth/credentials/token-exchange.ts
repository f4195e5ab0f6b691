import { hash } from 'node:crypto'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import { libraryCall } from '../oauth/client.js'
import { clientKeyOf, provenClient, serverOfTokenUrl } from '../oauth/client-token.js'
import { canonicalResource } from '../oauth/discover.js'
import { OAuthRefusedError } from '../oauth/failure.js'
import { saysTokenInvalid } from '../oauth/parse-challenge.js'
import { type Grant, readGrant } from '../oauth/token-endpoint.js'
import type { Descope } from '../resource-server.js'
import {
  bearerHeaders,
  createCredentialCache,
  type Issued,
  noCaller,
  renewalTime,
} from './cache.js'
import type { Caller, TargetCredential } from './credential.js'

const MAX_CALLERS = 1_000

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange'

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/** Where a project exchanges tokens; which of the two is documented differs from page to page. */
const SHARED_ENDPOINTS = ['/oauth2/v1/apps/token', '/oauth2/v1/token']

export interface TokenExchangeSettings {
  /** Without it, the client is the one that the caller's token was issued to. */
  clientId?: string | undefined
  clientSecret?: string | undefined
  /** PEM or JWK, for `private_key_jwt`. */
  clientKey?: string | undefined
  /** Without it, the project's shared token endpoint. */
  tokenUrl?: string | undefined
  scope: string | undefined
  /** Any absolute URI; without it, the target's URL. */
  resource: string | undefined
  audience?: readonly string[] | undefined
}

export interface TokenExchangeDeps {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  descope: Pick<Descope, 'project'>
  targetUrl: string
}

/**
 * Creates a credential that is the caller's own: Descope gives a token for the target in exchange
 * for the caller's. It is kept for the caller's token alone, and never longer than that is valid.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the client key cannot be used.
 * @see [RFC 8693 §2.1](https://www.rfc-editor.org/rfc/rfc8693#section-2.1) Token Exchange Request
 */
export function tokenExchange(
  settings: TokenExchangeSettings,
  { runtime, descope, targetUrl }: TokenExchangeDeps,
): TargetCredential {
  const cache = createCredentialCache(runtime.clock, MAX_CALLERS)
  const { clientId, clientSecret: secret, clientKey, scope, tokenUrl, audience = [] } = settings
  const resource = settings.resource ?? canonicalResource(new URL(targetUrl))
  const key = clientKeyOf(clientKey)
  const { base } = descope.project
  /** The one that answered last time comes first. */
  let endpoints = tokenUrl === undefined ? SHARED_ENDPOINTS.map((path) => base + path) : [tokenUrl]

  const exchangeAt = async (endpoint: string, subjectToken: string): Promise<Grant> => {
    const server = serverOfTokenUrl(endpoint)
    const client = provenClient({ id: clientId ?? '', secret, key }, server)
    const { oauth, parties, options } = await libraryCall(runtime, server, client)
    const [as, who, proves] = parties
    const parameters = [
      ['subject_token', subjectToken],
      ['subject_token_type', ACCESS_TOKEN],
      ['resource', resource],
      ...audience.map((name) => ['audience', name]),
      ...(scope === undefined ? [] : [['scope', scope]]),
    ]
    // a client that is not configured is not even named
    const auth = clientId === undefined ? () => {} : proves
    const named = clientId === undefined ? { client_id: 'unnamed' } : who
    return readGrant(
      'Exchanging the token',
      await oauth.genericTokenEndpointRequest(as, named, auth, GRANT_TYPE, parameters, options),
    )
  }

  const exchange = async (subjectToken: string): Promise<Grant> => {
    const [first = '', ...others] = endpoints
    try {
      return await exchangeAt(first, subjectToken)
    } catch (error) {
      const [second] = others
      if (second === undefined || !isAbsent(error)) throw error
      const grant = await exchangeAt(second, subjectToken)
      endpoints = [second, first]
      return grant
    }
  }

  const isConfigured = secret !== undefined || key !== undefined

  const issue = async ({ principal }: Caller, subjectToken: string): Promise<Issued> => {
    const grant = await exchange(subjectToken).catch((error: unknown) => {
      throw explained(error, isConfigured)
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

/** Tells whether there is no token endpoint at a URL: 404 or 405 without an error of Descope's. */
function isAbsent(error: unknown): boolean {
  if (!(error instanceof OAuthRefusedError)) return false
  const { status, isUnclear } = error.refusal
  return isUnclear === true && (status === 404 || status === 405)
}

const CONSOLE = 'in the Descope console'

const POLICY = `make a Policy ${CONSOLE} (Policies) with the grant type "Delegated access (token exchange)" that allows this client the Resource of the target and its scopes`

/** Says which setting of the console an exchange failed for. */
function explained(error: unknown, provesItself: boolean): unknown {
  if (!(error instanceof ProxyError)) return error
  const { refusal } = error instanceof OAuthRefusedError ? error : {}
  const { status = 0, kind, isUnclear = false } = refusal ?? {}
  const isRedirect = status >= 300 && status < 400
  const isPassing = error.code === 'ISSUER_UNREACHABLE' && !isUnclear && !isRedirect
  const hint = isPassing
    ? `Try again later; if it stays so, see https://www.descopestatus.com, and check "tokenUrl" of this target and its Policy ${CONSOLE} (Policies, "Delegated access").`
    : hintFor(status, kind === 'client' && provesItself)
  const code = isPassing ? 'ISSUER_UNREACHABLE' : 'CREDENTIAL_REFUSED'
  return new ProxyError(code, error.message, { hint, cause: error })
}

/** 401 and 403 both mean that there is no Policy; a client that proves itself may be unknown, too. */
function hintFor(status: number, isClient: boolean): string {
  if (isClient) {
    return `Check "clientId", and "clientSecret" or "clientKey", of this target against the client ${CONSOLE}; if they are right, ${POLICY}.`
  }
  if (status === 401 || status === 403) return `M${POLICY.slice(1)}.`
  if (status === 404 || status === 405 || (status >= 300 && status < 400)) {
    return `Check "tokenUrl" of this target: it must be the token endpoint of the project ${CONSOLE}.`
  }
  return `Check "resource", "audience" and "scope" of this target against its Resource ${CONSOLE}, and that a Policy allows this client delegated access to it (Policies, "Delegated access").`
}
