import type { JsonObject } from '../../util/json.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import type { PendingCall } from './pending-call.js'

const MAX_WAITING = 100

/** Larger messages are dropped while no stream is open, since none may ever be. */
const MAX_WAITING_LENGTH = 64 * 1024

/** The stream of a client that is further behind is ended, or it would hold up the other clients. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024

/** A request under way. `id` and `token` are those of the client, as it wrote them. */
export interface OpenCall {
  readonly session: ClientSession
  readonly call: PendingCall
  readonly id: string
  readonly token: string | undefined
  cancelTimer: () => void
}

/** What one client has on a shared connection: its calls under way, and its GET streams. */
export class ClientSession {
  /** As the client declared them at `initialize`. */
  readonly capabilities: JsonObject
  readonly calls = new Set<PendingCall>()
  readonly #listeners = new Set<PendingCall>()
  #waiting: string[] = []
  #waitingLength = 0
  readonly #held: HeldBytes

  constructor(capabilities: JsonObject = {}, memory?: MemoryBudget) {
    this.capabilities = capabilities
    this.#held = new HeldBytes(memory)
  }

  get isListening(): boolean {
    return this.#listeners.size > 0
  }

  /** A stream is open, or a call is under way. */
  get isBusy(): boolean {
    return this.isListening || this.calls.size > 0
  }

  /** Makes a GET the stream of what the server sends by itself. */
  listen(call: PendingCall, onOver: () => void = () => {}): void {
    this.#listeners.add(call)
    call.onOver = () => {
      this.#listeners.delete(call)
      onOver()
    }
    call.openStream()
    const waiting = this.#waiting
    this.#dropWaiting()
    for (const data of waiting) this.#tell(call, data)
  }

  /** Sends a message on the client's stream, else on that of its last call; else it waits for a stream. */
  deliver(data: string): void {
    const [listener] = this.#listeners
    const call = listener ?? this.lastCall
    if (call !== undefined) this.#tell(call, data)
    else if (data.length <= MAX_WAITING_LENGTH) this.#wait(data)
  }

  #wait(data: string): void {
    if (!this.#held.set(this.#waitingLength + data.length)) return
    this.#waitingLength += data.length
    this.#waiting.push(data)
    if (this.#waiting.length <= MAX_WAITING) return
    this.#waitingLength -= this.#waiting.shift()?.length ?? 0
    this.#held.set(this.#waitingLength)
  }

  #dropWaiting(): void {
    this.#waiting = []
    this.#waitingLength = 0
    this.#held.set(0)
  }

  /** Sends a request of the server on the last call, to which it most likely belongs, else as any message. */
  deliverRequest(data: string): void {
    if (this.lastCall === undefined) this.deliver(data)
    else this.lastCall.event(data)
  }

  get lastCall(): PendingCall | undefined {
    let last: PendingCall | undefined
    for (const call of this.calls) last = call
    return last
  }

  end(): void {
    this.#dropWaiting()
    for (const listener of this.#listeners) listener.end()
  }

  #tell(call: PendingCall, data: string): void {
    call.event(data)
    if (call.keptBytes > MAX_BEHIND_BYTES && this.#listeners.has(call)) call.abort(TOO_SLOW)
  }
}

const TOO_SLOW = new Error('the client reads too slowly')
