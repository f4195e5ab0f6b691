import type { TargetFailure } from '../gateway/failure.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { Host } from './host.js'
import type { Link } from './link.js'
import type { Memory } from './memory.js'
import type { OpenRequest, OpenRequests } from './requests.js'
import type { BridgeSession } from './session.js'

/**
 * - `starting`: the host did not say `initialize` yet
 * - `connecting`: the target was asked and did not answer yet
 * - `ready`: messages go to the target
 * - `signing-in`: they wait for somebody to sign in
 * - `degraded`: the target cannot be reached, and we go on trying
 */
export type Phase = 'starting' | 'connecting' | 'ready' | 'signing-in' | 'degraded' | 'closing'

export interface ConnectionOptions {
  clock: Clock
  logger: Logger
  random: () => number
  host: Host
  link: Link
  session: BridgeSession
  memory: Memory
  requests: OpenRequests
  /** Name of the target, for people. */
  target: string
  /** The host waits for the sign-in instead of getting an answer of ours. */
  waitForLogin: boolean
  /** Messages may go to the target from now on. @param isConnected It was just asked. */
  onReady(isConnected: boolean): void
  /** Somebody has to sign in; `request` waits for that. */
  onSignInNeeded(request: OpenRequest | undefined): void
  onUnreachable(failure: TargetFailure): void
}

const MAY_PASS: ReadonlySet<string> = new Set(['unreachable', 'timeout', 'cut_off'])

/** Tells whether a failure to connect may be over by itself. */
export function mayPass({ cause, httpStatus = 0 }: TargetFailure): boolean {
  return MAY_PASS.has(cause) || httpStatus === 429 || httpStatus >= 500
}

/** The failure of a target that answers, and wants no conversation. */
export function refusal(target: string): TargetFailure {
  return { cause: 'invalid_answer', target, reason: 'it refused initialize' }
}
