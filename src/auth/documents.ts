import { singleFlight } from '../util/async.js'
import { messageOf } from '../util/errors.js'
import type { JsonObject } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import type { DescopeProject } from './descope.js'
import { DISCOVERY_KINDS, type DiscoveryKind, fetchDiscovery } from './discovery.js'

const FRESH_MS = 5 * 60_000
const COOLDOWN_MS = 30_000

export interface DocumentCacheOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  logger: Logger
  project: DescopeProject
  extraIssuers: readonly string[]
}

export interface DocumentCache {
  /** Gives Descope's document, an old one rather than none. Anybody may ask: it is public. */
  get(kind: DiscoveryKind): Promise<JsonObject | undefined>
}

/**
 * Creates a cache of the discovery documents that are served from our own origin. Each is fetched
 * again after 5 minutes, or 30 seconds after a failure, however often it is asked for.
 */
export function createDocumentCache(options: DocumentCacheOptions): DocumentCache {
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
    async get(kind) {
      const own = await entries.get(kind)?.()
      if (own) return own
      // The two documents say the same; where Descope has only one, it stands for both.
      const other = DISCOVERY_KINDS.find((candidate) => candidate !== kind)
      return other && entries.get(other)?.()
    },
  }
}
