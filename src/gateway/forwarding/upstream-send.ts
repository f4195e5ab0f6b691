import type { Caller } from '../../auth/credentials/credential.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import type { Target } from '../target.js'
import type { TargetFailure } from './target-failure.js'

/** What we send to a target. */
export interface UpstreamSend {
  target: Target
  caller: Caller
  method: 'POST' | 'GET' | 'DELETE'
  /** Names and values in turn, without the credential. */
  headers: readonly string[]
  body?: string | Buffer
  /** The id that the answer must carry; absent for notifications, GET and DELETE. */
  id?: RequestId | undefined
  /** Whether the request carries a session of the target. */
  inSession: boolean
  /** The answer is a stream that stays open. */
  isStream?: boolean
  /** Milliseconds without a sign of life after which a target is given up; 0 for streams. */
  timeoutMs: number
}

/** Response headers of the target that matter to us. */
export interface TargetAnswerHead {
  sessionId: string | undefined
  cookies?: string | string[] | undefined
}

/** Gets exactly one of `answer`, `accepted`, `failed`, or `streaming` and then its events. */
export interface AnswerListener {
  /** Takes an answer that it has seen before; false leaves it to be checked. */
  known?(body: Buffer): boolean
  /**
   * A whole, checked JSON answer: 200, or a JSON-RPC error under its 4xx status. `text` is the same
   * decoded, when it is short.
   */
  answer(status: number, body: Buffer, head: TargetAnswerHead, text?: string): void
  /**
   * Takes over an answer that is too large to be parsed and need not change: it then gets each piece
   * as it comes. False leaves it to be collected.
   *
   * @param start The answer's beginning.
   */
  large?(start: Buffer): boolean
  /** The next piece of such an answer; returns false to be paused. */
  piece?(chunk: Buffer): boolean
  largeEnded?(): void
  /** A notification or DELETE was taken. */
  accepted(status: number): void
  streaming(head: TargetAnswerHead): void
  /** Whole events; returns false to be paused. */
  events(run: Buffer, ends: readonly number[]): boolean
  streamEnded(): void
  /** Comes instead of an answer, or ends a stream. */
  failed(failure: TargetFailure): void
}
