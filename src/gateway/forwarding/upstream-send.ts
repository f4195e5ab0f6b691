import type { Caller } from '../../auth/credentials/credential.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import type { AskedInPlace } from '../connecting/in-place.js'
import type { Target } from '../target.js'
import type { TargetFailure } from './target-failure.js'

/** A request to a target. */
export interface UpstreamSend {
  target: Target
  caller: Caller
  /** What the client said of itself, for whoever answers in the target's place. */
  client?: AskedInPlace['client']
  method: 'POST' | 'GET' | 'DELETE'
  /** Names and values in turn, without the credential. */
  headers: readonly string[]
  body?: string | Buffer
  /** The id that the answer must carry; absent for notifications, GET and DELETE. */
  id?: RequestId | undefined
  /** Whether the request carries a session of the target. */
  inSession: boolean
  /** The response is a stream that stays open. */
  isStream?: boolean
  /** Milliseconds without any data after which the request fails; 0 for streams. */
  timeoutMs: number
}

/** A response's headers. */
export type HeaderFields = Readonly<Record<string, string | string[] | undefined>>

/** Gets exactly one of `answer`, `accepted`, `failed`, or `streaming` and then its events. */
export interface AnswerListener {
  /** Handles a body that equals one seen before; false has it checked and passed to `answer`. */
  known?(body: Buffer): boolean
  /**
   * A whole, checked JSON answer: 200, or a JSON-RPC error under its 4xx status. `text` is the same
   * decoded, when it is short.
   */
  answer(status: number, body: Buffer, head: HeaderFields, text?: string): void
  /**
   * Takes over an answer that is too large to be parsed and needs no change: each `piece` then comes
   * as it is received. False has the answer collected.
   *
   * @param start The answer's beginning.
   */
  large?(start: Buffer): boolean
  /** The next piece of such an answer; returns false to be paused. */
  piece?(chunk: Buffer): boolean
  largeEnded?(): void
  /** The target accepted a notification or a DELETE. */
  accepted(status: number): void
  streaming(head: HeaderFields): void
  /** Whole events; returns false to be paused. */
  events(run: Buffer, ends: readonly number[]): boolean
  streamEnded(): void
  /** There is no answer, or the stream broke off. */
  failed(failure: TargetFailure): void
}
