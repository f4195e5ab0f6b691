import { UpstreamError } from '../../http/failure.js'
import type { UpstreamController, UpstreamHandler } from '../../http/pool.js'
import { isObject, tryParseJson } from '../../util/json.js'
import type { RequestId } from '../jsonrpc.js'
import { EventSplitter, readEvent } from '../sse.js'
import type { Head } from './exchange.js'

/** What comes of one request to the target. Exactly one of `responded`, `refused`, `failed` is last. */
export interface ModernAnswerListener {
  started?(controller: UpstreamController): void
  /** The answer comes as an event stream. */
  streaming?(): void
  /** A message that precedes the response, or goes without one. */
  notified(text: string): void
  /** A comment on the stream, which keeps connections open. */
  kept?(bytes: Buffer): void
  /** The JSON-RPC response. */
  responded(text: string): void
  /** Another status than 200, or no MCP message. */
  refused(status: number, headers: Head, body: Buffer): void
  failed(error: Error): void
}

const MAX_BYTES = 64 * 1024 * 1024

/** Reads one answer of a server of 2026-07-28. */
export class ModernAnswer implements UpstreamHandler {
  readonly #id: RequestId
  readonly #listener: ModernAnswerListener
  #controller: UpstreamController | undefined
  #splitter: EventSplitter | undefined
  #status = 0
  #head: Head = {}
  #body: Buffer[] = []
  #bytes = 0
  #isOver = false
  #reason: Error | undefined

  /** @param id Of the request, which its response must carry. */
  constructor(id: RequestId, listener: ModernAnswerListener) {
    this.#id = id
    this.#listener = listener
  }

  /** Gives the request up at the target; the listener hears nothing more. */
  abort(reason: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
    if (this.#reason !== undefined) controller.abort(this.#reason)
    else this.#listener.started?.(controller)
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: Head): void {
    if (this.#isOver || status < 200) return
    this.#status = status
    this.#head = headers
    const type = String(headers['content-type'] ?? '').toLowerCase()
    if (status !== 200 || !type.startsWith('text/event-stream')) return
    this.#splitter = new EventSplitter()
    this.#listener.streaming?.()
  }

  onResponseData(_controller: UpstreamController, chunk: Buffer): void {
    if (this.#isOver) return
    if (this.#splitter === undefined) return this.#keep(chunk)
    try {
      this.#splitter.push(chunk, (run, ends) => {
        let start = 0
        for (const end of ends) {
          this.#event(run.subarray(start, end))
          start = end
        }
      })
    } catch {
      this.#fail('invalid_answer', 'its event stream cannot be read')
    }
  }

  #keep(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > MAX_BYTES) this.#fail('invalid_answer', 'its answer is too large')
    else this.#body.push(chunk)
  }

  #event(bytes: Buffer): void {
    if (this.#isOver) return
    const { data, id, retry } = readEvent(bytes.toString('utf8'))
    if (!data) {
      // streams of this era cannot be resumed, whatever a server says of event ids
      if (id === undefined && retry === undefined) this.#listener.kept?.(bytes)
      return
    }
    const message = tryParseJson(data)
    if (isObject(message) && 'method' in message) return this.#listener.notified(data)
    if (!isObject(message) || message['id'] !== this.#id) {
      return this.#fail('invalid_answer', 'an event of its answer belongs to no request')
    }
    this.#isOver = true
    this.#listener.responded(data)
  }

  onResponseEnd(): void {
    if (this.#isOver) return
    if (this.#splitter !== undefined) {
      return this.#fail('cut_off', 'its event stream ended before the answer')
    }
    this.#isOver = true
    const body = Buffer.concat(this.#body)
    const text = body.toString('utf8')
    const message = this.#status === 200 ? tryParseJson(text) : undefined
    if (isObject(message) && message['id'] === this.#id) this.#listener.responded(text)
    else this.#listener.refused(this.#status, this.#head, body)
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#listener.failed(error)
  }

  #fail(cause: 'invalid_answer' | 'cut_off', reason: string): void {
    this.#isOver = true
    this.#listener.failed(new UpstreamError(cause, reason))
    this.#controller?.abort(new Error(reason))
  }
}
