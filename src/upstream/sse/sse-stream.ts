import { mediaTypeOf, STREAM_TYPE } from '../../mcp/headers.js'
import { messageData } from '../../mcp/incoming.js'
import { type EventFields, EventSplitter } from '../../mcp/sse.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import { headerOf, type ResponseHead, type Upstream, type UpstreamController } from '../upstream.js'
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
  const { clock, url, upstream, memory, onMessage, onEnd } = options
  const headers = [...options.headers, 'accept', 'text/event-stream']
  if (headerOf(headers, 'accept-encoding') === undefined)
    headers.push('accept-encoding', 'identity')
  const request = { method: 'GET', headers, headersTimeout: OPEN_MS, bodyTimeout: 0 } as const
  const splitter = new EventSplitter()
  /** What is kept of an event that has not ended. */
  const held = new HeldBytes(memory)
  let controller: UpstreamController | undefined
  let cancelTimer = () => {}
  let isOpen = false
  let isOver = false

  return new Promise((resolve) => {
    const fail = (opening: OpeningStream) => {
      over()
      controller?.abort(new Error('no stream'))
      resolve(opening)
    }
    const over = () => {
      isOver = true
      cancelTimer()
      held.set(0)
    }
    const breakOff = (error: Error) => {
      if (isOver) return
      if (!isOpen) return fail({ kind: 'failed', error })
      over()
      onEnd(error)
    }
    const openAt = (text: string) => {
      const endpoint = URL.canParse(text, url.href) ? new URL(text, url) : undefined
      if (endpoint?.origin !== url.origin || endpoint.username !== '') {
        const reason = 'its event stream names an endpoint at another origin'
        return fail({ kind: 'failed', error: new UpstreamError('invalid_answer', reason) })
      }
      isOpen = true
      cancelTimer()
      const close = () => {
        over()
        controller?.abort(new Error('the stream is not needed any more'))
      }
      const flow = (paused: boolean) => (paused ? controller?.pause() : controller?.resume())
      resolve({ kind: 'open', stream: { endpoint, flow, close } })
    }
    const take = (fields: EventFields) => {
      if (isOver) return
      const data = messageData(fields)
      if (isOpen && data !== undefined) onMessage(data)
      else if (!isOpen && fields.event === 'endpoint' && fields.data) openAt(fields.data)
    }
    upstream.send(request, {
      onRequestStart(started) {
        controller = started
      },
      onResponseStart(_controller, status, headers) {
        if (status === 200 && mediaTypeOf(headers['content-type']) === STREAM_TYPE) {
          cancelTimer = clock.after(OPEN_MS, () => {
            const reason = 'its event stream names no endpoint'
            fail({ kind: 'failed', error: new UpstreamError('timeout', reason) })
          })
          return
        }
        const what = status === 200 ? 'no event stream' : `HTTP ${status}`
        const error = new UpstreamError('invalid_answer', `it answered ${what} to a GET`)
        fail({ kind: 'refused', status, headers, error })
      },
      onResponseData(_controller, chunk) {
        if (isOver) return
        try {
          splitter.each(chunk, take)
          if (!isOver && !held.set(splitter.pendingBytes)) breakOff(noRoom())
        } catch {
          breakOff(codedError('ECONNRESET'))
        }
      },
      onResponseEnd: () => breakOff(codedError('ECONNRESET')),
      onResponseError: (_controller, error) => breakOff(error),
    })
  })
}

/** Says why a stream could not be opened, for the end of a sentence. */
export function reasonOf(opening: Exclude<OpeningStream, { kind: 'open' }>): string {
  return describeNetworkError(opening.error).reason
}
