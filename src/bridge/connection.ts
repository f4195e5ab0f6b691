import type { SignInNeed } from '../auth/tokens/token-store.js'
import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import type { Message } from '../mcp/message.js'
import { type Backoff, createBackoff, parseRetryAfter, sleep } from '../util/async.js'
import { mayPass } from '../util/failure.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { BridgeSession, GatewayClient } from './gateway-client.js'
import type { HostConnection } from './host.js'
import { type Memory, offlineInitialize } from './offline.js'
import type { OpenRequest, OpenRequests } from './requests.js'

/** A target that needs longer is answered for, so that the host does not give up. */
const PATIENCE_MS = 8_000

const FIRST_RETRY_MS = 1_000

const LAST_RETRY_MS = 60_000

const [MAX_UNSENT, UNSENT_MS] = [100, 3_000]

const CHANGED = ['tools', 'prompts', 'resources'] as const

/** Opens the session at the target, and answers `initialize` in its place when it cannot. */
export class Connection {
  phase: Phase = 'starting'
  /** The level that the host asked for while the target could not be told. */
  level: JsonObject | undefined
  readonly #options: ConnectionOptions
  readonly #backoff: Backoff
  #answeredInstead = false
  #hostIsReady = false
  #hasUntoldChanges = false
  /** The host knows the target already, so that it will not say that it is ready once more. */
  #opensAnew = false
  /** Refused until somebody signs in; bounded, for a host may go on and on. */
  #unsent: Message[] = []
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
    session.sealed = undefined
    session.version = undefined
    this.#unsent = []
    this.#answeredInstead = false
    this.#hostIsReady = false
    this.phase = 'connecting'
    const cancelPatience = clock.after(PATIENCE_MS, () => this.#answerInstead(request))
    request.stopWaiting = cancelPatience
    request.reply = gatewayClient.request(request.message, {
      answered: (text, sessionId) => {
        cancelPatience()
        const message = tryParseJson(text)
        const result = isObject(message) ? message['result'] : undefined
        if (isObject(result)) this.#connected(result, sessionId)
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

  /** The host was answered by us. */
  get answeredInstead(): boolean {
    return this.#answeredInstead
  }

  /** Takes `notifications/initialized`; returns whether the target is to be told. */
  markHostReady(): boolean {
    this.#hostIsReady = true
    if (this.#hasUntoldChanges) this.tellChanges()
    return !this.#answeredInstead
  }

  get isHostReady(): boolean {
    return this.#hostIsReady
  }

  /** Keeps what the target refused, for the time after a sign-in; once each. */
  keepUnsent(message: Message): boolean {
    const isMore = !this.#sentAgain.has(message) && this.#unsent.length < MAX_UNSENT
    if (isMore) this.#unsent.push(message)
    return isMore
  }

  /**
   * Goes on after somebody signed in.
   *
   * @param isOtherClient Servers bind sessions to clients, and forget the call of another one, so
   *   the session is opened anew.
   */
  resume(isOtherClient: boolean): void {
    const { session, onReady } = this.#options
    if (isOtherClient && session.sealed !== undefined) {
      session.sealed = undefined
      session.version = undefined
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

  /** Opens the session ourselves, because the host was answered already. */
  connect(): void {
    const { gatewayClient, session, onSignInNeeded, logger } = this.#options
    if (this.phase === 'connecting' || this.phase === 'closing') return
    this.#cancelRetry()
    this.phase = 'connecting'
    void gatewayClient.ask('initialize', session.hostParams ?? {}).then((outcome) => {
      if (this.phase !== 'connecting') return
      if (outcome.ok) return this.#connected(outcome.result, outcome.sessionId)
      const { failure, text } = outcome
      if (failure?.need !== undefined) {
        this.phase = 'signing-in'
        return onSignInNeeded(failure.need, undefined)
      }
      logger.debug('target_unavailable', failure?.reason ?? text)
      this.#retryLater(failure ?? refusal(this.#options.target))
    })
  }

  /** Tells the host that everything it knows of the target may have changed. */
  tellChanges(): void {
    this.#hasUntoldChanges = !this.#hostIsReady
    if (this.#hasUntoldChanges || this.#options.session.hostParams === undefined) return
    for (const kind of CHANGED) {
      const method = `notifications/${kind}/list_changed`
      this.#options.host.send(JSON.stringify({ jsonrpc: '2.0', method }))
    }
  }

  /** Nobody is signed in any more, or somebody else: the session of the one before is over. */
  forget(reconnects: boolean): void {
    const { session } = this.#options
    if (this.phase !== 'ready' || session.hostParams === undefined) return
    session.sealed = undefined
    session.version = undefined
    this.#answeredInstead = true // the host was answered long ago
    this.phase = 'degraded'
    if (reconnects) this.connect()
  }

  close(): void {
    this.phase = 'closing'
    this.#cancelRetry()
  }

  #connected(result: JsonObject, sessionId: string | undefined): void {
    const { session, memory, gatewayClient, logger, target, onReady } = this.#options
    session.sealed = sessionId
    session.version = String(result['protocolVersion'])
    session.capabilities = isObject(result['capabilities']) ? result['capabilities'] : {}
    memory.keep('initialize', result)
    this.#backoff.reset()
    this.phase = 'ready'
    logger.info('connected', `Connected to ${target}`)
    if (this.#opensAnew && !this.#answeredInstead) gatewayClient.notify('notifications/initialized')
    this.#opensAnew = false
    if (this.#answeredInstead) {
      gatewayClient.notify('notifications/initialized')
      if (this.level !== undefined) void gatewayClient.ask('logging/setLevel', this.level)
      this.level = undefined
      this.tellChanges()
    }
    onReady(true)
  }

  #answerInstead(request: OpenRequest, evenIfWaiting = false): void {
    const { memory, requests, waitForLogin } = this.#options
    if ((waitForLogin && !evenIfWaiting) || this.#answeredInstead) return
    this.#answeredInstead = true
    void memory.load().then((known) => requests.answer(request, offlineInitialize(request, known)))
  }

  #giveUp(failure: TargetFailure): boolean {
    if (this.phase === 'connecting') this.phase = this.#answeredInstead ? 'degraded' : 'starting'
    if (this.#answeredInstead) this.#retryLater(failure)
    return this.#answeredInstead
  }

  #retryLater(failure: TargetFailure): void {
    const { clock, onUnreachable } = this.#options
    this.phase = 'degraded'
    const asked = parseRetryAfter(failure.retryAfter, clock.now())
    this.#cancelRetry = clock.after(asked ?? this.#backoff.next(), () => this.connect())
    onUnreachable(failure)
  }
}

/**
 * - `starting`: the host did not say `initialize` yet
 * - `connecting`: the target was asked and did not answer yet
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
  /** Messages may go to the target from now on. @param isConnected It was just asked. */
  onReady(isConnected: boolean): void
  /** Somebody has to sign in; `request` waits for that. */
  onSignInNeeded(need: SignInNeed, request: OpenRequest | undefined): void
  onUnreachable(failure: TargetFailure): void
}

/** The failure of a target that answers, and wants no conversation. */
function refusal(target: string): TargetFailure {
  return { cause: 'invalid_answer', target, reason: 'it refused initialize' }
}
