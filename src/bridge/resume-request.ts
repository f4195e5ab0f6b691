import type { TargetFailure } from '../gateway/forwarding/target-failure.js'
import { messageData, readIncoming } from '../mcp/incoming.js'
import { ERROR_CODES } from '../mcp/jsonrpc.js'
import { idText } from '../mcp/message.js'
import { type EventFields, retryOf } from '../mcp/sse.js'
import { streamMayPass } from '../util/failure.js'
import type { Clock } from '../util/runtime.js'
import type { GatewayClient } from './gateway-client.js'
import type { HostConnection } from './host.js'
import type { OpenRequest, OpenRequests } from './requests.js'

export interface ResumeOptions {
  clock: Clock
  gatewayClient: Pick<GatewayClient, 'listen'>
  host: Pick<HostConnection, 'send'>
  requests: OpenRequests
}

/** Within this time a stream is gone on with, or its request has failed. */
const GIVE_UP_MS = 5_000

const FIRST_PAUSE_MS = 250

/** A target that ends the stream again and again without a word is not waited for longer. */
const SILENCE_MS = 300_000

/**
 * Goes on with the stream of a request that ended before its answer.
 *
 * @param lastEventId The last event that came.
 * @param retryMs What the target asked to wait before coming back.
 */
export function resumeAnswer(
  options: ResumeOptions,
  request: OpenRequest,
  lastEventId: string,
  retryMs: number | undefined,
): void {
  new Resumption(options, request, lastEventId, retryMs).start()
}

class Resumption {
  readonly #options: ResumeOptions
  readonly #request: OpenRequest
  #lastEventId: string
  #retryMs: number | undefined
  /** When the target was last heard of. */
  #heardAt: number
  #brokenAt: number

  constructor(
    options: ResumeOptions,
    request: OpenRequest,
    lastEventId: string,
    retryMs: number | undefined,
  ) {
    this.#options = options
    this.#request = request
    this.#lastEventId = lastEventId
    this.#retryMs = retryMs
    this.#heardAt = options.clock.now()
    this.#brokenAt = this.#heardAt
  }

  start(): void {
    const pause = this.#retryMs ?? FIRST_PAUSE_MS
    this.#brokenAt = this.#options.clock.now() + pause
    this.#after(pause)
  }

  #after(ms: number): void {
    const { clock, requests } = this.#options
    clock.after(ms, () => {
      if (requests.isOpen(this.#request)) this.#open()
    })
  }

  #open(): void {
    const { gatewayClient, clock } = this.#options
    this.#request.reply = gatewayClient.listen(
      {
        opened: () => {
          this.#brokenAt = clock.now()
        },
        event: (fields) => this.#take(fields),
        ended: () => this.#ended(),
        answer: () => this.#tryAgain('its stream could not be resumed'),
        empty: () => this.#giveUp('its stream cannot be resumed'),
      },
      this.#lastEventId,
      (failure) => this.#failed(failure),
    )
  }

  #take(fields: EventFields): void {
    const { id } = fields
    const { clock, host, requests } = this.#options
    this.#heardAt = clock.now()
    if (id !== undefined) this.#lastEventId = id
    this.#retryMs = retryOf(fields) ?? this.#retryMs
    const message = messageData(fields)
    const { id: ownId, message: asked, reply } = this.#request
    const awaited = { id: ownId, idText: () => idText(asked) }
    for (const { kind, text } of message === undefined ? [] : readIncoming(message, awaited)) {
      if (kind === 'message') host.send(text)
      else if (kind === 'response') {
        requests.answer(this.#request, text)
        return reply?.close()
      }
    }
  }

  #ended(): void {
    const { clock, requests } = this.#options
    if (!requests.isOpen(this.#request)) return
    if (clock.now() - this.#heardAt > SILENCE_MS) return this.#giveUp('its answer never came')
    this.#retryMs ??= FIRST_PAUSE_MS
    this.start()
  }

  #failed(failure: TargetFailure): boolean {
    if (streamMayPass(failure)) this.#tryAgain(failure.reason)
    else this.#giveUp(failure.reason)
    return true
  }

  #tryAgain(reason: string): void {
    if (this.#options.clock.now() - this.#brokenAt >= GIVE_UP_MS) return this.#giveUp(reason)
    this.#after(FIRST_PAUSE_MS * 2)
  }

  #giveUp(reason: string): void {
    this.#options.requests.refuse(this.#request, cutOff(reason))
  }
}

function cutOff(reason: string) {
  const message = `The target was cut off before its answer, and ${reason}; the request may have run`
  return { code: ERROR_CODES.internalError, message, data: { cause: 'cut_off' } }
}
