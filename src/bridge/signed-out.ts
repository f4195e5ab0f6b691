import { requiresMore, requiresStepUp } from '../auth/tokens/token-source.js'
import type { SignInNeed } from '../auth/tokens/token-store.js'
import { ERROR_CODES, type WireError } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { objectMember, tryParseJson } from '../util/json.js'
import type { Connection, ConnectionOptions } from './connection.js'
import { emptyAnswer, hasTool, offlineDiscover } from './offline.js'
import type { OpenRequest, ParkedRequests } from './requests.js'
import type { SignInCoordinator } from './sign-in-coordinator.js'
import {
  createLoginPrompt,
  describeSignIn,
  LOGIN_TOOL,
  loginTool,
  respond,
  toolText,
} from './sign-in-messages.js'

interface SignedOutOptions
  extends Pick<ConnectionOptions, 'memory' | 'requests' | 'host' | 'session' | 'target'> {
  parkedRequests: ParkedRequests
  connection: Connection
  coordinator: SignInCoordinator
  /** How long a call waits for a sign-in, milliseconds. */
  loginWaitMs: number
  /** Handles a request as if it had just come: it need not wait after all. */
  dispatch(request: OpenRequest): void
}

/** How long an answer waits until the sign-in has a URL that it can name. */
const LINK_WAIT_MS = 5_000

/** Answers the host's requests while somebody has to sign in, or holds them back until then. */
export class SignedOut {
  readonly #options: SignedOutOptions
  readonly prompt: ReturnType<typeof createLoginPrompt>
  /** A list of tools that the host got had our login tool in it. */
  #offeredLogin = false

  constructor(options: SignedOutOptions) {
    this.#options = options
    this.prompt = createLoginPrompt({ ...options, onDeclined: () => this.#refuseCalls() })
  }

  /** Starts the sign-in that a request turned out to need. */
  begin(request: OpenRequest | undefined, need: SignInNeed): void {
    const { coordinator, parkedRequests, connection, target } = this.#options
    coordinator.note(need)
    if (request?.sentAgain) {
      const why = requiresStepUp(need.challenge) ? ': it wants a sign-in with a step-up' : ''
      return this.#refuse(request, `${target} refuses this even after a sign-in${why}.`)
    }
    const isAlone =
      requiresMore(need.challenge) || (need.target !== undefined && connection.phase === 'ready')
    if (!isAlone) connection.phase = 'signing-in'
    coordinator.begin()
    for (const waiting of parkedRequests.take('connection')) this.wait(waiting)
    if (request !== undefined) this.wait(request, isAlone)
  }

  /** Name of what somebody has to sign in to, for people. */
  get #target(): string {
    return this.#options.coordinator.need?.target ?? this.#options.target
  }

  /** Tells whether one of several targets waits for a sign-in; the others go on meanwhile. */
  get hasWaiting(): boolean {
    return this.#options.coordinator.need?.target !== undefined
  }

  /** Starts the sign-in for one of several targets, if one waits for it. */
  offer(): void {
    if (this.hasWaiting) this.#options.coordinator.begin()
  }

  /** Answers with the tools that came, and with the login tool while a target waits for a sign-in. */
  async addLoginTool(request: OpenRequest, text: string): Promise<void> {
    const { coordinator, requests } = this.#options
    this.offer()
    await coordinator.whenKnown(LINK_WAIT_MS)
    const result = objectMember(tryParseJson(text), 'result')
    if (!this.hasWaiting || result === undefined || !Array.isArray(result['tools'])) {
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

  /** Asks the user to sign in, in the host where it can show that, else by the answer to this call. */
  async #showPrompt(request: OpenRequest): Promise<void> {
    const { coordinator, requests } = this.#options
    await coordinator.whenKnown(LINK_WAIT_MS)
    const { view } = coordinator
    if (!requests.isOpen(request) || this.prompt.show(view)) return
    // no page was opened, so that only the answer can tell the user where to sign in
    if (view.phase !== 'waiting') return
    if (view.tab === 'withheld' || view.tab === 'failed') this.#refuse(request)
  }

  /** Tells whether a call is for our login tool, and not for a tool of the target with its name. */
  isLoginCall({ method, params }: Message): boolean {
    const isLogin = this.#offeredLogin && method === 'tools/call' && params['name'] === LOGIN_TOOL
    return isLogin && !hasTool(this.#options.memory.known, LOGIN_TOOL)
  }

  answerLoginCall(request: OpenRequest): void {
    if (this.hasWaiting) return this.wait(request, true)
    const text = `Signed in to ${this.#options.target}. Its tools are available now.`
    this.#options.requests.answer(request, toolText(request, text, false))
  }

  /** Somebody signed in: sends the host's `initialize` if it waited, and goes on with the other requests. */
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

  /** The sign-in failed: answers the requests that wait for it with the reason. */
  onFailed(): void {
    this.prompt.complete()
    for (const request of this.#options.parkedRequests.take('sign-in')) {
      request.sentAgain = false
      if (request.message.method !== 'initialize' || !this.#options.connection.answeredInstead) {
        this.#refuse(request)
      }
    }
  }

  /** The user declined our prompt: answers the calls that wait. The sign-in goes on all the same. */
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

/** Makes the error of a request that may succeed later. */
export function retryable(message: string): WireError {
  return { code: ERROR_CODES.internalError, message, data: { retryable: true } }
}
