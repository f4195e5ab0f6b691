import { ProxyError } from '../../util/errors.js'
import type { HttpDeps } from './http.js'
import type { BearerChallenge } from './parse-challenge.js'
import {
  canonicalResource,
  discoverProtectedResource,
  type ProtectedResource,
  WrongResourceError,
} from './protected-resource.js'
import {
  type AuthorizationServer,
  assumedAuthorizationServer,
  discoverAuthorizationServer,
} from './server-metadata.js'

/**
 * What a token is wanted for: a server that says itself who issues its tokens, or an issuer that is
 * configured, with the resource that its tokens must be for, if any.
 */
export type GrantTarget =
  | {
      readonly kind: 'server'
      readonly url: URL
      /** Leaves `resource` out, for authorization servers that refuse it. */
      readonly omitResource?: boolean
    }
  | { readonly kind: 'issuer'; readonly issuer: string; readonly resource: string | undefined }

/** Everything that has to be known before a token can be asked for. */
export interface GrantPlan {
  readonly server: AuthorizationServer
  /** Sent as `resource` (RFC 8707). */
  readonly resource: string | undefined
  /** `scopes_supported` of the protected resource. */
  readonly resourceScopes: readonly string[]
}

/**
 * Finds out who issues tokens for a target: protected resource metadata, then the metadata of the
 * authorization server that it names.
 *
 * A server that publishes no metadata at all is taken for one of MCP 2025-03-26, whose authorization
 * server is its own origin; nothing but that origin is asked then. One whose metadata cannot be had,
 * or names no authorization server, may be its own as well, if it publishes that.
 *
 * @throws {RetryableError} when somebody cannot be asked now.
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
    return { server, resource: target.resource, resourceScopes: [] }
  }
  const { url, omitResource = false } = target
  const { described, failure } = await describe(deps, url, challenge)
  return {
    server:
      described === undefined || described.authorizationServers.length === 0
        ? await ownServer(deps, url, described, failure)
        : await firstServer(deps, described.authorizationServers, url),
    resource: omitResource ? undefined : (described?.resource ?? canonicalResource(url)),
    resourceScopes: described?.scopesSupported ?? [],
  }
}

interface Described {
  readonly described?: ProtectedResource | undefined
  /** Why the metadata could not be read. */
  readonly failure?: ProxyError
}

async function describe(
  deps: HttpDeps,
  url: URL,
  challenge: BearerChallenge | undefined,
): Promise<Described> {
  const { resourceMetadata, furtherMetadata = [] } = challenge ?? {}
  const named = resourceMetadata === undefined ? [] : [resourceMetadata, ...furtherMetadata]
  try {
    return { described: await discoverProtectedResource(deps, url, named) }
  } catch (error) {
    if (!(error instanceof ProxyError) || error instanceof WrongResourceError) throw error
    return { failure: error }
  }
}

/**
 * Gets the authorization server of a resource that names none: its own origin, where that is one.
 *
 * @throws What kept us from the resource's metadata, when its origin is none.
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
