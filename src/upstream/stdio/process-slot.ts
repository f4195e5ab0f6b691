import { type Backoff, createBackoff } from '../../util/async.js'
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
}

/** Holds one caller's process. The pauses between starts grow while the process keeps ending. */
export class ProcessSlot {
  readonly #clock: SlotOptions['clock']
  readonly #pauses: Backoff
  #starting: Promise<StdioServer> | undefined
  /** Both in milliseconds since the epoch. */
  #startedAt = 0
  #notBefore = 0
  /** Why the last process ended. */
  #reason = ''
  #server: StdioServer | undefined

  constructor({ clock, random }: SlotOptions) {
    this.#clock = clock
    this.#pauses = createBackoff(FIRST_PAUSE_MS, LAST_PAUSE_MS, random)
  }

  /** The process, unless it is being ended. */
  get server(): StdioServer | undefined {
    return this.#server?.isEnding ? undefined : this.#server
  }

  get starting(): Promise<StdioServer> | undefined {
    return this.#starting
  }

  /** There is no process, and no pause to be kept. */
  get isVacant(): boolean {
    const isEmpty = this.server === undefined && this.#starting === undefined
    return isEmpty && this.#notBefore < this.#clock.now()
  }

  /**
   * Returns the process; where there is none, starts one for all requests that wait.
   *
   * @throws {UpstreamError} when it cannot be started now.
   */
  get(start: (slot: ProcessSlot) => Promise<StdioServer>): Promise<StdioServer> {
    const { server } = this
    if (server !== undefined) return Promise.resolve(server)
    this.#starting ??= this.#start(start).finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #start(start: (slot: ProcessSlot) => Promise<StdioServer>): Promise<StdioServer> {
    const wait = this.#notBefore - this.#clock.now()
    if (wait > MAX_WAIT_MS) {
      const seconds = Math.ceil(wait / 1000)
      throw new UpstreamError('unreachable', `${this.#reason}; it is started again in ${seconds} s`)
    }
    if (wait > 0) await new Promise<void>((resolve) => this.#clock.after(wait, resolve))
    this.#startedAt = this.#clock.now()
    try {
      const server = await start(this)
      this.#server = server
      return server
    } catch (error) {
      if (error instanceof UpstreamError && error.failure.cause === 'unreachable')
        this.#pause(error)
      throw error
    }
  }

  /** @param error Why it ended; `undefined` when we ended it. */
  onEnd(server: StdioServer, error: UpstreamError | undefined): void {
    if (this.#server === server) this.#server = undefined
    if (error === undefined) return
    if (this.#clock.now() - this.#startedAt >= STABLE_MS) this.#pauses.reset()
    this.#pause(error)
  }

  #pause({ message }: UpstreamError): void {
    this.#reason = message
    this.#notBefore = this.#clock.now() + this.#pauses.next()
  }
}
