import type { JsonObject } from '../util/json.js'
import { anyResponse, messageData } from './incoming.js'
import { EventSplitter, readEvent } from './sse.js'

/** Finds the response among the events of an answer. */
export class ResponseReader {
  readonly #splitter = new EventSplitter()
  response: JsonObject | undefined

  /** Takes the next bytes; returns whether the response is there. */
  read(chunk: Buffer): boolean {
    this.#splitter.push(chunk, (run, ends) => {
      let start = 0
      for (const end of ends) {
        const data = messageData(readEvent(run.toString('utf8', start, end)))
        if (data !== undefined) this.response ??= anyResponse(data)
        start = end
      }
    })
    return this.response !== undefined
  }
}
