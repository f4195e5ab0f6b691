import type { afterAll, afterEach } from 'vitest'

interface Closable {
  close(): unknown
}

/**
 * Gives a function that takes what a test opened, and closes it after each test or after all:
 * where tests run together, `afterEach` of one would close what another one still uses.
 */
export function keepUntil(end: typeof afterEach | typeof afterAll) {
  const open: Closable[] = []
  end(async () => {
    for (const closable of open.splice(0).reverse()) await closable.close()
  })
  return <T extends Closable>(closable: T): T => {
    open.push(closable)
    return closable
  }
}
