import { messageOf } from './errors.js'
import type { Logger } from './logger.js'
import type { Runtime } from './runtime.js'

/**
 * Keeps errors that nothing caught from ending the process at once. What such an error broke is not
 * known, so that the process has to end, but in order.
 *
 * @param follows Says what happens then.
 * @returns Resolves with the first such error, which was logged; later ones are left out, since one
 *   of a timer may come again and again.
 */
export function firstFault(
  { onFault }: Pick<Runtime, 'onFault'>,
  logger: Logger,
  follows: string,
): Promise<void> {
  return new Promise((resolve) => {
    let isFirst = true
    onFault((error) => {
      if (!isFirst) return
      isFirst = false
      resolve()
      const stack = error instanceof Error ? error.stack : undefined
      const text = `An error that nothing caught, which is a mistake in this program: ${messageOf(error)}; ${follows}`
      logger.error('uncaught_error', text, { stack })
    })
  })
}
