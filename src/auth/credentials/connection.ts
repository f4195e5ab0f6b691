import { hash } from 'node:crypto'
import { ProxyError } from '../../util/errors.js'
import { isObject, type JsonObject, stringMember } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import { saysTokenInvalid } from '../oauth/parse-challenge.js'
import type { Descope } from '../resource-server.js'
import {
  bearerHeaders,
  createCredentialCache,
  type Issued,
  noCaller,
  renewalTime,
} from './cache.js'
import { type Caller, NotConnectedError, type TargetCredential } from './credential.js'
import { askDescope, DescopeRefusedError, requestConnectLink } from './descope-request.js'
import { credentialHeaderName, invalid, isHeaderValue } from './static.js'

const MAX_CALLERS = 1_000

/** Longest time in the cache, seconds, so that a disconnected account is noticed. */
const MAX_LIFE = 600

/** Assumed lifetime of a token whose expiry Descope does not state, seconds. */
const UNKNOWN_LIFE = 60

export interface ConnectionSettings {
  app: string
  by: 'user' | 'tenant'
  /** The user's connection of the tenant that the caller is signed in to, and not the one without. */
  tenant?: boolean | undefined
  /** The connection with exactly these; without them, the one that was connected last. */
  scopes?: readonly string[] | undefined
  /** Where an API key goes; without it, `Authorization: Bearer`. */
  header?: { readonly name: string; readonly prefix: string } | undefined
  managementKey: string | undefined
}

export interface ConnectionDeps {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  descope: Pick<Descope, 'project'>
}

/**
 * Creates a credential that is the third-party token of the caller, or of the caller's tenant, as
 * kept by Descope's Connections.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the management key cannot stand in a header.
 * @see [Descope: fetching connection tokens](https://docs.descope.com/agentic-identity-hub/connections/fetching-connection-tokens)
 */
export function connection(
  settings: ConnectionSettings,
  { runtime, descope }: ConnectionDeps,
): TargetCredential {
  const { app, by, managementKey, scopes } = settings
  if (managementKey !== undefined && !/^[!-~]+$/.test(managementKey)) {
    throw invalid('The management key is empty or not ASCII without spaces')
  }
  const write = headerWriter(settings)
  const cache = createCredentialCache(runtime.clock, MAX_CALLERS)
  const { base, projectId } = descope.project
  const api = `${base}/v1/mgmt/outbound/app`
  const url = `${api}/${by}/token${scopes === undefined ? '/latest' : ''}`
  const { what, hint, hints } = wordsFor(settings)

  const issue = async (caller: Caller, renewal: boolean): Promise<Issued> => {
    const key = managementKey ?? caller.accessToken
    if (key === undefined) throw noCaller('A Descope connection')
    const body = {
      appId: app,
      ...ownerOf(settings, caller),
      ...(scopes !== undefined && { scopes }),
      ...(renewal && { options: { forceRefresh: true } }),
    }
    const bearer = `${projectId}:${key}`
    const request = { url, bearer, body, what, hint, hints }
    const answer = await askDescope(runtime, request).catch((error: unknown) => {
      if (!(error instanceof DescopeRefusedError) || error.status !== 404) throw error
      const { code, message, hint: connectHint = hint } = error
      throw new NotConnectedError(code, message, { hint: connectHint, cause: error })
    })
    const { token, life } = readToken(answer, settings, runtime.clock.now())
    return {
      headers: write(token),
      renewAt: renewalTime(runtime.clock.now(), Math.min(life, MAX_LIFE)),
    }
  }

  return {
    perCaller: true,
    connect: {
      app,
      by,
      link(caller) {
        const { tenantId } = ownerOf(settings, caller)
        const { accessToken } = caller
        if (accessToken === undefined) throw noCaller('A Descope connection')
        const bearer = `${projectId}:${accessToken}`
        const request = { url: `${api}/connect`, bearer, app, scopes, tenantId }
        return requestConnectLink(runtime, request)
      },
    },
    headers: (caller) => cache.get(keyOf(settings, caller), (renewal) => issue(caller, renewal)),
    refused: (caller, { status, challenge }) =>
      saysTokenInvalid(status, challenge) &&
      caller.principal !== undefined &&
      cache.refused(keyOf(settings, caller)),
  }
}

