import type { Reply, ReplyWatcher } from '../gateway/exchange.js'
import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { incomingOf, withId } from '../mcp/incoming.js'
import { ERROR_CODES, errorResponse, type RequestId, type WireError } from '../mcp/jsonrpc.js'
import { idText, type Message } from '../mcp/message.js'
import { type EventFields, EventSplitter, retryOf } from '../mcp/sse.js'
import { tryParseJson } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import type { Backlog, HostConnection } from './host.js'

/** A request of the host that has no answer yet. */
export interface OpenRequest {
  readonly message: Message
  readonly id: RequestId
  /** Gets the target's answer, once the request was sent. */
  reply: MessageReply | undefined
  /** It was sent again because somebody signed in. */
  sentAgain: boolean
  /** Ends the wait for something else than the target's answer, such as a sign-in. */
  stopWaiting(): void
  /** Says to the backlog that it is no longer under way. */
  readonly release: () => void
}

/** The host's requests that have no answer yet. Each one is answered once, whatever happens. */
export class OpenRequests {
  readonly #host: HostConnection
  readonly #backlog: Backlog
  readonly #open = new Set<OpenRequest>()

  constructor(host: HostConnection, backlog: Backlog) {
    this.#host = host
    this.#backlog = backlog
  }

  get size(): number {
    return this.#open.size
  }

  add(message: Message): OpenRequest {
    const request: OpenRequest = {
      message,
      id: message.id as RequestId,
      reply: undefined,
      sentAgain: false,
      stopWaiting: () => {},
      release: this.#backlog.take(message.text.length),
    }
    this.#open.add(request)
    return request
  }

  isOpen(request: OpenRequest): boolean {
    return this.#open.has(request)
  }

  /** Answers; does nothing when it is answered already. `text` is a whole JSON-RPC response. */
  answer(request: OpenRequest, text: string): void {
    if (!this.#take(request)) return
    const own = idText(request.message)
    // an error of our own may have no id, and a parsed number may be written otherwise than the host did
    const isRight = !text.startsWith(NO_ID) && own === JSON.stringify(request.id)
    this.#host.send(isRight || tryParseJson(text) === undefined ? text : withId(text, own))
    request.release()
  }

  refuse(request: OpenRequest, error: WireError): void {
    this.answer(request, errorResponse(request.id, error))
  }

  /** The host cancelled this request: it gets no answer. */
  cancel(id: unknown): OpenRequest | undefined {
    const request = [...this.#open].find((open) => open.id === id)
    if (request !== undefined && this.#take(request)) request.release()
    return request
  }

  /** Answers all that is still open with this error. */
  refuseAll(error: WireError): void {
    for (const request of [...this.#open]) this.refuse(request, error)
  }

  #take(request: OpenRequest): boolean {
    request.stopWaiting()
    return this.#open.delete(request)
  }
}

/** How an error of our own begins that was made without an id. */
const NO_ID = '{"jsonrpc":"2.0","id":null'

/** What a request waits for before it goes to the target. */
type Reason = 'connection' | 'sign-in'

/** The requests that are held back until there is a connection, or somebody signed in. */
export class ParkedRequests {
  readonly #clock: Clock
  readonly #waiting = new Map<OpenRequest, Reason>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param ms 0 waits for ever. */
  add(request: OpenRequest, reason: Reason, ms: number, onTimeout: () => void): void {
    this.#waiting.set(request, reason)
    const cancel = ms > 0 ? this.#clock.after(ms, onTimeout) : () => {}
    request.stopWaiting = () => {
      cancel()
      this.#waiting.delete(request)
    }
  }

  /** Takes out all that wait, or all that wait for one reason. */
  take(only?: Reason): OpenRequest[] {
    const taken: OpenRequest[] = []
    for (const [request, reason] of this.#waiting) {
      if (only !== undefined && reason !== only) continue
      request.stopWaiting()
      request.sentAgain ||= reason === 'sign-in'
      taken.push(request)
    }
    return taken
  }
}

/** What becomes of one exchange with the target. */
export interface ReplyListener {
  /** The answer is one whole message, with this HTTP status. */
  answer(status: number, text: string, sessionId: string | undefined): void
  /** The message was accepted, and gets no answer. */
  empty(status: number): void
  opened?(): void
  /** One event of a stream. */
  event(fields: EventFields): void
  /** The stream ended, in whatever way. */
  ended(): void
  missingScopes?(id: RequestId, scopes: readonly string[]): void
  /** A step-up is missing, and nobody here can sign in with one. */
  missingStepUp?(): void
}

/** Takes an answer of the gateway, which is made for HTTP, and tells a listener of its messages. */
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

  stepUpNeeded(): void {
    if (!this.#closed) this.#listener.missingStepUp?.()
  }

  /** Gives the exchange up: the listener hears nothing more. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.watcher?.onClose()
  }
}

const NO_STEP_UP =
  'This needs a sign-in with a step-up, and nobody signs in here: use the target through `serve`, or have its operator leave the tool out of "tools.stepUp"'

/** Told how a request to the target ends: exactly one of the three is called. */
export interface Hooks {
  /** A whole JSON-RPC response. */
  answered(text: string, sessionId: string | undefined): void
  /** Returns false to have the failure answered as an error. */
  failed(failure: TargetFailure): boolean
  /** The stream ended before the answer, and can be resumed behind this event. */
  cut?(lastEventId: string, retryMs: number | undefined): void
}

/** Waits for the answer to one request; the messages before it go to the host as they come. */
export function listenForAnswer(id: RequestId, host: HostConnection, hooks: Hooks): ReplyListener {
  const awaited = { id, idText: () => JSON.stringify(id) }
  let isAnswered = false
  let lastEventId: string | undefined
  let retryMs: number | undefined

  const answer = (text: string, sessionId?: string) => {
    if (isAnswered) return
    isAnswered = true
    hooks.answered(text, sessionId)
  }
  const fail = (message: string) => {
    answer(errorResponse(id, { code: ERROR_CODES.internalError, message }))
  }
  return {
    answer: (_status, text, sessionId) => answer(text, sessionId),
    empty: () => fail('The target took the request and answered nothing'),
    event(fields) {
      lastEventId = fields.id ?? lastEventId
      retryMs = retryOf(fields) ?? retryMs
      for (const { kind, text } of incomingOf(fields, awaited)) {
        if (kind === 'message') host.send(text)
        else if (kind === 'response') answer(text)
      }
    },
    ended() {
      if (isAnswered) return
      if (lastEventId === undefined || hooks.cut === undefined) {
        return fail('The answer was cut off')
      }
      isAnswered = true
      hooks.cut(lastEventId, retryMs)
    },
    missingScopes: (_id, scopes) => fail(`This needs the scopes ${scopes.join(' ')}`),
    missingStepUp: () => fail(NO_STEP_UP),
  }
}
