import { authChecks } from './auth-checks.js'
import { budgetCheck, callChecks, type WantedCall } from './call-checks.js'
import type { Check } from './check.js'
import { contentsChecks } from './contents-checks.js'
import { createLists } from './lists.js'
import type { Probe } from './probe.js'
import { protocolChecks } from './protocol-checks.js'
import { reachChecks } from './reach-checks.js'
import { schemaCheck } from './schema-check.js'
import { tokenChecks } from './token-checks.js'

export interface ChecksOptions {
  calls: readonly WantedCall[]
  /** Milliseconds; without it, the speed is not checked. */
  p95Ms: number | undefined
}

/** Creates all checks of a target, each after those that it needs. */
export function createChecks(probe: Probe, { calls, p95Ms }: ChecksOptions): Check[] {
  const lists = createLists(probe)
  return [
    ...reachChecks(probe),
    ...authChecks(probe),
    ...tokenChecks(probe),
    ...protocolChecks(probe),
    ...contentsChecks(lists),
    ...callChecks(probe, lists, calls),
    schemaCheck(probe, lists),
    ...(p95Ms === undefined ? [] : [budgetCheck(probe, p95Ms, probe.clock)]),
  ]
}
