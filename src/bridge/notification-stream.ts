import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { messagesIn } from '../mcp/incoming.js'
import { type EventFields, retryOf } from '../mcp/sse.js'
import { createBackoff, parseRetryAfter } from '../util/async.js'
import { streamMayPass } from '../util/failure.js'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { GatewayClient } from './gateway-client.js'
import type { HostConnection } from './host.js'
import type { MessageReply } from './requests.js'

interface StreamListenerOptions {
  clock: Clock
  random: () => number
  gatewayClient: Pick<GatewayClient, 'listen'>
  host: Pick<HostConnection, 'send'>
  logger: Logger
  /** The target forgot the session: something has to open it again before this can go on. */
  onSessionLost(): void
}

const FIRST_PAUSE_MS = 1_000

const LAST_PAUSE_MS = 60_000

const LONGEST_RETRY_MS = 3_600_000

/** After a stream lasted this long, the pauses begin anew with the shortest. */
const GOOD_MS = 30_000

/**
 * Keeps the stream open on which a target sends messages that answer no request. When it ends, it is
 * opened again, at most once a second; only a target that says that it has no such stream gets no further request
 * again.
 */
export function createStreamListener(options: StreamListenerOptions) {
  const { clock, random, gatewayClient, host, logger, onSessionLost } = options
  const backoff = createBackoff(FIRST_PAUSE_MS, LAST_PAUSE_MS, random)
  let state: 'idle' | 'opening' | 'open' | 'pausing' | 'off' = 'idle'
  let reply: MessageReply | undefined
  let lastEventId: string | undefined
  let retryMs: number | undefined
  let cancelPause = () => {}

  function abandon(): void {
    cancelPause()
    const old = reply
    reply = undefined
    old?.close()
  }

  function stop(): void {
    abandon()
    state = 'off'
  }

  function pause(ms: number): void {
    reply = undefined
    state = 'pausing'
    cancelPause = clock.after(Math.min(Math.max(ms, FIRST_PAUSE_MS), LONGEST_RETRY_MS), open)
  }

  function open(): void {
    state = 'opening'
    const openedAt = clock.now()
    const listener = {
      opened() {
        state = 'open'
      },
      event: take,
      ended() {
        if (clock.now() - openedAt > GOOD_MS) backoff.reset()
        pause(retryMs ?? backoff.next())
      },
      answer: () => pause(backoff.next()),
      empty: stop,
    }
    const opened = gatewayClient.listen(listener, lastEventId, failed)
    if (state === 'opening') reply = opened
  }

  function take(fields: EventFields): void {
    lastEventId = fields.id ?? lastEventId
    retryMs = retryOf(fields) ?? retryMs
    if (!fields.data) return
    backoff.reset()
    const messages = messagesIn(fields)
    if (messages.length === 0) {
      logger.debug('withheld', 'The stream brought what is no request or notification')
    }
    for (const message of messages) host.send(message)
  }

  function failed(failure: TargetFailure): true {
    const { cause, httpStatus, reason } = failure
    logger.debug('stream_failed', `The stream of ${failure.target}: ${reason}`)
    const refusesEventId = lastEventId !== undefined && (httpStatus === 400 || httpStatus === 404)
    if (cause === 'session_lost') onSessionLost()
    else if (cause === 'sign_in_required' || cause === 'refused_credential') {
      state = 'idle'
      return true
    } else if (refusesEventId) lastEventId = undefined
    else if (!streamMayPass(failure)) {
      stop()
      return true
    }
    pause(parseRetryAfter(failure.retryAfter, clock.now()) ?? backoff.next())
    return true
  }

  return {
    get isOpen(): boolean {
      return state === 'open'
    },
    /** Opens the stream, unless it is open or the target has none. */
    start(): void {
      if (state === 'idle') open()
    },
    /** Opens it anew after a pause, whatever became of the old one. */
    restart(pauseMs: number): void {
      if (state === 'off' || state === 'idle') return
      abandon()
      pause(pauseMs)
    },
    /** Forgets the stream of a session that is over. */
    reset(): void {
      abandon()
      state = 'idle'
      lastEventId = undefined
    },
    stop,
  }
}
