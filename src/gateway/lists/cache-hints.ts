import { memberText } from '../../mcp/json-text.js'
import { META, OWN_INFO } from '../../mcp/meta.js'
import type { JsonObject } from '../../util/json.js'

/**
 * Makes the members of `_meta` that name the targets which are left out, and those whose last known
 * answer stands in. Empty when all targets answered.
 */
export function missingMeta(missing: readonly string[], stale: readonly string[] = []): JsonObject {
  return {
    ...(missing.length > 0 && { 'mcp-descope-proxy/unavailableTargets': missing }),
    ...(stale.length > 0 && { 'mcp-descope-proxy/staleTargets': stale }),
  }
}

/** How long a result may be cached, milliseconds, and by whom. */
export interface Caching {
  ttlMs: unknown
  cacheScope: unknown
}

/** Reads how long the result of a response may be cached. The text must be valid JSON. */
export function readCaching(text: string): Caching {
  const read = (member: string): unknown => {
    const value = memberText(text, 'result', member)
    return value && JSON.parse(value)
  }
  return { ttlMs: read('ttlMs'), cacheScope: read('cacheScope') }
}

/**
 * Makes the members that every merged result of 2026-07-28 has. It may be cached for the shortest time
 * of its parts, and shared only when all of them may be. A result with a part missing is not to be
 * cached at all.
 *
 * @param missing What {@link missingMeta} returned.
 * @param isOwn The result is for this caller only.
 * @see [MCP 2026-07-28, caching](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching)
 */
export function mergedMembers(
  parts: readonly Caching[],
  missing: JsonObject,
  isOwn: boolean,
): JsonObject {
  const isWhole = Object.keys(missing).length === 0
  const isPublic =
    !isOwn && parts.length > 0 && parts.every(({ cacheScope }) => cacheScope === 'public')
  return {
    resultType: 'complete',
    ttlMs: isWhole && parts.length > 0 ? Math.min(...parts.map(timeToLive)) : 0,
    cacheScope: isPublic ? 'public' : 'private',
    _meta: { [META.serverInfo]: OWN_INFO, ...missing },
  }
}

function timeToLive({ ttlMs }: Caching): number {
  return typeof ttlMs === 'number' && ttlMs > 0 ? ttlMs : 0
}
