import type { Check } from '../check.js'
import { createLists } from '../lists.js'
import type { Probe } from '../probe.js'
import { authChecks } from './auth.js'
import { budgetCheck, callChecks, type WantedCall } from './call.js'
import { contentsChecks } from './contents.js'
import { protocolChecks, schemaCheck } from './protocol.js'
import { reachChecks } from './reach.js'
import { registrationChecks } from './registration.js'
import { sessionChecks } from './session.js'
import { tokenChecks } from './token.js'

export interface ChecksOptions {
  calls: readonly WantedCall[]
  /** Milliseconds; without it, the speed is not checked. */
  p95Ms: number | undefined
  /** Adds checks that inform people and are no criteria. */
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
