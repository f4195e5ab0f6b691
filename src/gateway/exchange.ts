import type { Caller } from '../auth/credentials/credential.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import type { AnswerOutcome } from './forwarding/outcome.js'
import { failureError, type TargetFailure } from './forwarding/target-failure.js'

/** The way back to the client. A front door turns it into HTTP or into lines on stdout. */
export interface Reply {
  /** Sends one whole message and ends. `status` is HTTP's. */
  json(status: number, body: string | Buffer, headers?: Readonly<Record<string, string>>): void
  /**
   * Opens a message that is then written piece by piece, and ended as a stream is. False where a
   * message has to be whole.
   */
  openBody?(): boolean
  /** Ends such a message as one that is not whole. */
  breakOff?(): void
  /** Ends without a message. */
  empty(status: number): void
  /** Opens an event stream; its head leaves at once. */
  openStream(): void
  /** Sends whole events; returns false when the client reads too slowly. */
  write(events: string | Buffer): boolean
  endStream(): void
  /** Refuses a call for which the token lacks scopes (RFC 6750 §3.1). */
  insufficientScope(id: RequestId, scopes: readonly string[]): void
  watcher: ReplyWatcher | undefined
}

/** Learns what becomes of a reply. An object and not functions: a call makes one less of each. */
export interface ReplyWatcher {
  /** The client can take more after `write` returned false. */
  onDrain(): void
  /** The client left before the end. */
  onClose(): void
  /** The server stops: a stream that nobody waits for the end of may still say so. */
  onShutdown?(): void
}

/** What a request was about, for its log record. */
export interface ExchangeRecord {
  method: string
  tool: string | undefined
  target: string | undefined
  /** The failure that was answered, if any. */
  failure: TargetFailure | undefined
  /** Why we refused it ourselves, if we did: a stable word, of which there are few. */
  refusal?: string | undefined
  /** How the target's own answer ended; absent where the answer is ours. */
  outcome?: AnswerOutcome | undefined
}

/** One request of a client on its way through the gateway. */
export interface Exchange {
  readonly caller: Caller
  /** Header of the client's request, by lower-case name. */
  header(name: string): string | undefined
  /** The request's `Mcp-Param-*` and other unknown `Mcp-*` headers, names and values in turn. */
  extraHeaders(): string[]
  readonly reply: Reply
  readonly record: ExchangeRecord
  /** Of the request that the message is. */
  readonly id?: RequestId | undefined
  /** Where it stands until it has ended. */
  listed?: Set<Exchange>
  /** Names the request in logs, to the client and to the target; absent in the bridge. */
  readonly requestId?: string
  /**
   * Learns of a failure before it is answered.
   *
   * @returns True when it was taken over, so that nothing is answered.
   */
  intercept?(failure: TargetFailure): boolean
  /** Learns of a target that is left out of an answer from several. */
  leftOut?(failure: TargetFailure): void
}

/**
 * Answers a failure that came before anything was sent: in band under the request's id; without an
 * id (GET, DELETE, notifications) as a gateway's own status.
 */
export function replyFailure(
  exchange: Exchange,
  id: RequestId | undefined,
  failure: TargetFailure,
): void {
  exchange.record.failure = failure
  if (exchange.intercept?.(failure)) return
  const { reply } = exchange
  const body = errorResponse(id ?? null, failureError(failure, exchange.requestId))
  if (failure.cause === 'session_lost') return reply.json(404, body)
  if (failure.answer !== undefined) return reply.json(failure.answer.status, failure.answer.body)
  if (id !== undefined) return reply.json(200, body)
  if (failure.httpStatus === 404 || failure.httpStatus === 405) {
    return reply.json(failure.httpStatus, body)
  }
  reply.json(failure.cause === 'timeout' ? 504 : 502, body)
}
