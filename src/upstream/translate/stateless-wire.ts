import { mcpNameOf, mirrorHeaders } from '../../mcp/headers.js'
import { type Awaited, messageData, readIncoming } from '../../mcp/incoming.js'
import { objectText, putMembers } from '../../mcp/json-text.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { META } from '../../mcp/meta.js'
import { type EventFields, EventSplitter } from '../../mcp/sse.js'
import { STATELESS_VERSION } from '../../mcp/versions.js'
import type { JsonObject } from '../../util/json.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import {
  headerPairs,
  type ResponseHead,
  type UpstreamController,
  type UpstreamHandler,
} from '../upstream.js'
import { noRoom, UpstreamError } from '../upstream-error.js'
import type { TranslatedSession } from './translated-session.js'

/** What comes of one request to the target. Exactly one of `responded`, `refused`, `failed` is last. */
export interface StatelessAnswerListener {
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
  refused(status: number, headers: ResponseHead, body: Buffer): void
  failed(error: Error): void
}

const MAX_BYTES = 64 * 1024 * 1024

/** Reads one answer of a server of 2026-07-28. */
export class StatelessAnswer implements UpstreamHandler, Awaited {
  readonly id: RequestId
  readonly #listener: StatelessAnswerListener
  #controller: UpstreamController | undefined
  #splitter: EventSplitter | undefined
  #status = 0
  #head: ResponseHead = {}
  #body: Buffer[] = []
  #bytes = 0
  readonly #held: HeldBytes
  #isOver = false
  #reason: Error | undefined

  /** @param id Of the request, which its response must carry. */
  constructor(id: RequestId, listener: StatelessAnswerListener, memory?: MemoryBudget) {
    this.id = id
    this.#held = new HeldBytes(memory)
    this.#listener = listener
  }

  idText(): string {
    return JSON.stringify(this.id)
  }

  /** Gives the request up at the target; the listener hears nothing more. */
  abort(reason: Error): void {
    if (this.#isOver) return
    this.#over()
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
    if (this.#reason !== undefined) controller.abort(this.#reason)
    else this.#listener.started?.(controller)
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: ResponseHead): void {
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
      this.#splitter.each(chunk, (fields, bytes) => this.#event(fields, bytes))
      this.#hold(this.#splitter.pendingBytes)
    } catch {
      this.#fail('invalid_answer', 'its event stream cannot be read')
    }
  }

  #keep(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > MAX_BYTES) return this.#fail('invalid_answer', 'its answer is too large')
    this.#body.push(chunk)
    this.#hold(this.#bytes)
  }

  /** Counts what is kept of an answer that is not whole, and gives it up where there is no room. */
  #hold(bytes: number): void {
    if (!this.#isOver && !this.#held.set(bytes)) this.#failWith(noRoom())
  }

  #over(): void {
    this.#isOver = true
    this.#body = []
    this.#held.set(0)
  }

  #event(fields: EventFields, bytes: Buffer): void {
    if (this.#isOver) return
    const { data, id, retry } = fields
    if (!data) {
      // streams of this era cannot be resumed, whatever a server says of event ids
      if (id === undefined && retry === undefined) this.#listener.kept?.(bytes)
      return
    }
    this.#read(messageData(fields) ?? '')
  }

  /** Takes the messages of one text; tells whether the response was among them. */
  #read(data: string): boolean {
    for (const { kind, text } of readIncoming(data, this)) {
      if (this.#isOver) break
      if (kind === 'message') this.#listener.notified(text)
      else if (kind === 'foreign') {
        this.#fail('invalid_answer', 'an event of its answer belongs to another request')
      } else {
        this.#over()
        this.#listener.responded(text)
      }
    }
    return this.#isOver
  }

  onResponseEnd(): void {
    if (this.#isOver) return
    if (this.#splitter !== undefined) {
      return this.#fail('cut_off', 'its event stream ended before the answer')
    }
    const body = Buffer.concat(this.#body)
    if (this.#status === 200 && this.#read(body.toString('utf8'))) return
    this.#over()
    this.#listener.refused(this.#status, this.#head, body)
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    if (this.#isOver) return
    this.#over()
    this.#listener.failed(error)
  }

  #fail(cause: 'invalid_answer' | 'cut_off', reason: string): void {
    this.#failWith(new UpstreamError(cause, reason))
  }

  #failWith(error: UpstreamError): void {
    this.#over()
    this.#listener.failed(error)
    this.#controller?.abort(error)
  }
}

const REPLACED = /^(accept|content-type|mcp-.*|last-event-id)$/

const ACCEPT = ['accept', 'application/json, text/event-stream']

/** What a retry adds to a request, as JSON texts. */
export interface RetryParts {
  readonly id: RequestId
  readonly params: Readonly<Record<string, string>>
}

/** Makes the headers of a request of 2026-07-28 from those of an older one. */
export function statelessHeadersOf(
  headers: readonly string[],
  message: Pick<Message, 'method' | 'params'>,
): string[] {
  return [
    ...headerPairs(headers).filter(([name]) => !REPLACED.test(name.toLowerCase())),
    ACCEPT,
    ['content-type', 'application/json'],
    ['mcp-protocol-version', STATELESS_VERSION],
    mirrorHeaders(message.method, mcpNameOf(message)),
  ].flat()
}

/** Makes the headers of an `initialize` of our own from those of a client's request. */
export function sessionBasedHeaders(headers: readonly string[]): string[] {
  return [
    ...headerPairs(headers).filter(([name]) => !REPLACED.test(name.toLowerCase())),
    ACCEPT,
    ['content-type', 'application/json'],
  ].flat()
}

/** Makes the text of a request of 2026-07-28 from that of an older one. */
export function statelessText(
  text: string,
  session: TranslatedSession,
  retry?: RetryParts,
): string {
  const params = objectText(text, 'params')
  const _meta = putMembers(objectText(params, '_meta'), envelope(session))
  return putMembers(text, {
    ...(retry !== undefined && { id: JSON.stringify(retry.id) }),
    params: putMembers(params, { ...retry?.params, _meta }),
  })
}

/** Makes a request of our own, as this client sends it. */
export function ownRequest(
  id: RequestId,
  method: string,
  params: JsonObject,
  session: TranslatedSession,
): string {
  return statelessText(JSON.stringify({ jsonrpc: '2.0', id, method, params }), session)
}

/** @see [MCP 2026-07-28, `_meta`](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta) */
function envelope({ client, logLevel }: TranslatedSession): Record<string, string> {
  const members: JsonObject = {
    [META.version]: STATELESS_VERSION,
    [META.clientInfo]: client.info,
    [META.clientCapabilities]: client.capabilities,
    ...(logLevel !== undefined && { [META.logLevel]: logLevel }),
  }
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]),
  )
}
