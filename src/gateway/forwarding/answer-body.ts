import type { Awaited } from '../../mcp/incoming.js'
import { memberText } from '../../mcp/json-text.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import { MAX_MESSAGE_BYTES } from '../../mcp/limits.js'
import { writeEvent } from '../../mcp/sse.js'
import { MAX_REFUSAL_BYTES } from '../../upstream/answer-limits.js'
import { HeldBytes, UNCOUNTED_BYTES } from '../../util/memory-budget.js'
import { decodeUtf8 } from '../../util/text.js'
import { checkAnswer, MAX_PARSED_BYTES, mendAnswer } from './answer-check.js'
import type { AnswerListener, TargetAnswerHead, UpstreamSend } from './upstream-send.js'

/** Node sends a short string in one packet with the head, which is faster than a buffer after it. */
const MAX_TEXT_BYTES = 4096

/** What follows from a piece of an answer. */
export type Kept = 'more' | 'pause' | 'too large' | 'no room'

/**
 * The body of an answer: collected, counted in what all answers may hold together, or handed on piece
 * by piece where it is large and its listener can use it so.
 */
export class AnswerBody implements Awaited {
  readonly #listener: AnswerListener
  readonly #send: UpstreamSend
  #held: HeldBytes | undefined
  #chunks: Buffer[] = []
  #bytes = 0
  #isLarge: boolean | undefined

  constructor(send: UpstreamSend, listener: AnswerListener) {
    this.#send = send
    this.#listener = listener
  }

  get id(): RequestId | undefined {
    return this.#send.id
  }

  idText(): string {
    const { id, body } = this.#send
    return (body && memberText(body.toString(), 'id')) ?? JSON.stringify(id)
  }

  /** It went on piece by piece, and there is nothing to be read as a whole. */
  get isLarge(): boolean {
    return this.#isLarge === true
  }

  keep(chunk: Buffer, status: number): Kept {
    if (this.#isLarge) return this.#listener.piece?.(chunk) === false ? 'pause' : 'more'
    this.#bytes += chunk.length
    if (this.#bytes > (status < 400 ? MAX_MESSAGE_BYTES : MAX_REFUSAL_BYTES)) return 'too large'
    this.#chunks.push(chunk)
    if (!this.hold(this.#bytes)) return 'no room'
    if (this.#bytes > MAX_PARSED_BYTES && this.#isLarge === undefined) this.#offer(status)
    return 'more'
  }

  #offer(status: number): void {
    const start = this.whole()
    this.#isLarge = status === 200 && this.#listener.large?.(start) === true
    this.#chunks = this.#isLarge ? [] : [start]
    if (this.#isLarge) this.hold(0)
  }

  whole(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks)
  }

  /** Counts this many bytes as held in memory; false when there is no room for them. */
  hold(bytes: number): boolean {
    const { memory } = this.#send.target
    if (memory === undefined) return true
    if (this.#held === undefined && bytes <= UNCOUNTED_BYTES) return true
    this.#held ??= new HeldBytes(memory)
    return this.#held.set(bytes)
  }

  /**
   * Passes on a whole JSON answer, repaired where that is needed and possible.
   *
   * @returns What is wrong with it when it cannot be passed on.
   */
  pass(status: number, head: TargetAnswerHead): string | undefined {
    const body = this.whole()
    const text = body.length <= MAX_TEXT_BYTES ? decodeUtf8(body) : undefined
    const problem = checkAnswer(body, this.#send.id as RequestId, text)
    if (problem === undefined) {
      this.#listener.answer(status, body, head, text)
      return undefined
    }
    const mended = mendAnswer(body, this)
    if (mended === undefined) return problem
    if (mended.before.length === 0) {
      this.#listener.answer(status, Buffer.from(mended.response), head)
      return undefined
    }
    this.#listener.streaming(head)
    for (const message of [...mended.before, mended.response]) {
      const event = Buffer.from(writeEvent(message))
      this.#listener.events(event, [event.length])
    }
    this.#listener.streamEnded()
    return undefined
  }

  clear(): void {
    this.#chunks = []
    this.#bytes = 0
    this.hold(0)
  }
}
