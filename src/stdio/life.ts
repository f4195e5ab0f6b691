import { firstFault } from '../util/fault.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'

/** What ends the bridge: the host closed our stdin, a signal came, the host died, or a mistake of ours. */
export type Ending = 'stdin' | 'signal' | 'parent' | 'fault'

type LifeRuntime = Pick<Runtime, 'io' | 'onFault' | 'onSignal' | 'system'>

/** Watches for all that ends the bridge. */
export interface Life {
  /** Resolves once, with the first thing that happened. */
  readonly ended: Promise<Ending>
  /** Looks whether the host still lives. Where signals and pipes tell nothing, only this does. */
  look(): void
  stop(): void
}

/** Starts watching. Signals no longer end the process by themselves. */
export function watchLife(runtime: LifeRuntime, logger: Logger): Life {
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
    look() {
      if (parent === undefined) return
      if (system.parentPid !== parent || !system.isAlive(parent)) end('parent')
    },
    stop,
  }
}
