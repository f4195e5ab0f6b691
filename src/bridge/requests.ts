import { withId } from '../mcp/incoming.js'
import { errorResponse, type RequestId, type WireError } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { idText } from '../mcp/message.js'
import { tryParseJson } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import type { Backlog, HostConnection } from './host.js'
import type { MessageReply } from './reply-listener.js'

/** A request of the host that has no answer yet. */
export interface OpenRequest {
  readonly message: Message
  readonly id: RequestId
  /** The exchange that it is in. */
  reply: MessageReply | undefined
  /** It was sent again because somebody signed in. */
  sentAgain: boolean
  /** Ends its waiting for something else than the target. */
  stopWaiting(): void
  /** It is no longer under way. */
  readonly release: () => void
}

/** The host's open requests: each one is answered once, whatever happens. */
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
    // our own errors may have no id, and a number may have lost its spelling on the way
    const isRight = !text.startsWith(NO_ID) && own === JSON.stringify(request.id)
    this.#host.send(isRight || tryParseJson(text) === undefined ? text : withId(text, own))
    request.release()
  }

  refuse(request: OpenRequest, error: WireError): void {
    this.answer(request, errorResponse(request.id, error))
  }

  /** The host wants no answer any more. */
  cancel(id: unknown): OpenRequest | undefined {
    const request = [...this.#open].find((open) => open.id === id)
    if (request === undefined) return undefined
    this.#take(request)
    request.release()
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

/** How our own errors begin where they were made without an id. */
const NO_ID = '{"jsonrpc":"2.0","id":null'

/** Why a request does not go to the target yet. */
type Reason = 'connection' | 'sign-in'

/** The requests that wait for something else than the target's answer. */
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
    const taken = [...this.#waiting].filter(([, reason]) => only === undefined || reason === only)
    for (const [request, reason] of taken) {
      request.stopWaiting()
      if (reason === 'sign-in') request.sentAgain = true
    }
    return taken.map(([request]) => request)
  }
}
