import type { JsonObject } from '../../util/json.js'
import { wellKnownPath } from '../../util/url-text.js'

export interface ResourceMetadataOptions {
  /** The public MCP URL, sent byte for byte. */
  resource: string
  /** As in the authorization server's own metadata, byte for byte. */
  issuer: string
  scopes?: readonly string[]
  name?: string | undefined
}

/**
 * Makes the metadata document of a protected resource.
 *
 * @see [RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2) Protected Resource Metadata
 */
export function resourceMetadata(options: ResourceMetadataOptions): JsonObject {
  const { resource, issuer, scopes = [], name } = options
  return {
    resource,
    authorization_servers: [issuer],
    ...(scopes.length > 0 && { scopes_supported: [...scopes] }),
    bearer_methods_supported: ['header'],
    ...(name !== undefined && { resource_name: name }),
  }
}

/** Returns the absolute URL of a resource's metadata. */
export function resourceMetadataUrl(resource: string): string {
  const { origin, pathname, search } = new URL(resource)
  return `${origin}${wellKnownPath('oauth-protected-resource', pathname)}${search}`
}

/**
 * Chooses the scopes that metadata and challenges name: the required ones, else all that the
 * authorization server offers. `offline_access` is the client's business and never among them.
 */
export function scopesToAsk(
  required: readonly string[],
  supported: readonly string[],
): readonly string[] {
  const scopes = required.length > 0 ? required : supported
  return scopes.filter((scope) => scope !== 'offline_access')
}
