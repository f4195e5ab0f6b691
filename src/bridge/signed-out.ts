import { INSUFFICIENT_SCOPE } from '../auth/tokens/token-source.js'
import type { SignInNeed } from '../auth/tokens/token-store.js'
import { ERROR_CODES, type WireError } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { isObject, tryParseJson } from '../util/json.js'
import type { Connection } from './connection.js'
import type { BridgeSession } from './gateway-client.js'
import type { HostConnection } from './host.js'
import { emptyAnswer, hasTool, type Memory, offlineDiscover } from './offline.js'
import type { OpenRequest, OpenRequests, ParkedRequests } from './requests.js'
import type { SignInCoordinator } from './sign-in-coordinator.js'
import {
  describeSignIn,
  LOGIN_TOOL,
  LoginPrompt,
  loginTool,
  respond,
  toolText,
} from './sign-in-messages.js'

export interface SignedOutOptions {
  memory: Memory
  parkedRequests: ParkedRequests
  requests: OpenRequests
  connection: Connection
  coordinator: SignInCoordinator
  host: HostConnection
  session: BridgeSession
  /** Name of the target, for people. */
  target: string
  /** How long a call waits for a sign-in, milliseconds. */
  loginWaitMs: number
  /** Takes a request that need not wait after all. */
  dispatch(request: OpenRequest): void
}

/** How long a list waits to be able to say where to sign in. */
const LINK_WAIT_MS = 5_000

/** Answers the host while somebody has to sign in, or lets its requests wait for that. */
export class SignedOut {
  readonly #options: SignedOutOptions
  readonly prompt: LoginPrompt
  #offeredLogin = false

