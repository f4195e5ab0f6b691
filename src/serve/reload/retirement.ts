import type { Target } from '../../gateway/target.js'
import type { Clock } from '../../util/runtime.js'
import type { App } from '../app.js'

const LOOK_MS = 250

/** A request that came before may not have named its target yet: its body, or a list, was on the way. */
const UNDECIDED_MS = 60_000

type Retired = Pick<Target, 'use' | 'upstream'>

/** Closes the connections and processes of targets that are gone once nobody uses them any more. */
export function createRetirement(clock: Clock) {
  /** Those before the one in force that still have requests. */
  let apps: readonly Pick<App, 'busy'>[] = []
  const waiting = new Set<Retired>()

  function retire(target: Retired, before: readonly Pick<App, 'busy'>[], since: number): void {
    const isDecided =
      before.every(({ busy }) => busy() === 0) || clock.now() - since >= UNDECIDED_MS
    if (isDecided && target.use.calls === 0) {
      waiting.delete(target)
      void target.upstream.close().catch(() => undefined)
    } else if (waiting.has(target)) clock.after(LOOK_MS, () => retire(target, before, since))
  }

  return {
    /** @param app The one that was in force. */
    add(app: Pick<App, 'busy'>, targets: readonly Retired[]): void {
      apps = [...apps.filter(({ busy }) => busy() > 0), app]
      for (const target of targets) {
        waiting.add(target)
        retire(target, apps, clock.now())
      }
    },

    closeAll(): Promise<void>[] {
      const all = [...waiting]
      waiting.clear()
      return all.map(({ upstream }) => upstream.close())
    },
  }
}
