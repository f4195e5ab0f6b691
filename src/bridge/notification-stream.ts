import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { messagesIn } from '../mcp/incoming.js'
import { type EventFields, retryOf } from '../mcp/sse.js'
import { type Backoff, createBackoff, parseRetryAfter } from '../util/async.js'
import { streamMayPass } from '../util/failure.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { GatewayClient } from './gateway-client.js'
import type { HostConnection } from './host.js'
import type { MessageReply } from './requests.js'

export interface StreamListenerOptions {
  clock: Clock
  random: () => number
  gatewayClient: Pick<GatewayClient, 'listen'>
  host: Pick<HostConnection, 'send'>
  logger: Logger
  /** The target forgot the session: something has to open it again before this can go on. */
  onSessionLost(): void
}

const FIRST_MS = 1_000

const LAST_MS = 60_000

/** A stream that lasted so long was a good one. */
const GOOD_MS = 30_000

const LONGEST_RETRY_MS = 3_600_000

/**
 * Keeps the stream open on which a target sends what nobody asked for. When it ends, it is opened
 * again, at most once a second; for good it ends only when the target says that there is none.
 */
export class StreamListener {
  readonly #options: StreamListenerOptions
  readonly #backoff: Backoff
  #state: 'idle' | 'opening' | 'open' | 'pausing' | 'off' = 'idle'
  #reply: MessageReply | undefined
  #lastEventId: string | undefined
  #retryMs: number | undefined
  #openedAt = 0
  #cancelPause = () => {}

  constructor(options: StreamListenerOptions) {
    this.#options = options
    this.#backoff = createBackoff(FIRST_MS, LAST_MS, options.random)
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Opens the stream, unless it is open or the target has none. */
  start(): void {
    if (this.#state === 'idle') this.#open()
  }

  /** Opens it anew after a pause, whatever became of the old one. */
  restart(pauseMs: number): void {
    if (this.#state === 'off' || this.#state === 'idle') return
    this.#abandon()
    this.#pause(pauseMs)
  }

  /** Forgets the stream of a session that is over. */
  reset(): void {
    this.#abandon()
    this.#state = 'idle'
    this.#lastEventId = undefined
  }

  stop(): void {
    this.#abandon()
    this.#state = 'off'
  }

  #abandon(): void {
    this.#cancelPause()
    const reply = this.#reply
    this.#reply = undefined
    reply?.close()
  }

  #open(): void {
    this.#state = 'opening'
    const { gatewayClient, clock } = this.#options
    this.#openedAt = clock.now()
    const reply: MessageReply = gatewayClient.listen(
      {
        opened: () => {
          this.#state = 'open'
        },
        event: (fields) => this.#take(fields),
        ended: () => {
          if (clock.now() - this.#openedAt > GOOD_MS) this.#backoff.reset()
          this.#pause(this.#retryMs ?? this.#backoff.next())
        },
        answer: () => this.#pause(this.#backoff.next()),
        empty: () => this.stop(),
      },
      this.#lastEventId,
      (failure) => this.#failed(failure),
    )
    if (this.#state === 'opening') this.#reply = reply
  }

  #take(fields: EventFields): void {
    const { data, id } = fields
    if (id !== undefined) this.#lastEventId = id
    this.#retryMs = retryOf(fields) ?? this.#retryMs
    if (!data) return
    this.#backoff.reset()
    const messages = messagesIn(fields)
    // no request waits for an answer here
    if (messages.length === 0) {
      const text = 'The stream brought what is no request or notification'
      this.#options.logger.debug('withheld', text)
    }
    for (const message of messages) this.#options.host.send(message)
  }

  #failed(failure: TargetFailure): boolean {
    const { clock, logger, onSessionLost } = this.#options
    const { cause, httpStatus = 0, reason } = failure
    logger.debug('stream_failed', `The stream of ${failure.target}: ${reason}`)
    if (cause === 'session_lost') onSessionLost()
    else if (cause === 'sign_in_required' || cause === 'refused_credential') {
      this.#state = 'idle'
      return true
    } else if (this.#lastEventId !== undefined && (httpStatus === 400 || httpStatus === 404)) {
      this.#lastEventId = undefined
    } else if (!streamMayPass(failure)) {
      this.stop()
      return true
    }
    this.#pause(parseRetryAfter(failure.retryAfter, clock.now()) ?? this.#backoff.next())
    return true
  }

  #pause(ms: number): void {
    this.#reply = undefined
    this.#state = 'pausing'
    const pause = Math.min(Math.max(ms, FIRST_MS), LONGEST_RETRY_MS)
    this.#cancelPause = this.#options.clock.after(pause, () => this.#open())
  }
}
