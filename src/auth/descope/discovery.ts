import { singleFlight } from '../../util/async.js'
import type { DescopeProject } from '../../util/descope-url.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import { isTransient } from '../../util/failure.js'
import {
  isObject,
  type JsonObject,
  stringMember,
  stringsMember,
  tryParseJson,
} from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import { parseHttpUrl } from '../../util/private-addresses.js'
import type { Runtime } from '../../util/runtime.js'
import { shownUrl } from '../../util/url-text.js'
import { type FetchedText, requestReply } from '../fetch-json.js'
import { describeOAuthError } from '../oauth/failure.js'

export const DISCOVERY_KINDS = ['openid-configuration', 'oauth-authorization-server'] as const

export type DiscoveryKind = (typeof DISCOVERY_KINDS)[number]

/** A discovery document and the members of it that we use, checked. */
export interface DescopeDiscovery {
  /** As Descope sent it; its other members are not checked. */
  readonly document: JsonObject
  readonly issuer: string
  readonly jwksUri: string
  /** The document named keys at another origin, which are not used. */
  readonly jwksUriRefused: boolean
  /** `undefined` when there is none at Descope's own origin. */
  readonly tokenEndpoint: string | undefined
  readonly scopesSupported: readonly string[]
}

/**
 * Fetches one of Descope's two discovery documents.
 *
 * @throws {ProxyError} `ISSUER_UNREACHABLE` when nothing or a 5xx, 408, 425 or 429 comes back, and
 *   `DISCOVERY_INVALID` when an answer comes that is not the document of this project.
 */
export async function fetchDiscovery(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  project: DescopeProject,
  kind: DiscoveryKind,
  extraIssuers: readonly string[] = [],
): Promise<DescopeDiscovery> {
  const url = project.discoveryUrls[DISCOVERY_KINDS.indexOf(kind)] ?? project.discoveryUrls[0]
  const reply = await requestReply(runtime, url, { headers: { accept: 'application/json' } })
  return processDiscovery(reply, url, project, extraIssuers)
}

/**
 * Fetches the OpenID document, or the OAuth one when only that is there.
 *
 * @throws {ProxyError} As `fetchDiscovery`; when both are invalid, the first one's error.
 */
export async function discover(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  project: DescopeProject,
  extraIssuers: readonly string[] = [],
): Promise<DescopeDiscovery> {
  try {
    return await fetchDiscovery(runtime, project, 'openid-configuration', extraIssuers)
  } catch (error) {
    if (!(error instanceof ProxyError && error.code === 'DISCOVERY_INVALID')) throw error
    try {
      return await fetchDiscovery(runtime, project, 'oauth-authorization-server', extraIssuers)
    } catch (second) {
      if (second instanceof ProxyError && second.code === 'ISSUER_UNREACHABLE') throw second
      throw error
    }
  }
}

/**
 * Narrows an answer to a discovery document. The status matters only when the body is not one:
 * Descope has been seen to send documents with another status than 200.
 *
 * @throws {ProxyError} As `fetchDiscovery`.
 *
 * @see [RFC 8414 §3.3](https://www.rfc-editor.org/rfc/rfc8414#section-3.3) Metadata Validation
 */
export function processDiscovery(
  reply: FetchedText,
  url: string,
  project: DescopeProject,
  extraIssuers: readonly string[] = [],
): DescopeDiscovery {
  const document = reply.text === undefined ? undefined : tryParseJson(reply.text)
  const issuer = isObject(document) ? stringMember(document, 'issuer') : undefined
  if (!isObject(document) || issuer === undefined) throw notADocument(reply, url, document)
  if (issuer !== project.issuer && !acceptsIssuer(project, extraIssuers)(issuer)) {
    const what = `names the issuer ${JSON.stringify(issuer.slice(0, 200))}`
    const hint = `Expected ${project.issuer}. Use the Discovery URL with the host of the tokens, or list the issuer in descope.issuers.`
    throw invalid(url, what, hint)
  }
  const jwksUri = ownUrl(project, stringMember(document, 'jwks_uri'))
  return {
    document,
    issuer,
    jwksUri: jwksUri ?? project.jwksFallbackUrl,
    jwksUriRefused: jwksUri === undefined && document['jwks_uri'] !== undefined,
    tokenEndpoint: ownUrl(project, stringMember(document, 'token_endpoint')),
    scopesSupported: stringsMember(document, 'scopes_supported'),
  }
}

/** Returns the URL when it lies at the project's own origin. */
function ownUrl(project: DescopeProject, text: string | undefined): string | undefined {
  const url = text === undefined ? undefined : parseHttpUrl(text)
  return url?.origin === project.base ? url.href : undefined
}

