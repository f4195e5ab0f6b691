import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { Lasting } from './lasting.js'
import type { BoundIds } from './rewriting/bound-ids.js'
import type { Cursors, EventIds, RequestIds } from './rewriting/signed-ids.js'
import type { Names } from './routing/names.js'
import type { Sessions } from './sessions/sealed-sessions.js'
import type { Target } from './target.js'

/** What all parts of the gateway share. */
export interface GatewayContext extends Lasting {
  /** That of which this is a part, for the gateway that takes its place. */
  readonly lasting: Lasting
  /** Stands for this gateway. */
  readonly opener: object
  /** Those that admit the caller: to everything here there are no others. */
  readonly targets: readonly Target[]
  readonly names: Names<Target>
  readonly sessions: Sessions
  readonly requestIds: RequestIds
  readonly eventIds: EventIds
  readonly cursors: Cursors
  readonly boundIds: BoundIds<Target>
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds. */
  readonly timeouts: { list: number; answer: number }
  /** Clients can open a stream for messages that targets send unasked (GET). */
  readonly offersStreams: boolean
  /**
   * Opens a lost session again even for a single target; only requests that are safe to repeat are
   * then sent again. Without it, the client of a single target is told to initialize again (404).
   */
  readonly reopenSessions: boolean
}
