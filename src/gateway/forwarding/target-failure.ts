import { type SignInNeed, SignInRequiredError } from '../../auth/tokens/token-store.js'
import { ERROR_CODES, type WireError } from '../../mcp/jsonrpc.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import { type FailureCause, mayRepeat } from '../../util/failure.js'
import type { Breaker } from '../breaker.js'

/** Why a target gave no usable answer. */
export interface TargetFailure {
  cause: FailureCause
  target: string
  /** What happened, as the end of a sentence that begins with the target's name. */
  reason: string
  /** What clients are told instead, where `reason` names hosts of an inner network. */
  told?: string
  httpStatus?: number
  /** Seconds or an HTTP date, as the target wrote it. */
  retryAfter?: string
  /** Which sign-in is needed, for the cause `sign_in_required` and for no other. */
  need?: SignInNeed
  /** The JSON-RPC error that the target gave with its status, if it gave one. */
  answer?: { status: number; body: Buffer }
}

/** A server may hide what it has from those whom it does not admit. */
const NOWHERE = ': nothing is at its URL, or it does not admit this account'

/** The cause that clients are told, where ours is about the target's session and not about theirs. */
const CLIENT_CAUSE: Partial<Record<FailureCause, FailureCause>> = {
  session_lost: 'http_status',
  session_required: 'http_status',
}

/** Tells whether the target itself said that the session is gone; without a status, nothing was sent. */
export function isForgotten({ cause, httpStatus }: TargetFailure): boolean {
  return cause === 'session_lost' && httpStatus !== undefined
}

/**
 * Makes the JSON-RPC error that a client gets for a target's failure.
 *
 * @param requestId Identifies the request in our log.
 */
export function failureError(
  { cause, target, reason, told = reason, httpStatus, retryAfter }: TargetFailure,
  requestId?: string,
): WireError {
  const data: Record<string, unknown> = { target, cause: CLIENT_CAUSE[cause] ?? cause }
  if (httpStatus !== undefined) data['httpStatus'] = httpStatus
  if (retryAfter !== undefined) data['retryAfter'] = retryAfter
  if (mayRepeat({ cause, httpStatus })) data['retryable'] = true
  if (requestId !== undefined) data['requestId'] = requestId
  const isNowhere = cause === 'http_status' && httpStatus === 404
  const message = `Target "${target}": ${told}${isNowhere ? NOWHERE : ''}`
  return { code: ERROR_CODES.internalError, message, data }
}

/** Makes the failure of a request that could not be sent, since its credential could not be had. */
export function credentialFailure(target: string, error: unknown): TargetFailure {
  const reason = error instanceof ProxyError ? hinted(error) : `no credential: ${messageOf(error)}`
  if (error instanceof SignInRequiredError) {
    return { cause: 'sign_in_required', target, reason, need: error.need }
  }
  const isPassing = error instanceof ProxyError && error.code === 'ISSUER_UNREACHABLE'
  return { cause: isPassing ? 'unreachable' : 'refused_credential', target, reason }
}

/** Makes the failure of a request that is not sent now, if its target was not reached lately. */
export function heldBack({ name, breaker }: HeldBack): TargetFailure | undefined {
  const waitMs = breaker?.wait() ?? 0
  if (waitMs === 0) return undefined
  const retryAfter = String(Math.max(1, Math.ceil(waitMs / 1000)))
  const reason = 'it was not reached several times in a row, and is tried again soon'
  return { cause: 'unreachable', target: name, reason, retryAfter }
}

/** What of a target says whether requests are sent to it. */
interface HeldBack {
  readonly name: string
  readonly breaker?: Pick<Breaker, 'wait'> | undefined
}

/** Says what failed and what to look at, for whoever reads the log or the client's message. */
function hinted({ message, hint }: ProxyError): string {
  return hint === undefined ? message : `${message} — ${hint}`
}
