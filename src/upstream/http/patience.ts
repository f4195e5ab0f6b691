import { Roster, type Rostered } from '../../util/roster.js'
import type { Clock } from '../../util/runtime.js'

/** So often a pool looks for answers that are late; none of them is given up too early. */
const TICK_MS = 500

/** Something that waits for a target. */
export interface Waiting extends Rostered {
  /** Gives up when nothing came for too long. */
  expire(): void
}

/** Finds the answers of a pool that come no further. One timer serves all: nearly none is late. */
export class Patience {
  readonly #clock: Pick<Clock, 'after'>
  readonly #waiting = new Roster<Waiting>()
  readonly #onTick: () => boolean
  #isArmed = false
  #ticks = 0

  /** @param onTick Looks after whatever else lasts too long; returns whether there is more of it. */
  constructor(clock: Pick<Clock, 'after'>, onTick: () => boolean) {
    this.#clock = clock
    this.#onTick = onTick
  }

  /** A point in time, for `hasPassed`. */
  get now(): number {
    return this.#ticks
  }

  hasPassed(ms: number, since: number): boolean {
    // the first of the ticks may have come at once
    return (this.#ticks - since - 1) * TICK_MS >= ms
  }

  add(waiting: Waiting): void {
    this.#waiting.add(waiting)
    this.arm()
  }

  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting)
  }

  arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    this.#clock.after(TICK_MS, () => {
      this.#isArmed = false
      this.#ticks += 1
      this.#waiting.each((waiting) => waiting.expire())
      const isMore = this.#onTick()
      if (isMore || this.#waiting.size > 0) this.arm()
    })
  }
}
