import {
  acceptsIssuer,
  type DescopeDiscovery,
  discover,
  parseConfigUrl,
} from '../../auth/descope/discovery.js'
import { requestReply } from '../../auth/fetch-json.js'
import type { HttpDeps } from '../../auth/oauth/http.js'
import {
  audiencesOf,
  checkClaims,
  isResource,
  ownServerOf,
  readUnverifiedClaims,
  toPrincipal,
} from '../../auth/verify/claims.js'
import type { DpopMode } from '../../auth/verify/dpop-proof.js'
import { processKeySet } from '../../auth/verify/jwks.js'
import { TokenError, type TokenErrorReason } from '../../auth/verify/token-error.js'
import { claimRules } from '../../auth/verify/verify-token.js'
import { type JsonObject, stringMember } from '../../util/json.js'
import { peerUrlProblem } from '../../util/private-addresses.js'
import type { Clock } from '../../util/runtime.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import { type ClientWays, checkDevice, checkRegistration } from './registration.js'

/** The configuration of Descope. */
export interface CheckedDescope {
  readonly configUrl: string
  /** Issuers that are accepted besides those of `configUrl`. */
  readonly issuers: readonly string[]
}

/**
 * Creates the checks of Descope's metadata for `serve`.
 *
 * @param judgeToken Obtains a token for `serve` and judges it; `undefined` without a client.
 */
export function descopeChecks(
  deps: HttpDeps,
  { configUrl, issuers }: CheckedDescope,
  judgeToken: (() => Promise<Verdict>) | undefined,
): Check[] {
  const project = parseConfigUrl(configUrl)
  let found: DescopeDiscovery | undefined
  const known = () => {
    if (found === undefined) throw new Error('Discovery comes first')
    return found
  }
  const needs = ['descope.discovery']
  return [
    {
      id: 'descope.discovery',
      needs: [],
      async run() {
        found = await discover(deps, project, issuers)
        return judgeDiscovery(found, project.serverId)
      },
    },
    { id: 'descope.keys', needs, run: () => checkKeys(deps, known()) },
    {
      id: 'descope.registration',
      needs,
      run: async () => checkRegistration(deps, waysOf(known())),
    },
    { id: 'descope.device', needs, run: async () => checkDevice(waysOf(known())) },
    {
      id: 'descope.token',
      needs,
      run: async () => judgeToken?.() ?? skip('no client: set MCP_DESCOPE_CLIENT_ID and _SECRET'),
    },
  ]
}

function judgeDiscovery(
  { issuer, document }: DescopeDiscovery,
  serverId: string | undefined,
): Verdict {
  const scopes = document['scopes_supported']
  const offered = Array.isArray(scopes) && scopes.length > 0 ? `, scopes ${scopes.join(' ')}` : ''
  if (serverId !== undefined) return pass(`issuer ${issuer}${offered}`)
  return warn(
    `issuer ${issuer} is that of the whole project`,
    'Copy the Discovery URL of the MCP server (Agentic Identity Hub > MCP Servers) into DESCOPE_CONFIG_URL: only it lets clients register.',
  )
}

async function checkKeys(
  deps: HttpDeps,
  { jwksUri, jwksUriRefused }: DescopeDiscovery,
): Promise<Verdict> {
  const reply = await requestReply(deps, jwksUri, { headers: { accept: 'application/json' } })
  const { size } = await processKeySet(reply, jwksUri)
  const count = `${size} RS256 ${size === 1 ? 'key' : 'keys'}`
  if (!jwksUriRefused) return pass(count)
  return warn(
    `${count}; the "jwks_uri" of the document is at another origin and not used`,
    'Use the Discovery URL with the host that the keys have.',
  )
}

function waysOf({ issuer, document }: DescopeDiscovery): ClientWays {
  return {
    issuer,
    registrationEndpoint: safeUrl(document, 'registration_endpoint', issuer),
    clientIdMetadataDocuments: document['client_id_metadata_document_supported'] === true,
    deviceAuthorizationEndpoint: safeUrl(document, 'device_authorization_endpoint', issuer),
  }
}

function safeUrl(document: JsonObject, member: string, issuer: string): string | undefined {
  const text = stringMember(document, member)
  if (text === undefined || peerUrlProblem(text, new URL(issuer)) !== undefined) return undefined
  return text
}

/** What `serve` requires of a token. */
interface TokenRules extends CheckedDescope {
  /** The URL of the endpoint. */
  readonly resource: string
  /** The public URL, where it has only this endpoint. */
  readonly publicUrl?: string | undefined
  /** Other endpoints have the same `configUrl`. */
  readonly isShared?: boolean
  readonly audience: readonly string[]
  readonly requiredScopes: readonly string[]
  readonly dpop?: DpopMode
}

/** Judges whether `serve` would accept a token, without verifying its signature. */
export function judgeOwnToken(
  token: string,
  {
    configUrl,
    issuers,
    resource,
    publicUrl,
    isShared,
    audience,
    requiredScopes,
    dpop = 'off',
  }: TokenRules,
  clock: Pick<Clock, 'now'>,
): Verdict {
  const claims = readUnverifiedClaims(token)
  const project = parseConfigUrl(configUrl)
  const rules = claimRules({
    ...{ acceptsIssuer: acceptsIssuer(project, issuers), resource, publicUrl, audience },
    ownServer: isShared ? undefined : ownServerOf(project),
    acceptsBound: dpop !== 'off',
  })
  try {
    checkClaims(claims, clock.now() / 1_000, rules)
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    const received = error.details?.['receivedAudience'] ?? error.details?.['receivedIssuer']
    const detail = received === undefined ? error.message : `${error.message}: ${received}`
    return fail(detail, hintOf(error.reason, resource), 'CREDENTIAL_REFUSED')
  }
  const { scopes } = toPrincipal(claims)
  const missing = requiredScopes.filter((scope) => !scopes.has(scope))
  if (missing.length === 0) return pass(`client credentials work, ${audienceOf(claims, resource)}`)
  return fail(
    `the token lacks the scopes ${missing.join(' ')}`,
    'In Descope, add them to the MCP server, and allow them to the client by a Policy (Agentic Identity Hub > Policies).',
    'CREDENTIAL_REFUSED',
  )
}

/** Describes the audience that makes the token ours. */
function audienceOf(claims: JsonObject, resource: string): string {
  if (audiencesOf(claims).some(isResource(resource))) return `aud has ${resource}`
  return `aud is ${JSON.stringify(claims['aud'] ?? null).slice(0, 200)}`
}

function hintOf(reason: TokenErrorReason, resource: string): string {
  if (reason === 'wrong_audience') {
    return `In Descope, set the MCP Server URL of the MCP server to ${resource}, or name the audience in descope.audience.`
  }
  if (reason === 'bound_to_key') {
    return 'Set descope.dpop to accept or require; or do not force DPoP for the client in Descope.'
  }
  return reason === 'wrong_issuer'
    ? 'Use the Discovery URL of the MCP server that the client belongs to, or name the issuer in descope.issuers.'
    : 'Check the clock here, and the token settings of the MCP server in Descope.'
}
