import type { SignInNeed } from '../auth/tokens/token-store.js'
import { failureError, type TargetFailure } from '../gateway/forwarding/target-failure.js'
import { isStateless, type Message } from '../mcp/message.js'
import { networkHint } from '../upstream/upstream-error.js'
import { Connection, type ConnectionOptions } from './connection.js'
import type { Backlog } from './host.js'
import { emptyAnswer, lacksMethod, rememberAnswer } from './offline.js'
import { type OpenRequest, OpenRequests, ParkedRequests } from './requests.js'
import type { SignInCoordinator } from './sign-in-coordinator.js'
import { respond } from './sign-in-messages.js'
import { retryable, SignedOut } from './signed-out.js'

export interface BridgeOptions
  extends Omit<ConnectionOptions, 'requests' | 'onReady' | 'onSignInNeeded' | 'onUnreachable'> {
  coordinator: SignInCoordinator
  backlog: Backlog
  /** How long a call waits for a sign-in, milliseconds. */
  loginWaitMs: number
  /** Messages can go to the target, and the host is ready for what comes back. */
  onReady(): void
  /** Opens the stream of a request again that ended before the answer. */
  resume(request: OpenRequest, lastEventId: string, retryMs: number | undefined): void
}

/** How long a request waits until the target can be reached. */
const CONNECT_WAIT_MS = 30_000

/** Takes each message of the host: forwards it, holds it back or answers it. */
export class Bridge {
  readonly requests: OpenRequests
  readonly connection: Connection
  readonly #options: BridgeOptions
  readonly #parkedRequests: ParkedRequests
  readonly #signedOut: SignedOut

  constructor(options: BridgeOptions) {
    this.#options = options
    this.#parkedRequests = new ParkedRequests(options.clock)
    this.requests = new OpenRequests(options.host, options.backlog)
    this.connection = new Connection({
      ...options,
      requests: this.requests,
      onReady: (isConnected) => {
        if (isConnected) options.coordinator.markTokenAccepted()
        this.#onReady()
      },
      onSignInNeeded: (need, request) => this.#signedOut.begin(request, need),
      onUnreachable: (failure) => this.#onUnreachable(failure),
    })
    this.#signedOut = new SignedOut({
      ...options,
      parkedRequests: this.#parkedRequests,
      requests: this.requests,
      connection: this.connection,
      dispatch: (request) => this.#dispatch(request),
    })
  }

  /** Takes one message of the host. */
  receive(message: Message): void {
    if (message.kind === 'response' && this.#signedOut.prompt.take(message)) return
    if (message.kind === 'response') return void this.#options.gatewayClient.send(message)
    if (message.kind === 'notification') return this.#notified(message)
    const request = this.requests.add(message)
    if (message.method === 'ping' && !isStateless(message)) {
      return this.requests.answer(request, respond(message, request.id, {}))
    }
    if (message.method === 'initialize') return this.connection.initialize(request)
    this.#dispatch(request)
  }

  /** Keeps a message that the target refused, and sends it again once somebody signed in. */
  keepUnsent(message: Message, need: SignInNeed): void {
    if (this.connection.keepUnsent(message)) this.#signedOut.begin(undefined, need)
  }

  /** Goes on after somebody signed in. */
  signedIn(isOtherClient: boolean): void {
    this.#signedOut.onDone(isOtherClient)
  }

  /** Answers the requests that waited for a sign-in that failed. */
  signInFailed(): void {
    this.#signedOut.onFailed()
  }

  /** Answers all open requests with an error; nothing is sent to the target any more. */
  close(why: string): void {
    this.connection.close()
    this.requests.refuseAll(retryable(why))
  }

  #notified(message: Message): void {
    const { gatewayClient } = this.#options
    const { method } = message
    if (method === 'notifications/cancelled') return this.#cancelled(message)
    if (method === 'notifications/initialized') {
      if (!this.connection.markHostReady()) return
      void gatewayClient.send(message)
      return this.#options.onReady()
    }
    if (this.connection.phase === 'ready' || isStateless(message)) void gatewayClient.send(message)
  }

  #cancelled(message: Message): void {
    const request = this.requests.cancel(message.params['requestId'])
    if (request?.reply === undefined) return
    // in the stateless protocol, the end of the exchange tells the target
    if (!isStateless(request.message)) void this.#options.gatewayClient.send(message)
    request.reply.close()
  }

  #dispatch(request: OpenRequest): void {
    switch (this.connection.phase) {
      case 'starting':
      case 'ready':
        return this.#forward(request)
      case 'signing-in':
        return this.#signedOut.wait(request)
      case 'closing':
        return this.requests.refuse(request, retryable('The bridge is closing'))
      default:
        this.#parkedRequests.add(request, 'connection', CONNECT_WAIT_MS, () =>
          this.requests.refuse(request, retryable('The target did not answer yet')),
        )
        this.connection.connect()
    }
  }

  #forward(request: OpenRequest): void {
    const { message } = request
    if (this.#signedOut.isLoginCall(message)) return this.#signedOut.answerLoginCall(request)
    const { gatewayClient, session, coordinator, memory, resume } = this.#options
    if (this.connection.answeredInstead && lacksMethod(session.capabilities, message.method)) {
      const empty = emptyAnswer(request)
      if (empty !== undefined) return this.requests.answer(request, empty)
    }
    let hasFailed = false
    request.reply = gatewayClient.request(message, {
      answered: (text) => {
        if (!hasFailed) coordinator.markTokenAccepted()
        rememberAnswer(memory, message, text)
        if (message.method === 'tools/list' && this.#signedOut.hasWaiting) {
          return void this.#signedOut.addLoginTool(request, text)
        }
        this.requests.answer(request, text)
      },
      failed: (failure) => {
        hasFailed = true
        if (failure.need === undefined) addHint(failure)
        else this.#signedOut.begin(request, failure.need)
        return failure.need !== undefined
      },
      cut: (lastEventId, retryMs) => resume(request, lastEventId, retryMs),
    })
  }

  #onReady(): void {
    this.#signedOut.offer()
    for (const request of this.#parkedRequests.take()) this.#dispatch(request)
    if (this.connection.isHostReady) this.#options.onReady()
  }

  #onUnreachable(failure: TargetFailure): void {
    this.#signedOut.offer()
    addHint(failure)
    for (const request of this.#parkedRequests.take('connection'))
      void this.#answerOffline(request, failure)
  }

  async #answerOffline(request: OpenRequest, failure: TargetFailure): Promise<void> {
    const { message, id } = request
    const { tools } = await this.#options.memory.load()
    if (message.method === 'tools/list' && tools !== undefined) {
      return this.requests.answer(request, respond(message, id, tools))
    }
    const error = failureError(failure)
    this.requests.refuse(request, { ...error, data: { ...error.data, retryable: true } })
  }
}

function addHint(failure: TargetFailure): void {
  const hint = networkHint(failure.reason)
  if (hint !== undefined) failure.reason += `. ${hint}`
}