function notADocument({ status, text }: FetchedText, url: string, body: unknown): ProxyError {
  if (isTransient(status)) {
    return new ProxyError('ISSUER_UNREACHABLE', `${shownUrl(url)} answered ${status}`, {
      hint: 'Wait and try again; see https://www.descopestatus.com if it stays so.',
    })
  }
  if (text === undefined) return invalid(url, 'is too long for a discovery document')
  if (status >= 300 && status < 400) return invalid(url, `redirects (${status})`)
  const error = describeOAuthError(body)
  return invalid(url, `answers ${status}${error ? `: ${error}` : ' without a discovery document'}`)
}

const HINT =
  'Copy the Discovery URL of the MCP server from the Descope console into DESCOPE_CONFIG_URL.'

function invalid(url: string, what: string, hint = HINT): ProxyError {
  return new ProxyError('DISCOVERY_INVALID', `${shownUrl(url)} ${what}`, { hint })
}

/**
 * Returns the token endpoint of a discovery document.
 *
 * @throws {ProxyError} `DISCOVERY_INVALID` when it names none at Descope's own origin.
 */
export function tokenEndpointOf(
  { tokenEndpoint }: DescopeDiscovery,
  { base }: DescopeProject,
): string {
  if (tokenEndpoint !== undefined) return tokenEndpoint
  const what = `Descope's discovery document names no token endpoint at ${base}`
  throw new ProxyError('DISCOVERY_INVALID', what)
}

const FRESH_MS = 5 * 60_000

const COOLDOWN_MS = 30_000

interface DocumentCacheOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  logger: Logger
  project: DescopeProject
  extraIssuers: readonly string[]
}

/**
 * Creates a cache of the discovery documents that are served from our own origin. Each is fetched
 * again after 5 minutes, or 30 seconds after a failure, however often it is requested.
 */
export function createDocumentCache(options: DocumentCacheOptions) {
  const { runtime, logger, project, extraIssuers } = options
  const entryOf = (kind: DiscoveryKind) => {
    let document: JsonObject | undefined
    let fetchAgainAt = Number.NEGATIVE_INFINITY
    const refresh = singleFlight(async () => {
      try {
        document = (await fetchDiscovery(runtime, project, kind, extraIssuers)).document
        fetchAgainAt = runtime.clock.now() + FRESH_MS
      } catch (error) {
        fetchAgainAt = runtime.clock.now() + COOLDOWN_MS
        logger.warn('discovery_refresh_failed', messageOf(error))
      }
    })
    return async () => {
      if (runtime.clock.now() >= fetchAgainAt) await refresh()
      return document
    }
  }
  const entries = new Map(DISCOVERY_KINDS.map((kind) => [kind, entryOf(kind)]))

  return {
    /** Returns Descope's public document; while Descope is down, the last known one. */
    async get(kind: DiscoveryKind): Promise<JsonObject | undefined> {
      const own = await entries.get(kind)?.()
      if (own) return own
      // The two documents say the same; where Descope has only one, it stands for both.
      const other = DISCOVERY_KINDS.find((candidate) => candidate !== kind)
      return other && entries.get(other)?.()
    },
  }
}

export { type DescopeProject, parseConfigUrl } from '../../util/descope-url.js'

/**
 * Returns a function that tells whether an issuer belongs to the project: `{base}/v1/apps/{P}`,
 * the same with a tenant, and the agentic form, where a known server id must be ours.
 *
 * The comparison is by characters. `extraIssuers` are accepted as they are.
 */
export function acceptsIssuer(
  project: Pick<DescopeProject, 'base' | 'projectId' | 'serverId'>,
  extraIssuers: readonly string[] = [],
): (issuer: string) => boolean {
  const { base, projectId, serverId } = project
  const projectIssuer = `${base}/v1/apps/${projectId}`
  const agenticPrefix = `${base}/v1/apps/agentic/${projectId}/`
  const exact = new Set([projectIssuer, ...extraIssuers])
  return (issuer) => {
    if (exact.has(issuer)) return true
    const server = segmentAfter(agenticPrefix, issuer)
    if (server !== undefined) return serverId === undefined || server === serverId
    return segmentAfter(`${projectIssuer}/`, issuer) !== undefined
  }
}

/** Returns what follows the prefix when that is exactly one path segment. */
function segmentAfter(prefix: string, issuer: string): string | undefined {
  if (!issuer.startsWith(prefix)) return undefined
  const rest = issuer.slice(prefix.length)
  return /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/.test(rest) ? rest : undefined
}
