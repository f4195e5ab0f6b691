import type { Caller } from '../auth/credentials/credential.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import type { Roster, Rostered } from '../util/roster.js'
import type { TraceSpan } from '../util/span.js'
import type { AnswerOutcome } from './forwarding/outcome.js'
import { failureError, type TargetFailure } from './forwarding/target-failure.js'

/** The way back to the client: an HTTP response in `serve`, lines on stdout in the bridge. */
export interface Reply {
  /** Sends one whole message and ends. `status` is HTTP's. */
  json(status: number, body: string | Buffer, headers?: Readonly<Record<string, string>>): void
  /**
   * Opens a message that is then written piece by piece, and ended with `endStream`. Returns false
   * where messages can only be sent whole.
   */
  openBody?(): boolean
  /** Ends such a message before it is complete, so that the client notices. */
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
  /**
   * Refuses a call for which the caller has to sign in once more, with a step-up (RFC 9470 §3).
   *
   * @param scopes All scopes of the call, where one is missing too.
   */
  stepUpNeeded(id: RequestId, scopes: readonly string[]): void
  watcher: ReplyWatcher | undefined
  /** An event stream is open. */
  readonly isStream?: boolean
  /** Ends an open stream from our side, in order. */
  finish?(): void
  /** What the stream is, where it stays open when the settings change. */
  stays?: StayingStream | undefined
}

/** A stream that nobody waits for the end of, as whoever keeps replies knows it. */
export interface StayingStream {
  /** What the gateways share that may take it over. */
  readonly lasting: object
  /** The gateway that looks after it. */
  readonly opener: object
}

/** Learns what becomes of a reply. An object rather than functions, so that a call allocates less. */
export interface ReplyWatcher {
  /** The client can take more after `write` returned false. */
  onDrain(): void
  /** The client left before the end. */
  onClose(): void
  /** The server stops: a stream that would stay open can be ended in order. */
  onShutdown?(): void
}

/** What a request was about, for its log record. */
export interface ExchangeRecord {
  method: string
  tool: string | undefined
  target: string | undefined
  /** The target's own name, URI or task id, whatever the method. */
  name?: string | undefined
  /** The failure that was answered, if any. */
  failure: TargetFailure | undefined
  /** Why we refused it ourselves, if we did: one of a few stable words. */
  refusal?: string | undefined
  /** The setting of the target that refused it, such as `access.roles`. */
  rule?: string | undefined
  /** How the target's answer ended; absent where we answered ourselves. */
  outcome?: AnswerOutcome | undefined
}

/** One request of a client on its way through the gateway. */
/** A request in the list of those under way. */
export interface UnderWay extends Rostered {
  readonly exchange: Exchange
  readonly list: Roster<UnderWay>
}

export interface Exchange {
  readonly caller: Caller
  /** Returns a header of the client's request, by its name in lower case. */
  header(name: string): string | undefined
  /** Returns the request's `Mcp-Param-*` and unknown `Mcp-*` headers, names and values in turn. */
  extraHeaders(): string[]
  readonly reply: Reply
  readonly record: ExchangeRecord
  /** The id of the request, where the message is one. */
  readonly id?: RequestId | undefined
  /** Where it stands among the requests under way, until it has ended. */
  underWay?: UnderWay
  /** Identifies the request in logs, to the client and to the target; absent in the bridge. */
  readonly requestId?: string
  /** Present where spans are recorded. */
  readonly span?: TraceSpan | undefined
  /**
   * Learns of a failure before it is answered.
   *
   * @returns True when the failure was taken over, so that no answer is sent.
   */
  intercept?(failure: TargetFailure): boolean
  /** Learns of a target that is left out of an answer from several. */
  leftOut?(failure: TargetFailure): void
}

/** Answers with an error of our own; without an id when the message had none, or none that is known. */
export function replyError(
  { reply }: Pick<Exchange, 'reply'>,
  id: RequestId | undefined,
  code: number,
  message: string,
  status = 200,
): void {
  reply.json(status, errorResponse(id ?? null, { code, message }))
}

/**
 * Answers with a failure that came before anything was sent: as a JSON-RPC error with the request's
 * id, or, without an id (GET, DELETE, notifications), with the HTTP status of a gateway.
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
