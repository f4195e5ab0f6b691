import { codedError } from '../http/failure.js'
import type {
  Upstream,
  UpstreamController,
  UpstreamHandler,
  UpstreamRequest,
} from '../http/pool.js'
import type { Clock } from '../util/runtime.js'

type Head = Parameters<NonNullable<UpstreamHandler['onResponseStart']>>[2]

const JSON_HEAD = { 'content-type': 'application/json' }

/** One request to an old server, told as if its answer came on the request itself. */
export class SseCall implements UpstreamController {
  readonly #handler: UpstreamHandler
  readonly #clock: Pick<Clock, 'after'>
  readonly #timeoutMs: number
  #inner: UpstreamController | undefined
  #cancelTimer = () => {}
  #onAbort = () => {}
  #reason: Error | null = null
  isOver = false

  constructor(handler: UpstreamHandler, clock: Pick<Clock, 'after'>, timeoutMs: number) {
    this.#handler = handler
    this.#clock = clock
    this.#timeoutMs = timeoutMs
    handler.onRequestStart?.(this, {})
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get reason(): Error | null {
    return this.#reason
  }

  readonly paused = false

  pause(): void {}

  resume(): void {}

  abort(reason: Error): void {
    this.#reason = reason
    this.#inner?.abort(reason)
    this.#finish()
  }

  /** Posts a message; its answer comes on the stream when it has an id. */
  post(
    request: UpstreamRequest,
    upstream: Upstream,
    calls: Map<string | number, SseCall>,
    id: string | number | undefined,
  ): void {
    if (id !== undefined) {
      calls.set(id, this)
      this.#onAbort = () => calls.delete(id)
    }
    if (this.#timeoutMs > 0) {
      this.#cancelTimer = this.#clock.after(this.#timeoutMs, () =>
        this.fail(codedError('UND_ERR_HEADERS_TIMEOUT')),
      )
    }
    upstream.send(request, this.#watchPost(id !== undefined))
  }

  /** What the POST itself says matters only when it is a refusal, or nothing else is waited for. */
  #watchPost(waits: boolean): UpstreamHandler {
    let isRefused = false
    return {
      onRequestStart: (controller) => {
        this.#inner = controller
      },
      onResponseStart: (_controller, status, headers) => {
        isRefused = !waits || status >= 300
        if (isRefused && !this.isOver) this.#start(status, headers)
      },
      onResponseData: (_controller, chunk) => {
        if (isRefused && !this.isOver) this.#handler.onResponseData?.(this, chunk)
      },
      onResponseEnd: () => {
        if (isRefused) this.end()
      },
      onResponseError: (_controller, error) => this.fail(error),
    }
  }

  /** The answer came on the stream. */
  answer(data: string, sessionId: string | undefined): void {
    if (this.isOver) return
    this.#start(200, {
      ...JSON_HEAD,
      ...(sessionId !== undefined && { 'mcp-session-id': sessionId }),
    })
    this.#handler.onResponseData?.(this, Buffer.from(data))
    this.end()
  }

  /** Answers with a status alone. */
  respond(status: number, headers: Head): void {
    if (this.isOver) return
    this.#start(status, headers)
    this.end()
  }

  /** Becomes the stream of what the server sends by itself. */
  listen(onAbort: () => void): void {
    this.#onAbort = onAbort
    this.#start(200, { 'content-type': 'text/event-stream' })
  }

  event(data: string): void {
    const text = `data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
    if (!this.isOver) this.#handler.onResponseData?.(this, Buffer.from(text))
  }

  end(): void {
    if (this.isOver) return
    this.#finish()
    this.#handler.onResponseEnd?.(this, {})
  }

  fail(error: Error): void {
    if (this.isOver) return
    this.#finish()
    this.#handler.onResponseError?.(this, error)
  }

  #start(status: number, headers: Head): void {
    this.#cancelTimer()
    this.#handler.onResponseStart?.(this, status, headers)
  }

  #finish(): void {
    this.isOver = true
    this.#cancelTimer()
    this.#onAbort()
  }
}
