import type { Clock } from './runtime.js'

/** Resolves after `ms` milliseconds, or at once when `signal` aborts. Never rejects. */
export function sleep(
  clock: Pick<Clock, 'after'>,
  ms: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
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

/** Grows from `firstMs` to `lastMs`, doubling. */
export interface Backoff {
  /** Gives the next pause, milliseconds: up to half as much again by chance. */
  next(): number
  reset(): void
}

/** @param random As `Math.random`. */
export function createBackoff(firstMs: number, lastMs: number, random: () => number): Backoff {
  let ms = firstMs
  return {
    next() {
      const pause = ms
      ms = Math.min(ms * 2, lastMs)
      return Math.min(pause + (random() * pause) / 2, lastMs)
    },
    reset() {
      ms = firstMs
    },
  }
}

/** The three forms of an HTTP date begin with the day of the week. */
const HTTP_DATE = /^[A-Z][a-z]{2,8},? /

/**
 * Reads `Retry-After`: seconds, or an HTTP date.
 *
 * @param now Milliseconds since the epoch.
 * @returns Milliseconds from now, at most an hour; `undefined` when it says nothing.
 * @see [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)
 */
export function parseRetryAfter(value: string | null | undefined, now: number): number | undefined {
  if (value == null) return undefined
  const isDate = HTTP_DATE.test(value)
  if (!isDate && !/^\d{1,9}$/.test(value)) return undefined
  const ms = isDate ? Date.parse(value) - now : Number(value) * 1_000
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), 3_600_000)
}