  constructor(options: SignedOutOptions) {
    this.#options = options
    this.prompt = new LoginPrompt({ ...options, onDeclined: () => this.#refuseCalls() })
  }

  /** Starts the sign-in that a request turned out to need. */
  begin(request: OpenRequest | undefined, need: SignInNeed): void {
    const { coordinator, parkedRequests, connection, target } = this.#options
    coordinator.note(need)
    if (request?.sentAgain) {
      return this.#refuse(request, `${target} refuses this even after a sign-in.`)
    }
    const isAlone =
      need.challenge?.error === INSUFFICIENT_SCOPE ||
      (need.target !== undefined && connection.phase === 'ready')
    if (!isAlone) connection.phase = 'signing-in'
    coordinator.begin()
    for (const waiting of parkedRequests.take('connection')) this.wait(waiting)
    if (request !== undefined) this.wait(request, isAlone)
  }

  /** What has to be signed in to, for people. */
  get #target(): string {
    return this.#options.coordinator.need?.target ?? this.#options.target
  }

  /** Some of several targets wait for a sign-in, and the others go on. */
  get hasWaiting(): boolean {
    return this.#options.coordinator.need?.target !== undefined
  }

  /** Starts the sign-in that some of several targets wait for, if any does. */
  offer(): void {
    if (this.hasWaiting) this.#options.coordinator.begin()
  }

  /** Answers with the tools of those targets that need no sign-in, and the way to the others. */
  async addLoginTool(request: OpenRequest, text: string): Promise<void> {
    const { coordinator, requests } = this.#options
    this.offer()
    await coordinator.whenKnown(LINK_WAIT_MS)
    const answer = tryParseJson(text)
    const result = isObject(answer) ? answer['result'] : undefined
    if (!this.hasWaiting || !isObject(result) || !Array.isArray(result['tools'])) {
      return requests.answer(request, text)
    }
    this.#offeredLogin = true
    const tools = [...result['tools'], loginTool(coordinator.view, this.#target)]
    requests.answer(request, respond(request.message, request.id, { ...result, tools }))
  }

  /** @param isAlone Only this request waits; all others go on. */
  wait(request: OpenRequest, isAlone = false): void {
    const { message, id } = request
    const { requests, connection, memory, parkedRequests, coordinator, loginWaitMs } = this.#options
    const { method } = message
    const waitsForEver = method === 'initialize' || method === 'subscriptions/listen'
    if (!isAlone && !waitsForEver && method !== 'tools/call') {
      if (method === 'tools/list') return void this.#listTools(request)
      if (method === 'server/discover') {
        const answer = memory.load().then((known) => offlineDiscover(request, known))
        return void answer.then((text) => requests.answer(request, text))
      }
      if (method === 'logging/setLevel') {
        connection.level = message.params
        return requests.answer(request, respond(message, id, {}))
      }
      const empty = emptyAnswer(request)
      if (empty !== undefined) return requests.answer(request, empty)
      return this.#refuse(request)
    }
    parkedRequests.add(request, 'sign-in', waitsForEver ? 0 : loginWaitMs, () =>
      this.#refuse(request),
    )
    coordinator.begin()
    if (!waitsForEver) void this.#showPrompt(request)
  }

  /** Somebody waits for this call: the right moment to ask that person to sign in. */
  async #showPrompt(request: OpenRequest): Promise<void> {
    const { coordinator, requests } = this.#options
    await coordinator.whenKnown(LINK_WAIT_MS)
    const { view } = coordinator
    if (!requests.isOpen(request) || this.prompt.show(view)) return
    // nobody sees the page: the answer is the only way to tell where it is
    const isUnseen = view.phase === 'waiting' && (view.tab === 'withheld' || view.tab === 'failed')
    if (isUnseen) this.#refuse(request)
  }

  /** Tells whether a call is for the tool that we offered and the target does not have. */
  isLoginCall({ method, params }: Message): boolean {
    if (!this.#offeredLogin || method !== 'tools/call' || params['name'] !== LOGIN_TOOL)
      return false
    return !hasTool(this.#options.memory.known, LOGIN_TOOL)
  }

  answerLoginCall(request: OpenRequest): void {
    if (this.hasWaiting) return this.wait(request, true)
    const text = `Signed in to ${this.#options.target}. Its tools are available now.`
    this.#options.requests.answer(request, toolText(request, text, false))
  }

  /** Somebody signed in: goes on with the host's `initialize` where it waited for that. */
  onDone(isOtherClient: boolean): void {
    const { parkedRequests, connection, requests } = this.#options
    this.prompt.complete()
    const waiting = parkedRequests.take('sign-in')
    const initialize = waiting.find(({ message }) => message.method === 'initialize')
    const others = waiting.filter((request) => request !== initialize)
    for (const request of others) parkedRequests.add(request, 'connection', 0, () => {})
    if (initialize !== undefined && requests.isOpen(initialize) && !connection.answeredInstead) {
      connection.initialize(initialize)
    } else connection.resume(isOtherClient)
  }

  /** Nobody signed in: whoever waits for it learns why. */
  onFailed(): void {
    this.prompt.complete()
    for (const request of this.#options.parkedRequests.take('sign-in')) {
      request.sentAgain = false
      if (request.message.method !== 'initialize' || !this.#options.connection.answeredInstead) {
        this.#refuse(request)
      }
    }
  }

  /** The user does not want to sign in now; the sign-in itself stays possible. */
  #refuseCalls(): void {
    const { parkedRequests } = this.#options
    for (const request of parkedRequests.take('sign-in')) {
      request.sentAgain = false
      if (request.message.method === 'tools/call') this.#refuse(request)
      else parkedRequests.add(request, 'sign-in', 0, () => {})
    }
  }

  async #listTools(request: OpenRequest): Promise<void> {
    const { memory, coordinator, connection, requests } = this.#options
    const { tools } = await memory.load()
    if (tools === undefined) await coordinator.whenKnown(LINK_WAIT_MS)
    if (connection.phase !== 'signing-in') return this.#options.dispatch(request)
    this.#offeredLogin ||= tools === undefined
    const result = tools ?? { tools: [loginTool(coordinator.view, this.#target)] }
    requests.answer(request, respond(request.message, request.id, result))
  }

  #refuse(request: OpenRequest, text?: string): void {
    const { requests, coordinator } = this.#options
    const why = text ?? describeSignIn(coordinator.view, this.#target)
    if (request.message.method !== 'tools/call') return requests.refuse(request, retryable(why))
    requests.answer(request, toolText(request, why, true))
  }
}

/** Makes the error for what may be had later. */
export function retryable(message: string): WireError {
  return { code: ERROR_CODES.internalError, message, data: { retryable: true } }
}
