import type { Reply, ReplyWatcher } from '../gateway/exchange.js'
import type { RequestId } from '../mcp/jsonrpc.js'
import { type EventFields, EventSplitter } from '../mcp/sse.js'
import type { Host } from './host.js'

/** What becomes of one exchange with the target. */
export interface ReplyListener {
  /** A whole message came under this HTTP status. */
  answer(status: number, text: string, sessionId: string | undefined): void
  /** It was taken, and there is nothing to say. */
  empty(status: number): void
  opened?(): void
  /** One event of a stream. */
  event(fields: EventFields): void
  /** The stream ended, in whatever way. */
  ended(): void
  missingScopes?(id: RequestId, scopes: readonly string[]): void
}

/** Turns what the gateway answers into messages. */
export class MessageReply implements Reply {
  watcher: ReplyWatcher | undefined
  readonly #listener: ReplyListener
  readonly #host: Pick<Host, 'isBehind' | 'whenReady'>
  #closed = false

  constructor(listener: ReplyListener, host: Pick<Host, 'isBehind' | 'whenReady'>) {
    this.#listener = listener
    this.#host = host
  }

  json(status: number, body: string | Buffer, headers?: Readonly<Record<string, string>>): void {
    if (this.#closed) return
    this.#listener.answer(status, body.toString('utf8'), headers?.['mcp-session-id'])
  }

  empty(status: number): void {
    if (!this.#closed) this.#listener.empty(status)
  }

  openStream(): void {
    if (!this.#closed) this.#listener.opened?.()
  }

  write(events: string | Buffer): boolean {
    if (this.#closed) return true
    new EventSplitter().each(Buffer.from(events), (fields) => this.#listener.event(fields))
    if (!this.#host.isBehind) return true
    this.#host.whenReady(() => this.watcher?.onDrain())
    return false
  }

  endStream(): void {
    if (!this.#closed) this.#listener.ended()
  }

  insufficientScope(id: RequestId, scopes: readonly string[]): void {
    if (!this.#closed) this.#listener.missingScopes?.(id, scopes)
  }

  /** Gives the exchange up; nothing more is heard of it. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.watcher?.onClose()
  }
}
