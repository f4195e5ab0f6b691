import { createBackoff, sleep } from '../../util/async.js'
import type { Clock } from '../../util/runtime.js'
import { UpstreamError } from '../upstream-error.js'
import type { StdioServer } from './stdio-server.js'

const FIRST_PAUSE_MS = 250

const LAST_PAUSE_MS = 30_000

/** Where the pause is longer, the request fails and says when the process is started again. */
const MAX_WAIT_MS = 3_000

/** After a process ran that long, the pauses begin anew with the shortest. */
const STABLE_MS = 60_000

interface SlotOptions {
  clock: Pick<Clock, 'after' | 'now'>
  /** As `Math.random`. */
  random: () => number
  start(slot: ProcessSlot): Promise<StdioServer>
}

export interface ProcessSlot {
  /** The process, unless it is being ended. */
  readonly server: StdioServer | undefined
  readonly starting: Promise<StdioServer> | undefined
  /** There is no process, and no pause to be kept. */
  readonly isVacant: boolean
  /**
   * Returns the process; where there is none, starts one for all requests that wait.
   *
   * @throws {UpstreamError} when it cannot be started now.
   */
  get(): Promise<StdioServer>
  /** @param error Why it ended; `undefined` when we ended it. */
  onEnd(server: StdioServer, error: UpstreamError | undefined): void
}

/** Holds one caller's process. The pauses between starts grow while the process keeps ending. */
export function createProcessSlot({ clock, random, start }: SlotOptions): ProcessSlot {
  const pauses = createBackoff(FIRST_PAUSE_MS, LAST_PAUSE_MS, random)
  let current: StdioServer | undefined
  let starting: Promise<StdioServer> | undefined
  /** Both in milliseconds since the epoch. */
  let [startedAt, notBefore] = [0, 0]
  /** Why the last process ended. */
  let reason = ''

  const pause = ({ message }: UpstreamError) => {
    reason = message
    notBefore = clock.now() + pauses.next()
  }

  const startOne = async () => {
    const wait = notBefore - clock.now()
    if (wait > MAX_WAIT_MS) {
      const seconds = Math.ceil(wait / 1000)
      throw new UpstreamError('unreachable', `${reason}; it is started again in ${seconds} s`)
    }
    if (wait > 0) await sleep(clock, wait)
    startedAt = clock.now()
    try {
      current = await start(slot)
      return current
    } catch (error) {
      if (error instanceof UpstreamError && error.failure.cause === 'unreachable') pause(error)
      throw error
    }
  }

  const slot: ProcessSlot = {
    get server() {
      return current?.isEnding ? undefined : current
    },
    get starting() {
      return starting
    },
    get isVacant() {
      return slot.server === undefined && starting === undefined && notBefore < clock.now()
    },
    get() {
      const { server } = slot
      if (server !== undefined) return Promise.resolve(server)
      starting ??= startOne().finally(() => {
        starting = undefined
      })
      return starting
    },
    onEnd(server, error) {
      if (current === server) current = undefined
      if (error === undefined) return
      if (clock.now() - startedAt >= STABLE_MS) pauses.reset()
      pause(error)
    },
  }
  return slot
}
