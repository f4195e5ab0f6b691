import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
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
        const { data } = readEvent(run.toString('utf8', start, end))
        const message = data ? tryParseJson(data) : undefined
        if (isObject(message) && ('result' in message || 'error' in message)) {
          this.response ??= message
        }
        start = end
      }
    })
    return this.response !== undefined
  }
}
