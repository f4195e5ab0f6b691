import { firstFault } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import type { Clock, Runtime } from '../util/runtime.js'
import type { GatewayClient } from './gateway-client.js'

export interface LivenessOptions {
  clock: Clock
  gatewayClient: Pick<GatewayClient, 'ask'>
  /** Tells whether a stream is open that would not notice that its other end is gone. */
  isListening: () => boolean
  /** The target does not answer any more, although connections look open. */
  onDead(): void
  /** This machine was asleep. */
  onWake(): void
  /** Called every few seconds. */
  onTick?(): void
}

const TICK_MS = 3_000

const ASLEEP_MS = 30_000

/** A ping every 15 seconds. */
const PING_TICKS = 5

const MAX_MISSED = 2

/** Finds out that the other end is gone, or that this machine was asleep. */
export class Liveness {
  readonly #options: LivenessOptions
  #cancel = () => {}
  #lastTick = 0
  #ticks = 0
  #missed = 0
  #waiting = 0

  constructor(options: LivenessOptions) {
    this.#options = options
  }

  start(): void {
    this.#lastTick = this.#options.clock.now()
    this.#next()
  }

  stop(): void {
    this.#cancel()
  }

  #next(): void {
    this.#cancel = this.#options.clock.after(TICK_MS, () => this.#tick())
  }

  #tick(): void {
    const { clock, isListening, onWake, onTick } = this.#options
    const slept = clock.now() - this.#lastTick - TICK_MS
    this.#lastTick = clock.now()
    this.#next()
    onTick?.()
    if (slept > ASLEEP_MS) {
      this.#forget()
      return onWake()
    }
    if (!isListening()) return this.#forget()
    this.#ticks += 1
    if (this.#ticks % PING_TICKS === 0) this.#ping()
  }

  #forget(): void {
    this.#ticks = 0
    this.#missed = 0
    this.#waiting = 0
  }

  #ping(): void {
    const { gatewayClient, onDead } = this.#options
    if (this.#waiting > 0) this.#missed += 1
    if (this.#missed >= MAX_MISSED) {
      this.#forget()
      return onDead()
    }
    this.#waiting += 1
    void gatewayClient.ask('ping', {}).then(({ ok, ...rest }) => {
      // a target that does not know `ping` answers all the same
      if (!ok && 'failure' in rest && rest.failure !== undefined) return
      this.#waiting = 0
      this.#missed = 0
    })
  }
}

/** What ends the bridge: the host closed our stdin, a signal came, the host died, or a mistake of ours. */
type Ending = 'stdin' | 'signal' | 'parent' | 'fault'

type EndRuntime = Pick<Runtime, 'io' | 'onFault' | 'onSignal' | 'system'>

/** Watches for all that ends the bridge. */
interface EndWatch {
  /** Resolves once, with the first thing that happened. */
  readonly ended: Promise<Ending>
  /** Looks whether the host still lives. Where signals and pipes tell nothing, only this does. */
  checkParent(): void
  stop(): void
}

/** Starts watching. Signals no longer end the process by themselves. */
export function watchForEnd(runtime: EndRuntime, logger: Logger): EndWatch {
  const { io, onSignal, system } = runtime
  const parent = system.parentPid
  let end: (how: Ending) => void = () => {}
  const ended = new Promise<Ending>((resolve) => {
    end = resolve
  })
  for (const event of ['end', 'close', 'error'] as const) io.stdin.on(event, () => end('stdin'))
  const stop = onSignal(() => end('signal'))
  void firstFault(runtime, logger, 'this bridge ends').then(() => end('fault'))
  return {
    ended,
    checkParent() {
      if (parent === undefined) return
      if (system.parentPid !== parent || !system.isAlive(parent)) end('parent')
    },
    stop,
  }
}
