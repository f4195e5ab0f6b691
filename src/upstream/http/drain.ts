import type { UpstreamController } from '../upstream.js'

/** For the end of an answer that nobody reads, so that its connection can be used again. */
export const DRAIN_MS = 5_000

const MAX_BYTES = 64 * 1024

/** A body that comes drop by drop is no end. */
const MAX_PIECES = 32

/** The rest of an answer that nobody reads: it may end soon, or it is given up. */
export class Drain {
  readonly #controller: UpstreamController
  #bytes = 0
  #pieces = 0

  /** @param type The answer's content type. */
  constructor(controller: UpstreamController, type: string | string[] | undefined) {
    this.#controller = controller
    // a stream is there to stay open
    if (/^\s{0,9}text\/event-stream/i.test(String(type ?? ''))) this.#giveUp()
  }

  take(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#pieces += 1
    if (this.#bytes > MAX_BYTES || this.#pieces > MAX_PIECES) this.#giveUp()
  }

  #giveUp(): void {
    this.#controller.abort(new Error('nobody reads this answer'))
  }
}
