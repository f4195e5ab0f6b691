import { UpstreamError } from '../http/failure.js'
import { messageOf } from '../util/errors.js'
import { isDeeper } from '../util/json.js'
import type { Peer } from './peer.js'

/** Deeper messages are refused from clients, and no result of a tool comes near. */
const MAX_DEPTH = 1_000

/**
 * Gives a peer what was written to us.
 *
 * @returns Why it cannot be handled: whoever wrote it is not to be talked with any more.
 */
export function problemWith(data: string, peer: Pick<Peer, 'take'>): UpstreamError | undefined {
  if (isDeeper(data, MAX_DEPTH)) return unreadable(`nested deeper than ${MAX_DEPTH}`)
  try {
    peer.take(data)
    return undefined
  } catch (error) {
    return unreadable(messageOf(error))
  }
}

function unreadable(why: string): UpstreamError {
  const reason = `its process wrote what cannot be read (${why}), and was ended`
  return new UpstreamError('invalid_answer', reason)
}

/** A process that does not answer its first request in time. */
export function slowStart(ms: number): UpstreamError {
  const reason = `its process did not answer within ${ms / 1000} s of its start`
  return new UpstreamError('timeout', reason)
}
