import { ProxyError } from '../../util/errors.js'
import { textMember, textsMember } from '../../util/json.js'
import { trimSlashes } from '../../util/text.js'
import { shownUrl, wellKnownPath } from '../../util/url-text.js'
import { fetchMetadata, firstFound, type HttpDeps, requireSafeUrl } from './http.js'
import type { BearerChallenge } from './parse-challenge.js'
import { type ProofWish, proofFor, proofWishIn } from './proof-wish.js'
import {
  type AuthorizationServer,
  assumedAuthorizationServer,
  discoverAuthorizationServer,
} from './server-metadata.js'

/**
 * What a token is wanted for: a server whose metadata names the issuer of its tokens, or a configured
 * issuer, with the resource that its tokens must be for, if any.
 */
export type GrantTarget =
  | {
      readonly kind: 'server'
      readonly url: URL
      /** Leaves `resource` out, for authorization servers that refuse it. */
      readonly omitResource?: boolean
    }
  | {
      readonly kind: 'issuer'
      readonly issuer: string
      readonly resource: string | undefined
      /** Whether the token is to be bound to a key. */
      readonly proof?: ProofWish | undefined
    }

/** Everything that has to be known before a token can be requested. */
export interface GrantPlan {
  readonly server: AuthorizationServer
  /** Sent as `resource` (RFC 8707). */
  readonly resource: string | undefined
  /** `scopes_supported` of the protected resource. */
  readonly resourceScopes: readonly string[]
  /** Set where the token is to be bound to a key. */
  readonly proof?: ProofWish | undefined
}

/**
 * Finds out who issues tokens for a target: protected resource metadata, then the metadata of the
 * authorization server that it names.
 *
 * A server without any metadata counts as one of MCP 2025-03-26, whose authorization server is its own
 * origin. One whose metadata cannot be read, or names no authorization server, may be its own too, if
 * its origin publishes the metadata of one.
 *
 * @throws {RetryableError} when a server cannot be reached now.
 * @throws {ProxyError} `DISCOVERY_INVALID` when there is no usable authorization server.
 */
export async function discoverGrantPlan(
  deps: HttpDeps,
  target: GrantTarget,
  challenge: BearerChallenge | undefined,
): Promise<GrantPlan> {
  if (target.kind === 'issuer') {
    const server = await discoverAuthorizationServer(deps, target.issuer)
    if (server === undefined) throw noMetadata([target.issuer])
    const { resource, issuer } = target
    const proof = proofFor(new URL(resource ?? issuer), server, [target.proof])
    return { server, resource, resourceScopes: [], ...(proof && { proof }) }
  }
  const { url, omitResource = false } = target
  const { resourceMetadata, furtherMetadata = [] } = challenge ?? {}
  const named = resourceMetadata === undefined ? [] : [resourceMetadata, ...furtherMetadata]
  let described: ProtectedResource | undefined
  /** Why the metadata could not be read. */
  let failure: ProxyError | undefined
  try {
    described = await discoverProtectedResource(deps, url, named)
  } catch (error) {
    if (!(error instanceof ProxyError) || error instanceof WrongResourceError) throw error
    failure = error
  }
  const server =
    described === undefined || described.authorizationServers.length === 0
      ? await ownServer(deps, url, described, failure)
      : await firstServer(deps, described.authorizationServers, url)
  const proof = proofFor(url, server, [described?.proof, challenge?.proof])
  return {
    server,
    resource: omitResource ? undefined : (described?.resource ?? canonicalResource(url)),
    resourceScopes: described?.scopesSupported ?? [],
    ...(proof !== undefined && { proof }),
  }
}

/**
 * Gets the authorization server of a resource that names none: its own origin, where that is one.
 *
 * @param failure Why the resource's metadata could not be read; thrown when its origin is none.
 */
async function ownServer(
  deps: HttpDeps,
  { origin }: URL,
  described: ProtectedResource | undefined,
  failure: ProxyError | undefined,
): Promise<AuthorizationServer> {
  const server = await discoverAuthorizationServer(deps, origin).catch((error: unknown) => {
    throw failure ?? error
  })
  if (server !== undefined) return server
  if (failure !== undefined) throw failure
  if (described === undefined) return assumedAuthorizationServer(origin)
  throw new ProxyError(
    'DISCOVERY_INVALID',
    `${described.resource} names no "authorization_servers"`,
    { hint: 'Name the issuer of its tokens in the metadata of this server.' },
  )
}

/** How many of a resource's authorization servers are tried. */
const MAX_SERVERS = 8

/** Takes the first server that answers. Failures are reported only when all of them fail. */
async function firstServer(
  deps: HttpDeps,
  issuers: readonly string[],
  near: URL,
): Promise<AuthorizationServer> {
  let failure: unknown
  for (const issuer of issuers.slice(0, MAX_SERVERS)) {
    try {
      const server = await discoverAuthorizationServer(deps, issuer, { near })
      if (server !== undefined) return server
    } catch (error) {
      failure ??= error
    }
  }
  throw failure ?? noMetadata(issuers)
}

function noMetadata(issuers: readonly string[]): ProxyError {
  const shown = issuers.slice(0, MAX_SERVERS).map((issuer) => issuer.slice(0, 300))
  const names = shown.map((issuer) => JSON.stringify(issuer)).join(', ')
  return new ProxyError('DISCOVERY_INVALID', `No authorization server metadata found at ${names}`, {
    hint: 'Check the address of the authorization server.',
  })
}

