import type { Reply, ReplyWatcher } from '../gateway/exchange.js'
import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { messageData, readIncoming } from '../mcp/incoming.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { type EventFields, EventSplitter, retryOf } from '../mcp/sse.js'
import type { HostConnection } from './host.js'

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
  readonly #host: Pick<HostConnection, 'isBehind' | 'whenReady'>
  #closed = false

  constructor(listener: ReplyListener, host: Pick<HostConnection, 'isBehind' | 'whenReady'>) {
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

/** What becomes of a request to the target. Exactly one of `answered`, `failed` and `cut` comes. */
export interface Hooks {
  /** A whole JSON-RPC response. */
  answered(text: string, sessionId: string | undefined): void
  /** Returns false to have the failure answered as an error. */
  failed(failure: TargetFailure): boolean
  /** The stream ended before the answer and can be gone on with. */
  cut?(lastEventId: string, retryMs: number | undefined): void
}

/** Waits for the answer to one request; the messages before it go to the host as they come. */
export class RequestListener implements ReplyListener {
  readonly #id: RequestId
  readonly #host: HostConnection
  readonly #hooks: Hooks
  #answered = false
  #lastEventId: string | undefined
  #retryMs: number | undefined

  constructor(id: RequestId, host: HostConnection, hooks: Hooks) {
    this.#id = id
    this.#host = host
    this.#hooks = hooks
  }

  answer(_status: number, text: string, sessionId: string | undefined): void {
    if (this.#answered) return
    this.#answered = true
    this.#hooks.answered(text, sessionId)
  }

  empty(): void {
    this.#fail('The target took the request and answered nothing')
  }

  event(fields: EventFields): void {
    const { id } = fields
    if (id !== undefined) this.#lastEventId = id
    this.#retryMs = retryOf(fields) ?? this.#retryMs
    const data = messageData(fields)
    const awaited = { id: this.#id, idText: () => JSON.stringify(this.#id) }
    for (const { kind, text } of data === undefined ? [] : readIncoming(data, awaited)) {
      if (kind === 'message') this.#host.send(text)
      else if (kind === 'response') this.answer(200, text, undefined)
    }
  }

  ended(): void {
    if (this.#answered) return
    if (this.#lastEventId === undefined || this.#hooks.cut === undefined) {
      return this.#fail('The answer was cut off')
    }
    this.#answered = true
    this.#hooks.cut(this.#lastEventId, this.#retryMs)
  }

  missingScopes(id: RequestId, scopes: readonly string[]): void {
    const error = { code: -32603, message: `This needs the scopes ${scopes.join(' ')}` }
    this.answer(200, errorResponse(id, error), undefined)
  }

  #fail(message: string): void {
    this.answer(200, errorResponse(this.#id, { code: -32603, message }), undefined)
  }
}
