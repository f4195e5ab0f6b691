import type { SignInNeed } from '../auth/tokens/token-store.js'
import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { notificationText } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { type Backoff, createBackoff, parseRetryAfter, sleep } from '../util/async.js'
import { mayPass } from '../util/failure.js'
import { type JsonObject, objectMember, tryParseJson } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { BridgeSession, GatewayClient } from './gateway-client.js'
import type { HostConnection } from './host.js'
import { type Memory, offlineInitialize } from './offline.js'
import type { OpenRequest, OpenRequests } from './requests.js'

/** When the target needs longer for `initialize`, we answer in its place, or the host would give up. */
const PATIENCE_MS = 8_000

const FIRST_RETRY_MS = 1_000
const LAST_RETRY_MS = 60_000

const MAX_UNSENT = 100

/** How long one of the unsent messages may take before the next one is sent. */
const UNSENT_MS = 3_000

/** Opens the session at the target, and answers `initialize` in its place when it cannot. */
export class Connection {
  phase: Phase = 'starting'
  /** Parameters of the host's `logging/setLevel` that the target did not get yet. */
  level: JsonObject | undefined
  /** We answered the host's `initialize` in place of the target. */
  answeredInstead = false
  /** The host sent `notifications/initialized`. */
  isHostReady = false
  readonly #options: ConnectionOptions
  readonly #backoff: Backoff
  /** The host is to be told that lists changed, as soon as it is ready. */
  #hasUntoldChanges = false
  /** A session is opened again, for which the host sends no second `notifications/initialized`. */
  #opensAnew = false
  /** Messages without an answer that the target refuses until somebody signs in. */
  #unsent: Message[] = []
  /** Messages that were sent a second time: one that is refused again is dropped. */
  readonly #sentAgain = new WeakSet<Message>()
  #cancelRetry = () => {}

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#backoff = createBackoff(FIRST_RETRY_MS, LAST_RETRY_MS, options.random)
  }

  /** Passes the host's `initialize` on. */
  initialize(request: OpenRequest): void {
    const { gatewayClient, session, clock, requests, logger } = this.#options
    session.hostParams = request.message.params
    this.#dropSession()
    this.#unsent = []
    this.answeredInstead = false
    this.isHostReady = false
    this.phase = 'connecting'
    const cancelPatience = clock.after(PATIENCE_MS, () => this.#answerInstead(request))
    request.stopWaiting = cancelPatience
    request.reply = gatewayClient.request(request.message, {
      answered: (text, sessionId) => {
        cancelPatience()
        const result = objectMember(tryParseJson(text), 'result')
        if (result !== undefined) this.#connected(result, sessionId)
        else if (this.phase === 'connecting') this.phase = 'starting'
        requests.answer(request, text)
      },
      failed: (failure) => {
        cancelPatience()
        if (failure.need !== undefined) {
          this.#answerInstead(request)
          this.phase = 'signing-in'
          this.#options.onSignInNeeded(failure.need, request)
          return true
        }
        if (!mayPass(failure)) return this.#giveUp(failure)
        logger.warn('target_unavailable', `${failure.target}: ${failure.reason}`)
        this.#answerInstead(request, true)
        this.#retryLater(failure)
        return true
      },
    })
  }

  /** Takes `notifications/initialized`; returns whether the target is to be told. */
  markHostReady(): boolean {
    this.isHostReady = true
    if (this.#hasUntoldChanges) this.tellChanges()
    return !this.answeredInstead
  }

  /** Keeps a message that the target refused until somebody signs in; false when it is dropped. */
  keepUnsent(message: Message): boolean {
    const isMore = !this.#sentAgain.has(message) && this.#unsent.length < MAX_UNSENT
    if (isMore) this.#unsent.push(message)
    return isMore
  }

  /**
   * Goes on after somebody signed in.
   *
   * @param isOtherClient The new tokens are another OAuth client's. Servers bind sessions to clients,
   *   so that a new session is opened.
   */
  resume(isOtherClient: boolean): void {
    const { session, onReady } = this.#options
    if (isOtherClient && session.sealed !== undefined) {
      this.#dropSession()
      this.#opensAnew = true
    }
    if (session.hostParams !== undefined && session.version === undefined) return this.connect()
    void this.#sendUnsent().then(() => {
      if (this.phase === 'closing') return
      this.phase = 'ready'
      this.tellChanges()
      onReady(false)
    })
  }

  async #sendUnsent(): Promise<void> {
    const { gatewayClient, clock } = this.#options
    for (const message of this.#unsent.splice(0)) {
      this.#sentAgain.add(message)
      await Promise.race([gatewayClient.send(message), sleep(clock, UNSENT_MS)])
    }
  }

  /** Opens the session with an `initialize` of our own, because the host has its answer already. */
  connect(): void {
    const { gatewayClient, session, onSignInNeeded, logger, target } = this.#options
    if (this.phase === 'connecting' || this.phase === 'closing') return
    this.#cancelRetry()
    this.phase = 'connecting'
    void gatewayClient.call('initialize', session.hostParams ?? {}).then((outcome) => {
      if (this.phase !== 'connecting') return
      if (outcome.ok) return this.#connected(outcome.result, outcome.sessionId)
      const { failure, text } = outcome
      if (failure?.need !== undefined) {
        this.phase = 'signing-in'
        return onSignInNeeded(failure.need, undefined)
      }
      logger.debug('target_unavailable', failure?.reason ?? text)
      this.#retryLater(
        failure ?? { cause: 'invalid_answer', target, reason: 'it refused initialize' },
      )
    })
  }

  /** Tells the host that every list of the target may have changed. */
  tellChanges(): void {
    const { host, session } = this.#options
    this.#hasUntoldChanges = !this.isHostReady
    if (this.#hasUntoldChanges || session.hostParams === undefined) return
    for (const kind of ['tools', 'prompts', 'resources']) {
      host.send(notificationText(`notifications/${kind}/list_changed`))
    }
  }

  /** Drops the session of somebody who signed out, or in whose place somebody else signed in. */
  forget(reconnects: boolean): void {
    if (this.phase !== 'ready' || this.#options.session.hostParams === undefined) return
    this.#dropSession()
    this.answeredInstead = true // the host has its answer to `initialize` already
    this.phase = 'degraded'
    if (reconnects) this.connect()
  }

  close(): void {
    this.phase = 'closing'
    this.#cancelRetry()
  }

  #dropSession(): void {
    const { session } = this.#options
    session.sealed = undefined
    session.version = undefined
  }

  #connected(result: JsonObject, sessionId: string | undefined): void {
    const { session, memory, gatewayClient, logger, target, onReady } = this.#options
    session.sealed = sessionId
    session.version = String(result['protocolVersion'])
    session.capabilities = objectMember(result, 'capabilities') ?? {}
    memory.keep('initialize', result)
    this.#backoff.reset()
    this.phase = 'ready'
    logger.info('connected', `Connected to ${target}`)
    if (this.#opensAnew || this.answeredInstead) gatewayClient.notify('notifications/initialized')
    this.#opensAnew = false
    if (this.answeredInstead) {
      if (this.level !== undefined) void gatewayClient.call('logging/setLevel', this.level)
      this.level = undefined
      this.tellChanges()
    }
    onReady(true)
  }

  #answerInstead(request: OpenRequest, evenIfWaiting = false): void {
    const { memory, requests, waitForLogin } = this.#options
    if ((waitForLogin && !evenIfWaiting) || this.answeredInstead) return
    this.answeredInstead = true
    void memory.load().then((known) => requests.answer(request, offlineInitialize(request, known)))
  }

  /** Takes a failure that will not pass; returns whether the host was answered before it came. */
  #giveUp(failure: TargetFailure): boolean {
    if (this.answeredInstead) this.#retryLater(failure)
    else if (this.phase === 'connecting') this.phase = 'starting'
    return this.answeredInstead
  }

  #retryLater(failure: TargetFailure): void {
    const { clock, onUnreachable } = this.#options
    this.phase = 'degraded'
    const requested = parseRetryAfter(failure.retryAfter, clock.now())
    this.#cancelRetry = clock.after(requested ?? this.#backoff.next(), () => this.connect())
    onUnreachable(failure)
  }
}

/**
 * - `starting`: the host did not say `initialize` yet
 * - `connecting`: the request was sent and is not answered yet
 * - `ready`: messages go to the target
 * - `signing-in`: they wait for somebody to sign in
 * - `degraded`: the target cannot be reached, and we go on trying
 */
type Phase = 'starting' | 'connecting' | 'ready' | 'signing-in' | 'degraded' | 'closing'

export interface ConnectionOptions {
  clock: Clock
  logger: Logger
  random: () => number
  host: HostConnection
  gatewayClient: GatewayClient
  session: BridgeSession
  memory: Memory
  requests: OpenRequests
  /** Name of the target, for people. */
  target: string
  /** The host waits for the sign-in instead of getting an answer of ours. */
  waitForLogin: boolean
  /**
   * Messages may go to the target from now on.
   *
   * @param isConnected The target just answered `initialize`.
   */
  onReady(isConnected: boolean): void
  /** Somebody has to sign in; `request` waits for that. */
  onSignInNeeded(need: SignInNeed, request: OpenRequest | undefined): void
  onUnreachable(failure: TargetFailure): void
}
