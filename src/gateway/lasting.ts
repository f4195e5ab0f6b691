import { BoundedMap } from '../util/bounded-map.js'
import type { Logger } from '../util/logger.js'
import { Roster } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import type { UnderWay } from './exchange.js'
import { createLastLists } from './lists/last-known-lists.js'
import { createWithhold } from './rewriting/withheld.js'
import { createDeclared } from './sessions/capabilities.js'
import { createEras } from './sessions/protocol-eras.js'
import type { Target } from './target.js'

/** How many calls are remembered; the oldest is forgotten first, whether it ended or not. */
const MAX_CALLS = 4_000

interface LastingDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds. */
  readonly timeouts: { readonly list: number }
}

/** What a gateway learned, for the gateway that takes its place under other settings too. */
export function createLasting({ clock, logger, timeouts }: LastingDeps) {
  const declared = createDeclared()
  return {
    declared,
    lastLists: createLastLists(clock),
    eras: createEras({ clock, timeouts, declared }),
    withhold: createWithhold(logger, clock),
    running: new Roster<UnderWay>(),
    /** Which target has which call of a session. */
    calls: new BoundedMap<string, Target>(MAX_CALLS),
  }
}

export type Lasting = ReturnType<typeof createLasting>
