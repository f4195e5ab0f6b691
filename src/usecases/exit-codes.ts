import type { CheckReport, FailureCode } from '../diagnose/check.js'
import { type ErrorCode, ProxyError } from '../util/errors.js'

/** Exit statuses, the same for every command. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  signInNeeded: 3,
  unreachable: 4,
  toolFailed: 5,
  protocolInvalid: 6,
  interrupted: 130,
} as const

/** The exit status of each error; a new code without one does not compile. */
export const STATUS_OF: Readonly<Record<ErrorCode, number>> = {
  CONFIG_INVALID: EXIT.usage,
  USAGE: EXIT.usage,
  DISCOVERY_INVALID: EXIT.usage,
  SIGN_IN_REQUIRED: EXIT.signInNeeded,
  SIGN_IN_FAILED: EXIT.signInNeeded,
  CREDENTIAL_REFUSED: EXIT.signInNeeded,
  ISSUER_UNREACHABLE: EXIT.unreachable,
  TARGET_UNREACHABLE: EXIT.unreachable,
  TOOL_FAILED: EXIT.toolFailed,
  TARGET_FAILED: EXIT.protocolInvalid,
  PROTOCOL_INVALID: EXIT.protocolInvalid,
  LISTEN_FAILED: EXIT.failed,
  CHECK_FAILED: EXIT.failed,
  INTERNAL: EXIT.failed,
  INTERRUPTED: EXIT.interrupted,
}

/** When several statuses apply, the first of these counts. */
const PRECEDENCE: readonly number[] = [
  EXIT.interrupted,
  EXIT.usage,
  EXIT.unreachable,
  EXIT.signInNeeded,
  EXIT.protocolInvalid,
  EXIT.toolFailed,
  EXIT.failed,
]

/** Picks the one exit status when several things went wrong; 0 when nothing did. */
export function worstStatus(statuses: Iterable<number>): number {
  const all = new Set(statuses)
  return PRECEDENCE.find((status) => all.has(status)) ?? [...all].find((status) => status > 0) ?? 0
}

/** Ends a command with a status when everything was printed already. */
export class SilentExit extends Error {
  readonly status: number

  constructor(status: number) {
    super(`exit ${status}`)
    this.name = 'SilentExit'
    this.status = status
  }
}

/**
 * Ends a command's action with a status; does nothing for 0.
 *
 * @throws {SilentExit}
 */
export function exitWith(status: number): void {
  if (status !== EXIT.ok) throw new SilentExit(status)
}

/** Picks the failure whose exit status counts when there are several. */
export function worstOf(failures: readonly FailureCode[]): FailureCode | undefined {
  const status = worstStatus(failures.map((code) => STATUS_OF[code]))
  return failures.find((code) => STATUS_OF[code] === status)
}

/** Makes the error that programs get on stderr, beside the document on stdout. */
export function failureOf(checks: readonly CheckReport[], worst: FailureCode): ProxyError {
  const failed = checks.filter(({ outcome }) => outcome === 'fail')
  const names = failed.map(({ id }) => id).join(', ')
  return new ProxyError(worst, names === '' ? 'There are warnings' : `Failed: ${names}`, {
    hint: failed[0]?.hint ?? 'Run it without --json to read what is wrong.',
  })
}
