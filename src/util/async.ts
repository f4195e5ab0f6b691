import type { Clock } from './runtime.js'

/** Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve()
      return
    }
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(ms, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/**
 * Returns a function that runs `task` at most once at a time: callers that come while it runs get
 * the running promise.
 */
export function singleFlight<T>(task: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  return () => {
    running ??= task().finally(() => {
      running = undefined
    })
    return running
  }
}

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
