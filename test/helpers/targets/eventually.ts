import { vi } from 'vitest'

/** Tries again until it does not throw, for up to ten seconds. */
export function eventually<T>(attempt: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(attempt, { timeout: 10_000, interval: 10 })
}
