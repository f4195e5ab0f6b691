/**
 * What went wrong, as a stable word. Handlers switch on it, never on the text; `cli/exit.ts` gives
 * each one its exit status.
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

/** Returns the message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
