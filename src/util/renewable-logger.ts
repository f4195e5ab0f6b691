import type { Logger } from './logger.js'

/** A logger for all who keep one, and the way to give it other settings. */
export interface RenewableLogger {
  readonly logger: Logger
  use(next: Logger): void
}

/** Creates a logger whose settings can change: its level, its format, and what it takes out. */
export function createRenewableLogger(first: Logger): RenewableLogger {
  let current = first
  return {
    logger: {
      debug: (...record) => current.debug(...record),
      info: (...record) => current.info(...record),
      warn: (...record) => current.warn(...record),
      error: (...record) => current.error(...record),
      prepare: (...record) => current.prepare(...record),
      enabled: (level) => current.enabled(level),
    },
    use(next) {
      current = next
    },
  }
}
