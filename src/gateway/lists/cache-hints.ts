import { findMember, skipSpace } from '../../mcp/json-text.js'
import { META } from '../../mcp/meta.js'
import type { JsonObject } from '../../util/json.js'
import { PRODUCT, VERSION } from '../../util/version.js'

/**
 * Makes the members of `_meta` that name targets which could not be asked, and those of which an
 * older answer is given. Empty when all were asked.
 */
export function missingMeta(missing: readonly string[], stale: readonly string[] = []): JsonObject {
  return {
    ...(missing.length > 0 && { 'mcp-descope-proxy/unavailableTargets': missing }),
    ...(stale.length > 0 && { 'mcp-descope-proxy/staleTargets': stale }),
  }
}

/** How long a result may be kept, milliseconds, and by whom. */
export interface Caching {
  ttlMs: unknown
  cacheScope: unknown
}

/** Reads how long the result of a response message may be kept. The text must be valid JSON. */
export function readCaching(text: string): Caching {
  const start = skipSpace(text, 0)
  const read = (member: string): unknown => {
    const found = findMember(text, start, 'result', member)
    return found && JSON.parse(text.slice(found.start, found.end))
  }
  return { ttlMs: read('ttlMs'), cacheScope: read('cacheScope') }
}

/**
 * Makes the members that every merged result of 2026-07-28 has: it may be kept as long as each of
 * its parts, and by everybody only when that holds for all of them. One with a part missing is not
 * to be kept at all.
 *
 * @param missing As of {@link missingMeta}.
 * @param isOwn Other callers get another result.
 * @see [MCP 2026-07-28, caching](https://modelcontextprotocol.io/specification/2026-07-28/server/utilities/caching)
 */
export function mergedMembers(
  parts: readonly Caching[],
  missing: JsonObject,
  isOwn: boolean,
): JsonObject {
  const isWhole = Object.keys(missing).length === 0
  const isPublic = !isOwn && parts.every(({ cacheScope }) => cacheScope === 'public')
  return {
    resultType: 'complete',
    ttlMs: isWhole ? Math.min(...parts.map(timeToLive)) : 0,
    cacheScope: isPublic ? 'public' : 'private',
    _meta: { [META.serverInfo]: { name: PRODUCT, version: VERSION }, ...missing },
  }
}

function timeToLive({ ttlMs }: Caching): number {
  return typeof ttlMs === 'number' && ttlMs > 0 ? ttlMs : 0
}
