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

/** What all parts of the gateway share. */
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
  /** Logs what targets send and clients do not get. */
  readonly withhold: Withhold
  readonly declared: Declared
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds. */
  readonly timeouts: { list: number; answer: number }
  /** Sessions opened at one target after the client's `initialize`, by session and target. */
  readonly lateSessions: Map<string, TargetSession>
  /** Sessions that are being opened: requests that need the same one wait for it together. */
  readonly opening: Map<string, Promise<TargetSession | undefined>>
  /** Clients can open a stream for messages that targets send unasked (GET). */
  readonly offersStreams: boolean
  /** Ids of a single target are bound to their callers too, where the target cannot tell callers apart. */
  readonly bindsAlone: boolean
  /**
   * Opens a lost session again even for a single target; only requests that are safe to repeat are
   * then sent again. Without it, the client of a single target is told to initialize again (404).
   */
  readonly reopenSessions: boolean
}

/**
 * Tells whether ids that a target issues are bound to whoever gets them: with several targets, where
 * an id must lead back to its target, and with a single target whose callers have no sessions.
 */
export function bindsIds(
  { targets, bindsAlone }: Pick<GatewayContext, 'targets' | 'bindsAlone'>,
  { session, exchange }: Request,
): boolean {
  if (targets.length > 1) return true
  return bindsAlone && session === undefined && exchange.caller.principal !== undefined
}
