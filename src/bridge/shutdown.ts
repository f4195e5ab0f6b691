import { firstFault } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import type { Clock, Runtime } from '../util/runtime.js'
import type { GatewayClient } from './gateway-client.js'

interface LivenessOptions {
  clock: Clock
  gatewayClient: Pick<GatewayClient, 'call'>
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

/** A tick that comes this much too late means that the machine was asleep. */
const ASLEEP_MS = 30_000

/** A ping every 15 seconds. */
const PING_TICKS = 5

const MAX_UNANSWERED = 2

/**
 * Finds out that the target is silent, by pings, or that this machine was asleep.
 *
 * @returns A function that stops it.
 */
export function watchLiveness(options: LivenessOptions): () => void {
  const { clock, gatewayClient, isListening, onDead, onWake, onTick } = options
  let lastTick = clock.now()
  let ticks = 0
  let unanswered = 0
  let cancel = clock.after(TICK_MS, tick)

  function tick(): void {
    const slept = clock.now() - lastTick - TICK_MS
    lastTick = clock.now()
    cancel = clock.after(TICK_MS, tick)
    onTick?.()
    if (slept > ASLEEP_MS || !isListening()) {
      startAnew()
      if (slept > ASLEEP_MS) onWake()
      return
    }
    ticks += 1
    if (ticks % PING_TICKS === 0) ping()
  }

  function ping(): void {
    if (unanswered >= MAX_UNANSWERED) {
      startAnew()
      return onDead()
    }
    unanswered += 1
    void gatewayClient.call('ping', {}).then((outcome) => {
      // an error is an answer too, such as that of a target that does not know `ping`
      if (outcome.ok || outcome.failure === undefined) unanswered = 0
    })
  }

  function startAnew(): void {
    ticks = 0
    unanswered = 0
  }

  return () => cancel()
}

/** What ends the bridge: the host closed our stdin, a signal came, the host died, or an error of ours. */
type Ending = 'stdin' | 'signal' | 'parent' | 'fault'

interface EndWatch {
  /** Resolves with the first of these things that happens. */
  readonly ended: Promise<Ending>
  /** Looks whether the host still lives: on some systems neither a signal nor a pipe tells that it died. */
  checkParent(): void
  stop(): void
}

/** Watches for all that ends the bridge. Signals no longer end the process by themselves. */
export function watchForEnd(
  runtime: Pick<Runtime, 'io' | 'onFault' | 'onSignal' | 'system'>,
  logger: Logger,
): EndWatch {
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
