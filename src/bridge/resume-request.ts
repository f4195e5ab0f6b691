import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { incomingOf } from '../mcp/incoming.js'
import { ERROR_CODES } from '../mcp/jsonrpc.js'
import { idText } from '../mcp/message.js'
import { type EventFields, retryOf } from '../mcp/sse.js'
import { streamMayPass } from '../util/failure.js'
import type { Clock } from '../util/runtime.js'
import type { GatewayClient } from './gateway-client.js'
import type { HostConnection } from './host.js'
import type { OpenRequest, OpenRequests } from './requests.js'

interface ResumeOptions {
  clock: Clock
  gatewayClient: Pick<GatewayClient, 'listen'>
  host: Pick<HostConnection, 'send'>
  requests: OpenRequests
}

/** When the stream cannot be opened again within this time, its request fails. */
const GIVE_UP_MS = 5_000

const FIRST_PAUSE_MS = 250

/** When the stream ends again and again and brings nothing for this time, its request fails. */
const SILENCE_MS = 300_000

/**
 * Opens the stream of a request again that ended before the answer, as often as it takes.
 *
 * @param firstEventId The last event that came on the stream that ended.
 * @param firstRetryMs How long the target asked to wait before coming back.
 */
export function resumeAnswer(
  { clock, gatewayClient, host, requests }: ResumeOptions,
  request: OpenRequest,
  firstEventId: string,
  firstRetryMs: number | undefined,
): void {
  let lastEventId = firstEventId
  let retryMs = firstRetryMs
  /** When the last event came. */
  let heardAt = clock.now()
  /** Since when there is no stream, or since when it was to be opened. */
  let brokenAt = 0

  const giveUp = (reason: string) => requests.refuse(request, cutOff(reason))

  function openAfter(ms: number): void {
    clock.after(ms, () => {
      if (requests.isOpen(request)) open()
    })
  }

  function start(): void {
    const pause = retryMs ?? FIRST_PAUSE_MS
    brokenAt = clock.now() + pause
    openAfter(pause)
  }

  function tryAgain(reason: string): void {
    if (clock.now() - brokenAt >= GIVE_UP_MS) giveUp(reason)
    else openAfter(FIRST_PAUSE_MS * 2)
  }

  function open(): void {
    const listener = {
      opened() {
        brokenAt = clock.now()
      },
      event: take,
      ended() {
        if (!requests.isOpen(request)) return
        if (clock.now() - heardAt > SILENCE_MS) giveUp('its answer never came')
        else start()
      },
      answer: () => tryAgain('its stream could not be resumed'),
      empty: () => giveUp('its stream cannot be resumed'),
    }
    request.reply = gatewayClient.listen(listener, lastEventId, (failure: TargetFailure) => {
      if (streamMayPass(failure)) tryAgain(failure.reason)
      else giveUp(failure.reason)
      return true
    })
  }

  function take(fields: EventFields): void {
    heardAt = clock.now()
    lastEventId = fields.id ?? lastEventId
    retryMs = retryOf(fields) ?? retryMs
    const awaited = { id: request.id, idText: () => idText(request.message) }
    for (const { kind, text } of incomingOf(fields, awaited)) {
      if (kind === 'message') host.send(text)
      else if (kind === 'response') {
        requests.answer(request, text)
        return request.reply?.close()
      }
    }
  }

  start()
}

function cutOff(reason: string) {
  const message = `The target was cut off before its answer, and ${reason}; the request may have run`
  return { code: ERROR_CODES.internalError, message, data: { cause: 'cut_off' } }
}
