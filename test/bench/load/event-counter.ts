import { isDeepStrictEqual } from 'node:util'
import { tryParseJson } from '../../../src/util/json.js'
import { eventData } from '../content.js'

/** Reads one event stream and counts its events while they come complete and in order. */
export class EventCounter {
  /** Events so far; it stays where the first lost, repeated or changed event was seen. */
  count = 0
  /** Nanoseconds on the machine's monotonic clock. */
  lastAt = 0n
  /** Whether an event came that was not the next one. */
  broken = false
  #text = ''

  reset(): void {
    this.count = 0
    this.lastAt = 0n
    this.broken = false
  }

  add(text: string): void {
    this.#text += text
    const before = this.count
    let start = 0
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n', start)) {
      this.#event(this.#text.slice(start, end))
      start = end + 2
    }
    this.#text = this.#text.slice(start)
    if (this.count > before) this.lastAt = process.hrtime.bigint()
  }

  #event(text: string): void {
    const data = text.startsWith('event: message\ndata: ')
      ? text.slice(21)
      : /^data: ?(.+)$/m.exec(text)?.[1]
    if (data === undefined) return // a comment: heartbeat
    const expected = eventData(this.count)
    this.broken ||=
      data !== expected && !isDeepStrictEqual(tryParseJson(data), JSON.parse(expected))
    if (!this.broken) this.count += 1
  }
}