/** Prepares the header in which the target gets a token, or an API key. */
function headerWriter({ app, header }: ConnectionSettings) {
  if (header === undefined) return bearerHeaders
  const name = credentialHeaderName(header.name)
  // `Token` and `ApiKey` are schemes; `key=` is not
  const prefix = /[A-Za-z0-9]$/.test(header.prefix) ? `${header.prefix} ` : header.prefix
  return (key: string) => {
    const value = prefix + key
    if (isHeaderValue(value)) return Object.freeze({ [name]: value })
    const what = `The API key of connection ${JSON.stringify(app)} cannot be sent in a header`
    throw new NotConnectedError('CREDENTIAL_REFUSED', what, {
      hint: 'Connect again, with a key in one line of printable ASCII.',
    })
  }
}

interface Owner {
  readonly userId?: string
  readonly tenantId?: string
}

function ownerOf({ by, tenant = false }: ConnectionSettings, { principal }: Caller): Owner {
  if (principal === undefined) throw noCaller('A Descope connection')
  const { subject, userId = subject, tenant: tenantId } = principal
  if (by === 'user' && !tenant) return { userId }
  if (tenantId !== undefined) return by === 'user' ? { userId, tenantId } : { tenantId }
  throw new ProxyError('CREDENTIAL_REFUSED', 'The caller is not signed in to a tenant', {
    hint: 'Sign in to a tenant: in the Descope console, have the flow select one (the claim "dct"), or set auto_tenant_claim in the JWT template. Or set "by" of this connection to "user", without "tenant".',
  })
}

/** Whose token it is; also whose right to it, when the request carries the caller's own token. */
function keyOf(settings: ConnectionSettings, caller: Caller): string {
  const owner = JSON.stringify(ownerOf(settings, caller))
  if (settings.managementKey !== undefined) return owner
  return `${hash('sha256', caller.accessToken ?? '', 'base64')} ${owner}`
}

/** @param now Milliseconds since the epoch. */
function readToken(
  answer: JsonObject,
  { app }: ConnectionSettings,
  now: number,
): { token: string; life: number } {
  const token = isObject(answer['token']) ? answer['token'] : {}
  const value = stringMember(token, 'accessToken') || stringMember(token, 'apiKey')
  const name = JSON.stringify(app)
  if (!value) {
    throw new ProxyError(
      'CREDENTIAL_REFUSED',
      `Descope's answer for connection ${name} holds no token`,
      {
        hint: `Check the connection ${name} in the Descope console (Connections), and connect again.`,
      },
    )
  }
  // A string of seconds since the epoch; empty or 0 when the provider did not tell.
  const expiry = Number(token['accessTokenExpiry'] ?? 0)
  const life = expiry > 0 ? expiry - now / 1000 : UNKNOWN_LIFE
  if (life > 0) return { token: value, life }
  const what = `The token of connection ${name} has expired and was not refreshed`
  throw new NotConnectedError('CREDENTIAL_REFUSED', what, {
    hint: `Connect again: the provider gave no refresh token, or revoked it; see the connection ${name} in the Descope console (Connections).`,
  })
}

function wordsFor({ app, by, managementKey, scopes, tenant }: ConnectionSettings) {
  const name = JSON.stringify(app)
  const isOwn = managementKey === undefined
  const who = by === 'tenant' ? 'tenant' : `user${tenant ? ', in this tenant,' : ''}`
  const exactly = scopes === undefined ? '' : ` and exactly the scopes ${scopes.join(' ')}`
  return {
    what: `connection ${name}`,
    hint: `Check the connection ${name} in the Descope console (Connections).`,
    hints: {
      401: isOwn
        ? 'Give the MCP server in the Descope console the scope outbound.token.fetch (MCP Servers, Scopes) and require it (descope.requiredScopes), or set a management key for this connection.'
        : 'Create a management key in the Descope console (Company, Management Keys) and set it for this connection.',
      403: `Allow this in the Descope console (Policies): a Policy for the connection ${name}${isOwn ? ' and the scope outbound.token.fetch' : ''}.`,
      404: `Connect the ${who} with ${name}${exactly} in Descope first, and check the connection's id in the console (Connections).`,
    },
  }
}
