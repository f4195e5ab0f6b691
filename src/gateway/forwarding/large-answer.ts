import type { Awaited } from '../../mcp/incoming.js'
import type { Reply } from '../exchange.js'
import { idInHead, mendTail } from './answer-check.js'

/** Bytes kept back: most serializers write the id and the version behind the result. */
const TAIL_BYTES = 256

const HEAD_BYTES = 256

/**
 * Passes an answer on to the client as it is received, since it is too large to be parsed and needs no
 * change. The target is read only as fast as the client reads.
 */
export class LargeAnswer {
  readonly #reply: Reply
  readonly #awaited: Awaited
  #tail: Buffer = Buffer.alloc(0)

  private constructor(reply: Reply, awaited: Awaited) {
    this.#reply = reply
    this.#awaited = awaited
  }

  /**
   * Opens the answer to the client.
   *
   * @param start The answer's beginning.
   * @returns `undefined` when the answer has to be checked as a whole.
   */
  static open(start: Buffer, reply: Reply, awaited: Awaited): LargeAnswer | undefined {
    const head = start.toString('latin1', 0, HEAD_BYTES)
    if (!head.trimStart().startsWith('{')) return undefined
    const written = idInHead(head)
    if (written !== undefined && written !== awaited.idText()) return undefined
    if (reply.openBody?.() !== true) return undefined
    const answer = new LargeAnswer(reply, awaited)
    answer.write(start)
    return answer
  }

  /** Writes a piece; returns false when the client reads too slowly. */
  write(chunk: Buffer): boolean {
    if (chunk.length < TAIL_BYTES) {
      const all = Buffer.concat([this.#tail, chunk])
      const ready = Math.max(0, all.length - TAIL_BYTES)
      this.#tail = all.subarray(ready)
      return ready === 0 || this.#reply.write(all.subarray(0, ready))
    }
    if (this.#tail.length > 0) this.#reply.write(this.#tail)
    const ready = chunk.length - TAIL_BYTES
    // a copy, so that the whole chunk can be freed
    this.#tail = Buffer.from(chunk.subarray(ready))
    return ready === 0 || this.#reply.write(chunk.subarray(0, ready))
  }

  /** @returns False when the answer was not a whole message, of which a part was sent already. */
  end(): boolean {
    const tail = this.#tail.toString('latin1')
    if (!tail.trimEnd().endsWith('}')) return false
    this.#reply.write(Buffer.from(mendTail(tail, this.#awaited), 'latin1'))
    this.#reply.endStream()
    return true
  }
}
