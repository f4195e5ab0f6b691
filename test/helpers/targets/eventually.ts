import { vi } from 'vitest'

/** Tries again until it does not throw, for up to ten seconds. */
export function eventually<T>(attempt: () => T | Promise<T>, timeout = 10_000): Promise<T> {
  return vi.waitFor(attempt, { timeout, interval: 10 })
}
