import type { ServerResponse } from 'node:http'
import type { Reply } from '../gateway/exchange.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { HEARTBEAT } from '../mcp/sse.js'
import type { HeaderList } from './cors.js'

const EVENT_STREAM: HeaderList = [
  'content-type',
  'text/event-stream',
  'cache-control',
  'no-store, no-transform',
  'x-accel-buffering',
  'no',
]

export interface HttpReplyOptions {
  /** Sent with every answer. */
  headers: HeaderList
  /** Makes the challenge for missing scopes. */
  challenge: (scopes: readonly string[]) => string
  /** Learns of a stream that opened; it is in `streams` until it ends. */
  streams: Set<HttpReply>
  /** Nobody waits for the end of this stream (GET). */
  isIdle: boolean
}

/** Writes a gateway's reply as an HTTP response. */
export class HttpReply implements Reply {
  readonly #response: ServerResponse
  readonly #options: HttpReplyOptions
  onDrain: (() => void) | undefined
  onClose: (() => void) | undefined

  constructor(response: ServerResponse, options: HttpReplyOptions) {
    this.#response = response
    this.#options = options
    response.once('close', () => {
      options.streams.delete(this)
      if (!response.writableFinished) this.onClose?.()
    })
  }

  json(
    status: number,
    body: string | Buffer,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    if (this.#response.headersSent) return
    const all = [...this.#options.headers, 'content-type', 'application/json']
    all.push('content-length', String(Buffer.byteLength(body)), 'cache-control', 'no-store')
    for (const name in headers) all.push(name, headers[name] as string)
    this.#response.writeHead(status, all).end(body)
  }

  empty(status: number): void {
    if (this.#response.headersSent) return
    const headers = [...this.#options.headers, 'content-length', '0']
    if (status === 405) headers.push('allow', 'POST, DELETE')
    this.#response.writeHead(status, headers).end()
  }

  get isIdle(): boolean {
    return this.#options.isIdle
  }

  openStream(): void {
    this.#response.writeHead(200, [...this.#options.headers, ...EVENT_STREAM])
    this.#response.flushHeaders()
    this.#options.streams.add(this)
  }

  write(events: string | Buffer): boolean {
    if (this.#response.destroyed) return true
    const ready = this.#response.write(events)
    if (!ready && !this.#response.listenerCount('drain')) {
      this.#response.on('drain', () => this.onDrain?.())
    }
    return ready
  }

  endStream(): void {
    this.#response.end()
  }

  insufficientScope(id: RequestId, scopes: readonly string[]): void {
    const error = { code: -32603, message: `This call needs the scopes: ${scopes.join(' ')}` }
    const challenge = this.#options.challenge(scopes)
    this.json(403, errorResponse(id, error), { 'www-authenticate': challenge })
  }

  /** Tells intermediaries and the client that the stream is alive. */
  heartbeat(): void {
    if (!this.#response.writableNeedDrain) this.#response.write(HEARTBEAT)
  }

  /** Ends the stream from our side, at shutdown. */
  finish(): void {
    this.onClose?.()
    this.#response.end()
  }
}
