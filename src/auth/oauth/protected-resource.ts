import { ProxyError } from '../../util/errors.js'
import { stringMember, stringsMember } from '../../util/json.js'
import { fetchMetadata, type HttpDeps, requireSafeUrl } from './http.js'

/** What a protected resource says about itself (RFC 9728), checked. */
export interface ProtectedResource {
  /** The identifier to send as `resource` (RFC 8707). */
  readonly resource: string
  readonly authorizationServers: readonly string[]
  readonly scopesSupported: readonly string[]
}

/**
 * Finds the metadata of a protected resource: where its 401 points to, else the well-known path
 * with the resource's path inserted, else the well-known path of its origin.
 *
 * @param metadataUrl `resource_metadata` of the challenge.
 * @returns `undefined` when the server publishes none.
 * @throws {RetryableError} when the server cannot be asked now.
 * @throws {ProxyError} `DISCOVERY_INVALID` when the document is for another resource, or is not
 *   where the challenge says.
 * @see [RFC 9728 §3, §5.1](https://www.rfc-editor.org/rfc/rfc9728#section-3)
 */
export async function discoverProtectedResource(
  deps: HttpDeps,
  server: URL,
  metadataUrl?: string,
): Promise<ProtectedResource | undefined> {
  for (const url of candidates(server, metadataUrl)) {
    const document = await fetchMetadata(deps, url)
    if (document === undefined) continue
    const resource = stringMember(document, 'resource')
    if (resource === undefined || !covers(resource, server)) {
      throw new ProxyError(
        'DISCOVERY_INVALID',
        `${url.href} is the metadata of ${JSON.stringify(resource)}, not of ${server.href}`,
        { hint: 'Use the URL in "resource" for this server, or have its "resource" corrected.' },
      )
    }
    return {
      resource,
      authorizationServers: stringsMember(document, 'authorization_servers'),
      scopesSupported: stringsMember(document, 'scopes_supported'),
    }
  }
  if (metadataUrl === undefined) return undefined
  throw new ProxyError('DISCOVERY_INVALID', `There is no metadata at ${metadataUrl}`, {
    hint: 'The server names this address itself; have its "resource_metadata" corrected.',
  })
}

function candidates(server: URL, metadataUrl: string | undefined): URL[] {
  if (metadataUrl !== undefined) return [requireSafeUrl(metadataUrl, '"resource_metadata"', server)]
  const path = server.pathname.replace(/\/+$/, '')
  const inserted = new URL(`/.well-known/oauth-protected-resource${path}${server.search}`, server)
  const root = new URL('/.well-known/oauth-protected-resource', server)
  return inserted.href === root.href ? [root] : [inserted, root]
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
  const parent = url.pathname.replace(/\/*$/, '/')
  return server.pathname.replace(/\/*$/, '/').startsWith(parent)
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
