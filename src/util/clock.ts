import type { Clock } from './runtime.js'

/** Makes the real clock. */
export function createClock(): Clock {
  return {
    now: () => Date.now(),
    after(ms, callback) {
      // biome-ignore lint/style/noRestrictedGlobals: this is where the timers come from
      const timer = setTimeout(callback, ms).unref()
      return () => clearTimeout(timer)
    },
  }
}
