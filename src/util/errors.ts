import type { Logger } from './logger.js'
import type { Runtime } from './runtime.js'

/**
 * What went wrong, as a stable word. Handlers switch on it, never on the text; `usecases/exit-codes.ts`
 * gives each one its exit status.
 */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'USAGE'
  | 'LISTEN_FAILED'
  | 'DISCOVERY_INVALID'
  | 'ISSUER_UNREACHABLE'
  | 'SIGN_IN_REQUIRED'
  | 'SIGN_IN_FAILED'
  | 'TARGET_UNREACHABLE'
  | 'TARGET_FAILED'
  | 'CREDENTIAL_REFUSED'
  | 'PROTOCOL_INVALID'
  | 'TOOL_FAILED'
  | 'CHECK_FAILED'
  | 'INTERRUPTED'
  | 'INTERNAL'

export interface ProxyErrorOptions {
  /** What the reader can do next: one imperative sentence, with the exact command if there is one. */
  hint?: string
  /** The error that led here. Printed only with `--log-level debug`. */
  cause?: unknown
}

/**
 * Base of every error this package throws on purpose.
 *
 * `message` says what failed and on what; `hint` says what to do about it. Neither ever holds a
 * token, a secret or a URL query.
 */
export class ProxyError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, { hint, cause }: ProxyErrorOptions = {}) {
    super(message, { cause })
    this.name = new.target.name
    this.code = code
    this.hint = hint
  }
}

const MISSING =
  'A part of this program is missing. It was updated or removed while it ran, or is not installed whole: start it again, or install it anew'

/**
 * Returns the message of anything that was thrown. What is loaded only when it is needed may be gone by
 * then: Node names the file, but not why.
 */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (!isMissingPart(error)) return error.message
  return `${MISSING} (${error.message.replace(/ imported from .*$/s, '')})`
}

/** Tells whether a file of the program or a package could not be loaded. */
export function isMissingPart(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
}

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
