import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { Named } from './names.js'

/** One line a minute for each target; how many there were is said in the next one. */
const PAUSE_MS = 60_000

/** Tells that something of a target was left out, and why. */
export type Withhold = (target: Named, what: string) => void

/** Creates the function that tells operators of what targets may not say, without flooding them. */
export function createWithhold(logger: Pick<Logger, 'warn'>, clock: Pick<Clock, 'now'>): Withhold {
  const told = new Map<string, { at: number; untold: number }>()

  return ({ name }, what) => {
    const now = clock.now()
    const last = told.get(name)
    if (last !== undefined && now - last.at < PAUSE_MS) {
      last.untold += 1
      return
    }
    const untold = last?.untold ?? 0
    told.set(name, { at: now, untold: 0 })
    const more = untold > 0 ? ` (and ${untold} more since the last such line)` : ''
    logger.warn('withheld', `Target "${name}" sent ${what}: left out${more}`, { target: name })
  }
}
