import { messageData } from '../../mcp/incoming.js'
import { mediaTypeOf, STREAM_TYPE } from '../../mcp/media-type.js'
import { type EventFields, EventSplitter } from '../../mcp/sse.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import {
  headerOf,
  type ResponseHead,
  type Upstream,
  type UpstreamController,
  type UpstreamHandler,
} from '../upstream.js'
import { codedError, describeNetworkError, noRoom, UpstreamError } from '../upstream-error.js'

/** Time limit of the head of the answer, and then of the event that names the endpoint. */
const OPEN_MS = 10_000

/** How opening the stream ended. */
export type OpeningStream =
  | { kind: 'open'; stream: SseStream }
  /** The server answered with something else than a stream. */
  | { kind: 'refused'; status: number; headers: ResponseHead; error: Error }
  | { kind: 'failed'; error: Error }

export interface SseStreamOptions {
  clock: Pick<Clock, 'after'>
  url: URL
  upstream: Upstream
  /** Names and values in turn. */
  headers: readonly string[]
  memory?: MemoryBudget | undefined
  onMessage(data: string): void
  onEnd(error: Error): void
}

/** The stream of an HTTP+SSE server: it names the endpoint to post to, then it carries all messages. */
export interface SseStream {
  readonly endpoint: URL
  /** Stops reading, and goes on. */
  flow(paused: boolean): void
  close(): void
}

/**
 * Opens the stream of HTTP+SSE. The endpoint must be at the origin of the stream, because the requests
 * to it carry our credential.
 *
 * @see [MCP 2024-11-05, HTTP with SSE](https://modelcontextprotocol.io/specification/2024-11-05/basic/transports#http-with-sse)
 */
export function openSseStream(options: SseStreamOptions): Promise<OpeningStream> {
  return new Promise((resolve) => {
    const headers = [...options.headers, 'accept', 'text/event-stream']
    if (headerOf(headers, 'accept-encoding') === undefined) {
      headers.push('accept-encoding', 'identity')
    }
    const request = { method: 'GET', headers, headersTimeout: OPEN_MS, bodyTimeout: 0 } as const
    options.upstream.send(request, new StreamHandler(options, resolve))
  })
}

class StreamHandler implements UpstreamHandler {
  readonly #options: SseStreamOptions
  readonly #resolve: (opening: OpeningStream) => void
  readonly #splitter = new EventSplitter()
  /** What is kept of an event that has not ended. */
  readonly #held: HeldBytes
  #controller: UpstreamController | undefined
  #cancelTimer = () => {}
  #isOpen = false
  #isOver = false

  constructor(options: SseStreamOptions, resolve: (opening: OpeningStream) => void) {
    this.#options = options
    this.#held = new HeldBytes(options.memory)
    this.#resolve = resolve
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: ResponseHead): void {
    if (status === 200 && mediaTypeOf(headers['content-type']) === STREAM_TYPE) {
      this.#cancelTimer = this.#options.clock.after(OPEN_MS, () => {
        const reason = 'its event stream names no endpoint'
        this.#end({ kind: 'failed', error: new UpstreamError('timeout', reason) })
      })
      return
    }
    const what = status === 200 ? 'no event stream' : `HTTP ${status}`
    const error = new UpstreamError('invalid_answer', `it answered ${what} to a GET`)
    this.#end({ kind: 'refused', status, headers, error })
  }

  onResponseData(_controller: UpstreamController, chunk: Buffer): void {
    if (this.#isOver) return
    try {
      this.#splitter.each(chunk, (fields) => this.#take(fields))
      if (!this.#isOver && !this.#held.set(this.#splitter.pendingBytes)) this.#break(noRoom())
    } catch {
      this.#break(codedError('ECONNRESET'))
    }
  }

  onResponseEnd(): void {
    this.#break(codedError('ECONNRESET'))
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    this.#break(error)
  }

  #take(fields: EventFields): void {
    if (this.#isOver) return
    if (fields.event === 'endpoint' && fields.data) return this.#openAt(fields.data)
    const data = messageData(fields)
    if (this.#isOpen && data !== undefined) this.#options.onMessage(data)
  }

  #openAt(text: string): void {
    if (this.#isOpen) return
    const { url } = this.#options
    const endpoint = URL.canParse(text, url.href) ? new URL(text, url) : undefined
    if (endpoint?.origin !== url.origin || endpoint.username !== '') {
      const reason = 'its event stream names an endpoint at another origin'
      return this.#end({ kind: 'failed', error: new UpstreamError('invalid_answer', reason) })
    }
    this.#isOpen = true
    this.#cancelTimer()
    const close = () => {
      this.#isOver = true
      this.#held.set(0)
      this.#controller?.abort(new Error('the stream is not needed any more'))
    }
    const flow = (paused: boolean) => {
      if (paused) this.#controller?.pause()
      else this.#controller?.resume()
    }
    this.#resolve({ kind: 'open', stream: { endpoint, flow, close } })
  }

  #break(error: Error): void {
    if (this.#isOver) return
    this.#cancelTimer()
    this.#held.set(0)
    if (!this.#isOpen) return this.#end({ kind: 'failed', error })
    this.#isOver = true
    this.#options.onEnd(error)
  }

  #end(opening: OpeningStream): void {
    this.#cancelTimer()
    this.#held.set(0)
    this.#isOver = true
    this.#controller?.abort(new Error('no stream'))
    this.#resolve(opening)
  }
}

/** Says why a stream could not be opened, for the end of a sentence. */
export function reasonOf(opening: Exclude<OpeningStream, { kind: 'open' }>): string {
  return describeNetworkError(opening.error).reason
}
