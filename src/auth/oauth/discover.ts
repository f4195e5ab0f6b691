import { ProxyError } from '../../util/errors.js'
import type { BearerChallenge } from './challenge.js'
import type { HttpDeps } from './http.js'
import {
  canonicalResource,
  discoverProtectedResource,
  type ProtectedResource,
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
 * server is its own origin; nothing but that origin is asked then.
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
  const described = await discoverProtectedResource(deps, url, challenge?.resourceMetadata)
  if (described === undefined) {
    const server =
      (await discoverAuthorizationServer(deps, url.origin)) ??
      assumedAuthorizationServer(url.origin)
    return {
      server,
      resource: omitResource ? undefined : canonicalResource(url),
      resourceScopes: [],
    }
  }
  return {
    server: await firstServer(deps, described, url),
    resource: omitResource ? undefined : described.resource,
    resourceScopes: described.scopesSupported,
  }
}

async function firstServer(
  deps: HttpDeps,
  { authorizationServers, resource }: ProtectedResource,
  near: URL,
): Promise<AuthorizationServer> {
  if (authorizationServers.length === 0) {
    throw new ProxyError('DISCOVERY_INVALID', `${resource} names no "authorization_servers"`)
  }
  for (const issuer of authorizationServers) {
    const server = await discoverAuthorizationServer(deps, issuer, { near })
    if (server !== undefined) return server
  }
  throw noMetadata(authorizationServers)
}

function noMetadata(issuers: readonly string[]): ProxyError {
  const names = issuers.map((issuer) => JSON.stringify(issuer)).join(', ')
  return new ProxyError('DISCOVERY_INVALID', `No authorization server metadata found at ${names}`, {
    hint: 'Check the address of the authorization server.',
  })
}
