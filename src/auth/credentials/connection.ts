import { hash } from 'node:crypto'
import { ProxyError } from '../../util/errors.js'
import { isTransient } from '../../util/failure.js'
import { isObject, stringMember, tryParseJson } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import { type FetchedText, requestReply } from '../fetch-json.js'
import { describeOAuthError } from '../oauth/failure.js'
import { saysTokenInvalid } from '../oauth/parse-challenge.js'
import type { Descope } from '../resource-server.js'
import {
  bearerHeaders,
  createCredentialCache,
  type Issued,
  noCaller,
  renewalTime,
} from './cache.js'
import type { Caller, TargetCredential } from './credential.js'
import { invalid } from './static.js'

const MAX_CALLERS = 1_000

/** Longest time in the cache, seconds, so that a disconnected account is noticed. */
const MAX_LIFE = 600

/** Assumed lifetime of a token whose expiry Descope does not state, seconds. */
const UNKNOWN_LIFE = 60

export interface ConnectionSettings {
  app: string
  by: 'user' | 'tenant'
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
 * @see [Descope: fetching connection tokens](https://docs.descope.com/identity-federation/outbound-apps)
 */
export function connection(
  settings: ConnectionSettings,
  { runtime, descope }: ConnectionDeps,
): TargetCredential {
  const { managementKey } = settings
  if (managementKey !== undefined && !/^[!-~]+$/.test(managementKey)) {
    throw invalid('The management key is empty or not ASCII without spaces')
  }
  const cache = createCredentialCache(runtime.clock, MAX_CALLERS)
  const { base, projectId } = descope.project
  const url = `${base}/v1/mgmt/outbound/app/${settings.by}/token/latest`

  const issue = async (caller: Caller, renewal: boolean): Promise<Issued> => {
    const key = managementKey ?? caller.accessToken
    if (key === undefined) throw noCaller('A Descope connection')
    const reply = await requestReply(runtime, url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${projectId}:${key}`,
        'content-type': 'application/json',
        accept: 'application/json',
      },
      body: JSON.stringify({
        appId: settings.app,
        ...ownerOf(settings, caller),
        ...(renewal && { options: { forceRefresh: true } }),
      }),
    })
    return readConnectionToken(reply, settings, runtime.clock.now())
  }

  return {
    perCaller: true,
    headers: (caller) => cache.get(keyOf(settings, caller), (renewal) => issue(caller, renewal)),
    refused: (caller, { status, challenge }) =>
      saysTokenInvalid(status, challenge) &&
      caller.principal !== undefined &&
      cache.refused(keyOf(settings, caller)),
  }
}

function ownerOf({ by }: ConnectionSettings, { principal }: Caller) {
  if (principal === undefined) throw noCaller('A Descope connection')
  if (by === 'user') return { userId: principal.subject }
  if (principal.tenant !== undefined) return { tenantId: principal.tenant }
  throw new ProxyError('CREDENTIAL_REFUSED', 'The caller is not signed in to a tenant', {
    hint: 'Sign in to a tenant, or set "by" of this connection to "user".',
  })
}

/** Whose token it is; also whose right to it, when the caller's own token asks. */
function keyOf(settings: ConnectionSettings, caller: Caller): string {
  const owner = JSON.stringify(ownerOf(settings, caller))
  if (settings.managementKey !== undefined) return owner
  return `${hash('sha256', caller.accessToken ?? '', 'base64')} ${owner}`
}

/**
 * Narrows Descope's answer to headers.
 *
 * @param now Milliseconds since the epoch.
 * @throws {ProxyError} `CREDENTIAL_REFUSED` with what to do in the Descope console;
 *   `ISSUER_UNREACHABLE` when it may work later.
 */
export function readConnectionToken(
  { status, text }: FetchedText,
  settings: ConnectionSettings,
  now: number,
): Issued {
  const body = text === undefined ? undefined : tryParseJson(text)
  const token = isObject(body) && isObject(body['token']) ? body['token'] : undefined
  const accessToken = token && stringMember(token, 'accessToken')
  if (status < 200 || status >= 300 || !token || !accessToken) {
    throw refusal(status, describeOAuthError(body), settings)
  }
  // A string of seconds since the epoch; empty or 0 when the provider did not tell.
  const expiry = Number(token['accessTokenExpiry'] ?? 0)
  const life = expiry > 0 ? expiry - now / 1000 : UNKNOWN_LIFE
  if (life <= 0) {
    throw new ProxyError(
      'CREDENTIAL_REFUSED',
      `The token of connection ${JSON.stringify(settings.app)} has expired and was not refreshed`,
      { hint: 'Connect again: the provider gave no refresh token, or revoked it.' },
    )
  }
  return {
    headers: bearerHeaders(accessToken),
    renewAt: renewalTime(now, Math.min(life, MAX_LIFE)),
  }
}

function refusal(status: number, said: string, settings: ConnectionSettings): ProxyError {
  const { app, by, managementKey } = settings
  const name = JSON.stringify(app)
  const answer = `Descope answered ${status} for connection ${name}${said && `: ${said}`}`
  if (isTransient(status)) return new ProxyError('ISSUER_UNREACHABLE', answer)
  const hints: Record<number, string> = {
    401:
      managementKey === undefined
        ? 'Give the MCP server in Descope the scope outbound.token.fetch and require it, or set a management key for this connection.'
        : 'Create a management key in the Descope console (Company, Management Keys) and set it for this connection.',
    403: `Allow this in the Descope console: a Policy for the connection ${name}${managementKey === undefined ? ' and the scope outbound.token.fetch' : ''}.`,
    404: `Connect the ${by} with ${name} in Descope first, and check the connection's id in the console.`,
  }
  return new ProxyError('CREDENTIAL_REFUSED', answer, {
    hint: hints[status] ?? `Check the connection ${name} in the Descope console.`,
  })
}
