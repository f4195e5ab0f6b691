import { type Backoff, createBackoff } from '../../util/async.js'
import type { Clock } from '../../util/runtime.js'
import { UpstreamError } from '../upstream-error.js'
import type { StdioServer } from './stdio-server.js'

const FIRST_PAUSE_MS = 250

const LAST_PAUSE_MS = 30_000

/** A longer pause is not waited for: the caller is told instead. */
const MAX_WAIT_MS = 3_000

/** A process that ran that long did not fail at its start. */
const STABLE_MS = 60_000

interface SlotOptions {
  clock: Pick<Clock, 'after' | 'now'>
  /** As `Math.random`. */
  random: () => number
}

/** The place of one caller's process. One that does not stay is started less and less often. */
export class StdioSlot {
  readonly #clock: SlotOptions['clock']
  readonly #pauses: Backoff
  #starting: Promise<StdioServer> | undefined
  /** Milliseconds since the epoch. */
  #startedAt = 0
  #notBefore = 0
  /** Why the last process is gone. */
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

  /** Nothing is here, and nothing has to be remembered. */
  get isVacant(): boolean {
    const isEmpty = this.server === undefined && this.#starting === undefined
    return isEmpty && this.#notBefore < this.#clock.now()
  }

  /**
   * Returns the process; starts one where there is none, once for all who want it.
   *
   * @throws {UpstreamError} when it cannot be started now.
   */
  get(start: (slot: StdioSlot) => Promise<StdioServer>): Promise<StdioServer> {
    const { server } = this
    if (server !== undefined) return Promise.resolve(server)
    this.#starting ??= this.#start(start).finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #start(start: (slot: StdioSlot) => Promise<StdioServer>): Promise<StdioServer> {
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

  /** @param error Why it ended, unless we wanted that. */
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
