import type { Logger } from '../util/logger.js'
import type { Roster } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import type { UnderWay } from './exchange.js'
import type { LastLists } from './lists/last-known-lists.js'
import type { BoundIds } from './rewriting/bound-ids.js'
import type { Cursors, EventIds, RequestIds } from './rewriting/signed-ids.js'
import type { Withhold } from './rewriting/withheld.js'
import type { Names } from './routing/names.js'
import type { Declared } from './sessions/capabilities.js'
import type { Eras } from './sessions/protocol-eras.js'
import type { Sessions } from './sessions/sealed-sessions.js'
import type { Target } from './target.js'

/** What all parts of the gateway share. */
export interface GatewayContext {
  /** Those that admit the caller: to everything here there are no others. */
  readonly targets: readonly Target[]
  readonly names: Names<Target>
  readonly sessions: Sessions
  readonly requestIds: RequestIds
  readonly eventIds: EventIds
  readonly cursors: Cursors
  readonly boundIds: BoundIds<Target>
  readonly lastLists: LastLists
  readonly eras: Eras
  /** Logs what targets send and clients do not get. */
  readonly withhold: Withhold
  readonly declared: Declared
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds. */
  readonly timeouts: { list: number; answer: number }
  /** Requests under way, of all callers. */
  readonly running: Roster<UnderWay>
  /** Clients can open a stream for messages that targets send unasked (GET). */
  readonly offersStreams: boolean
  /**
   * Opens a lost session again even for a single target; only requests that are safe to repeat are
   * then sent again. Without it, the client of a single target is told to initialize again (404).
   */
  readonly reopenSessions: boolean
}
