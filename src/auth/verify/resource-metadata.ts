import type { JsonObject } from '../../util/json.js'
import { wellKnownPath } from '../../util/url-text.js'
import { type DpopMode, PROOF_ALGORITHMS } from './dpop-proof.js'

export interface ResourceMetadataOptions {
  /** The public MCP URL, sent byte for byte. */
  resource: string
  /** As in the authorization server's own metadata, byte for byte. */
  issuer: string
  scopes?: readonly string[]
  name?: string | undefined
  /** Whether access tokens are taken with a DPoP proof. */
  dpop?: DpopMode | undefined
}

/**
 * Makes the metadata document of a protected resource.
 *
 * @see [RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2) Protected Resource Metadata
 */
export function resourceMetadata(options: ResourceMetadataOptions): JsonObject {
  const { resource, issuer, scopes = [], name, dpop = 'off' } = options
  return {
    resource,
    authorization_servers: [issuer],
    ...(scopes.length > 0 && { scopes_supported: [...scopes] }),
    bearer_methods_supported: ['header'],
    ...(name !== undefined && { resource_name: name }),
    ...(dpop !== 'off' && { dpop_signing_alg_values_supported: [...PROOF_ALGORITHMS] }),
    ...(dpop === 'require' && { dpop_bound_access_tokens_required: true }),
  }
}

/** Returns the absolute URL of a resource's metadata. */
export function resourceMetadataUrl(resource: string): string {
  const { origin, pathname, search } = new URL(resource)
  return `${origin}${wellKnownPath('oauth-protected-resource', pathname)}${search}`
}

/**
 * Chooses the scopes that metadata and challenges without a token name: the required ones and those of
 * the policy, else all that the authorization server offers. Clients that hold a refresh token never
 * sign in for more scopes (the official SDK 1.x), so that the first sign-in has to bring them all.
 *
 * @param supported What the authorization server offers; a request for more would be refused there.
 */
export function scopesToAsk(
  required: readonly string[],
  supported: readonly string[],
  policy: readonly string[] = [],
): readonly string[] {
  const isKnown = (scope: string) => supported.length === 0 || supported.includes(scope)
  const named = [...required, ...policy.filter(isKnown)]
  return scopeUnion(named.length > 0 ? named : supported)
}

/** Names each scope once, in this order. `offline_access` is the client's business and never among them. */
export function scopeUnion(...lists: readonly (readonly string[])[]): readonly string[] {
  return [...new Set(lists.flat())].filter((scope) => scope !== 'offline_access')
}