/** What a protected resource says about itself (RFC 9728), checked. */
export interface ProtectedResource {
  /** Where this document was. */
  readonly metadataUrl: string
  /** The identifier to send as `resource` (RFC 8707). */
  readonly resource: string
  /** Empty when it names none. */
  readonly authorizationServers: readonly string[]
  readonly scopesSupported: readonly string[]
  /** Absent where it says nothing of DPoP. */
  readonly proof?: ProofWish | undefined
}

/** The metadata is for another resource than the one that it was looked for. */
export class WrongResourceError extends ProxyError {
  constructor(place: URL, resource: string | undefined, server: URL) {
    super(
      'DISCOVERY_INVALID',
      `${shownUrl(place)} is the metadata of ${JSON.stringify(resource && shownUrl(resource.slice(0, 300)))}, not of ${shownUrl(server)}`,
      { hint: hintFor(resource, server) },
    )
  }
}

/** How many of the metadata URLs in a challenge are tried. */
const MAX_NAMED = 4

/**
 * Finds the metadata of a protected resource: where its 401 points to, else the well-known path
 * with the resource's path inserted, else the well-known path of its origin. When a place fails, or
 * has a document that cannot be used, the next one is tried.
 *
 * @param named `resource_metadata` of the challenge, all of them where it names several.
 * @returns `undefined` when the server publishes none.
 * @throws {RetryableError} when the server cannot be reached now.
 * @throws {ProxyError} `DISCOVERY_INVALID` when there is only a document for another resource, or
 *   none although the challenge names one.
 * @see [RFC 9728 §3, §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-3)
 */
export async function discoverProtectedResource(
  deps: HttpDeps,
  server: URL,
  named: string | readonly string[] = [],
): Promise<ProtectedResource | undefined> {
  const texts = [named].flat()
  const told = new Set(namedPlaces(texts, server))
  /** A document that names no authorization server counts only when no other place has one. */
  let poor: ProtectedResource | undefined
  const look = async (place: URL): Promise<ProtectedResource | undefined> => {
    if (told.has(place)) requireSafeUrl(deps, place.href, '"resource_metadata"', server)
    const described = await readResource(deps, place, server)
    if (described === undefined || described.authorizationServers.length > 0) return described
    poor ??= described
    return undefined
  }
  try {
    const found = await firstFound(distinct([...told, ...guessedPlaces(server)]), look)
    if (found !== undefined) return found
  } catch (error) {
    if (poor === undefined) throw error
  }
  if (poor !== undefined || texts[0] === undefined) return poor
  throw new ProxyError(
    'DISCOVERY_INVALID',
    `There is no metadata at ${shownUrl(texts[0].slice(0, 300))}`,
    { hint: 'The server names this address itself; have its "resource_metadata" corrected.' },
  )
}

async function readResource(
  deps: HttpDeps,
  place: URL,
  server: URL,
): Promise<ProtectedResource | undefined> {
  const document = await fetchMetadata(deps, place)
  if (document === undefined) return undefined
  const resource = textMember(document, 'resource')
  if (resource === undefined || !covers(resource, server)) {
    throw new WrongResourceError(place, resource, server)
  }
  return {
    metadataUrl: place.href,
    resource,
    authorizationServers: textsMember(document, 'authorization_servers'),
    scopesSupported: textsMember(document, 'scopes_supported'),
    ...proofWishIn(document),
  }
}

/** Reads the URLs in a challenge. A relative one is invalid, but can only be meant relative to the server. */
function namedPlaces(named: readonly string[], server: URL): URL[] {
  const readable = named.filter((text) => text !== '' && URL.canParse(text, server.href))
  return readable.slice(0, MAX_NAMED).map((text) => new URL(text, server))
}

/** The user may have given the URL of the server's front page instead of its endpoint. */
function hintFor(resource: string | undefined, server: URL): string {
  const meant = resource !== undefined && URL.canParse(resource) ? new URL(resource) : undefined
  if (meant?.origin !== server.origin || meant.pathname === server.pathname) {
    return 'Use the URL in "resource" for this server, or have its "resource" corrected.'
  }
  return `Did you mean ${meant.origin}${meant.pathname}? Else have the "resource" of the metadata corrected.`
}

function guessedPlaces(server: URL): URL[] {
  const path = wellKnownPath('oauth-protected-resource', trimSlashes(server.pathname))
  return [
    new URL(`${path}${server.search}`, server),
    new URL(wellKnownPath('oauth-protected-resource'), server),
  ]
}

function distinct(places: readonly URL[]): URL[] {
  const seen = new Set<string>()
  return places.filter(({ href }) => !seen.has(href) && seen.add(href))
}

/**
 * Tells whether a resource identifier stands for the server: the same URL, or, as servers with one
 * identifier for several endpoints publish it, a parent path on the same origin.
 *
 * @see [RFC 9728 §3.3](https://www.rfc-editor.org/rfc/rfc9728#section-3.3)
 */
function covers(resource: string, server: URL): boolean {
  if (!URL.canParse(resource)) return false
  const url = new URL(resource)
  if (url.origin !== server.origin || url.username !== '' || url.hash !== '') return false
  if (url.search !== '' && url.search !== server.search) return false
  const parent = `${trimSlashes(url.pathname)}/`
  return `${trimSlashes(server.pathname)}/`.startsWith(parent)
}

/**
 * Gives the identifier of a server that publishes none: its URL without fragment, and without a
 * trailing slash where the path is only that.
 *
 * @see [RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2)
 */
export function canonicalResource(server: URL): string {
  const url = new URL(server)
  url.hash = ''
  return url.pathname === '/' && url.search === '' ? url.origin : url.href
}
