import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { LastLists } from './lists/last-known-lists.js'
import type { Request } from './request.js'
import type { BoundIds } from './rewriting/bound-ids.js'
import type { Cursors, EventIds, RequestIds } from './rewriting/signed-ids.js'
import type { Withhold } from './rewriting/withheld.js'
import type { Names } from './routing/names.js'
import type { Declared } from './sessions/capabilities.js'
import type { Eras } from './sessions/protocol-eras.js'
import type { Sessions, TargetSession } from './sessions/sealed-sessions.js'
import type { Target } from './target.js'

/** What every part of the gateway shares. */
export interface GatewayContext {
  readonly targets: readonly Target[]
  readonly names: Names<Target>
  readonly sessions: Sessions
  readonly requestIds: RequestIds
  readonly eventIds: EventIds
  readonly cursors: Cursors
  readonly handles: BoundIds<Target>
  readonly lastLists: LastLists
  readonly eras: Eras
  /** Tells of what targets may not say. */
  readonly withhold: Withhold
  readonly declared: Declared
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds. */
  readonly timeouts: { list: number; answer: number }
  /** Sessions opened at one target after the client's `initialize`, by session and target. */
  readonly lateSessions: Map<string, TargetSession>
  /** Sessions that are being opened, so that requests which need the same one share it. */
  readonly opening: Map<string, Promise<TargetSession | undefined>>
  /** Clients can open a stream for what targets send by themselves. */
  readonly offersStreams: boolean
  /** Ids of a single target that tells no callers apart are bound to their callers. */
  readonly bindsAlone: boolean
  /**
   * Opens a lost session again even for a single target, and sends only what is safe to repeat a
   * second time. Without it a single target's client is told to start anew (404).
   */
  readonly reopenSessions: boolean
}

/**
 * Tells whether ids that a target hands out are bound to who gets them: with several targets, since
 * they lead back to one of them, and where a single target gave no session that tells callers apart.
 */
export function bindsIds(
  { targets, bindsAlone }: Pick<GatewayContext, 'targets' | 'bindsAlone'>,
  { session, exchange }: Request,
): boolean {
  if (targets.length > 1) return true
  return bindsAlone && session === undefined && exchange.caller.principal !== undefined
}
