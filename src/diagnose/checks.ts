import { authChecks } from './auth-checks.js'
import { budgetCheck, callChecks, type WantedCall } from './call-checks.js'
import type { Check } from './check.js'
import { contentsChecks } from './contents-checks.js'
import { createLists } from './lists.js'
import type { Probe } from './probe.js'
import { protocolChecks } from './protocol-checks.js'
import { reachChecks } from './reach-checks.js'
import { registrationChecks } from './registration-checks.js'
import { schemaCheck } from './schema-check.js'
import { sessionChecks } from './session-checks.js'
import { tokenChecks } from './token-checks.js'

export interface ChecksOptions {
  calls: readonly WantedCall[]
  /** Milliseconds; without it, the speed is not checked. */
  p95Ms: number | undefined
  /** Also checks what only people want to know. */
  forPeople: boolean
}

/** Creates all checks of a target, each after those that it needs. */
export function createChecks(probe: Probe, { calls, p95Ms, forPeople }: ChecksOptions): Check[] {
  const lists = createLists(probe)
  return [
    ...reachChecks(probe),
    ...authChecks(probe),
    ...(forPeople ? registrationChecks(probe) : []),
    ...tokenChecks(probe),
    ...protocolChecks(probe),
    ...(forPeople ? sessionChecks(probe) : []),
    ...contentsChecks(lists),
    ...callChecks(probe, lists, calls),
    schemaCheck(probe, lists),
    ...(p95Ms === undefined ? [] : [budgetCheck(probe, p95Ms, probe.clock)]),
  ]
}
