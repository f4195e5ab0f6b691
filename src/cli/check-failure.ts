import type { CheckReport, FailureCode } from '../diagnose/check.js'
import { ProxyError } from '../util/errors.js'
import { STATUS_OF, worstStatus } from './exit.js'

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
