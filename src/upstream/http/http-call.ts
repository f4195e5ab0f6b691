import { Roster, type Rostered } from '../../util/roster.js'
import type { Clock } from '../../util/runtime.js'
import type { UpstreamController, UpstreamHandler, UpstreamRequest } from '../upstream.js'
import { codedError, networkCode } from '../upstream-error.js'
import type { Carried, TargetConnection } from './connection.js'
import type { AnswerHead } from './response-head.js'

/** What the calls of one target share. */
export interface CallPlace {
  /** Nothing is sent any more. */
  readonly isClosed: boolean
  readonly clock: Pick<Clock, 'after'>
  readonly patience: Patience
  writeHead(request: UpstreamRequest, bytes: number): string
  /**
   * Has a connection carry a call.
   *
   * @param isFresh No connection that carried others before.
   */
  carry(call: HttpCall, isFresh: boolean): void
  /** Tells whether another try to connect may lead further after this error. */
  mayConnectAgain(code: string): boolean
  isRetrySafe?: ((request: UpstreamRequest) => boolean) | undefined
}

/** What lasts longer is looked at from time to time only. */
const SHORT_MS = 5_000

/** A part of an answer. */
interface Part {
  readonly head?: AnswerHead | undefined
  readonly body?: Buffer | undefined
  readonly isComplete?: boolean
  /** The answer broke off behind what came before. */
  readonly error?: Error
}

const BROKEN: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE'])

/** One request on a connection of ours, and its answer. */
export class HttpCall implements UpstreamController, Carried, Waiting {
  place = -1
  readonly #place: CallPlace
  readonly #request: UpstreamRequest
  readonly #handler: UpstreamHandler
  #connection: TargetConnection | undefined
  #head = ''
  #bytes = 0
  #hasHead = false
  #isRepeated = false
  #isOver = false
  #isPaused = false
  #reason: Error | null = null
  /** What came while the answer was paused. */
  #rest: Part[] | undefined
  #seenAt = 0
  #cancelTimer: (() => void) | undefined

  constructor(place: CallPlace, request: UpstreamRequest, handler: UpstreamHandler) {
    this.#place = place
    this.#request = request
    this.#handler = handler
  }

  get aborted(): boolean {
    return this.#reason !== null
  }

  get reason(): Error | null {
    return this.#reason
  }

  get paused(): boolean {
    return this.#isPaused
  }

  start(): void {
    this.#handler.onRequestStart?.(this, {})
    if (this.#isOver) return
    if (this.#place.isClosed) return this.#fail(codedError('ECONNRESET'))
    const { body } = this.#request
    this.#bytes = body === undefined ? 0 : Buffer.byteLength(body)
    try {
      this.#head = this.#place.writeHead(this.#request, this.#bytes)
    } catch (error) {
      return this.#fail(error as Error)
    }
    this.#place.carry(this, false)
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    this.#finish()
    this.#rest = undefined
    this.#connection?.drop()
    this.#connection = undefined
  }

  pause(): void {
    if (this.#isPaused) return
    this.#isPaused = true
    this.#cancelTimer?.()
    this.#connection?.pause()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    while (this.#rest !== undefined && !this.#isPaused) {
      const part = this.#rest.shift()
      if (part === undefined) this.#rest = undefined
      else if (part.error !== undefined) this.#fail(part.error)
      else this.#deliver(part.head, part.body, part.isComplete === true)
    }
    if (this.#isPaused || this.#isOver) return
    this.#wait(this.#hasHead ? this.#request.bodyTimeout : this.#request.headersTimeout)
    this.#connection?.resume()
  }

  /** On the way of a connection that is not there yet. */
  onCarried(connection: TargetConnection): void {
    this.#connection = connection
  }

  onConnected(connection: TargetConnection): void {
    const { headersTimeout, bodyTimeout, body } = this.#request
    if (headersTimeout >= SHORT_MS || bodyTimeout >= SHORT_MS) this.#place.patience.add(this)
    this.#wait(headersTimeout)
    connection.write(this.#head, body, this.#bytes)
  }

  onAnswer(head: AnswerHead | undefined, body: Buffer | undefined, isComplete: boolean): void {
    if (isComplete) this.#connection = undefined
    if (head !== undefined) this.#hasHead = true
    if (this.#isPaused || this.#rest !== undefined) {
      this.#rest ??= []
      this.#rest.push({ head, body, isComplete })
      return
    }
    if (!isComplete) this.#wait(this.#request.bodyTimeout)
    this.#deliver(head, body, isComplete)
  }

  /** Tells the handler of a part of the answer; from where it pauses on, the rest waits. */
  #deliver(head: AnswerHead | undefined, body: Buffer | undefined, isComplete: boolean): void {
    const handler = this.#handler
    if (head !== undefined && !this.#isOver) {
      handler.onResponseStart?.(this, head.status, head.fields, head.text)
    }
    if (this.#isPaused) return this.#keepFirst({ body, isComplete })
    if (body !== undefined && !this.#isOver) handler.onResponseData?.(this, body)
    if (!isComplete || this.#isOver) return
    if (this.#isPaused) return this.#keepFirst({ isComplete })
    this.#finish()
    handler.onResponseEnd?.(this, {})
  }

  #keepFirst(part: Part): void {
    if (this.#isOver) return
    this.#rest ??= []
    this.#rest.unshift(part)
  }

  onBroken(error: Error, connection: TargetConnection): void {
    this.#connection = undefined
    if (this.#isOver) return
    const code = networkCode(error) ?? ''
    if (!connection.isReady && this.#place.mayConnectAgain(code)) {
      this.#place.carry(this, true)
      return
    }
    const isStale = connection.uses > 1 && BROKEN.has(code) && !this.#hasHead
    if (isStale && !this.#isRepeated && this.#place.isRetrySafe?.(this.#request)) {
      this.#isRepeated = true
      this.#place.carry(this, true)
      return
    }
    // what came before is told first, to whoever wants it
    if (this.#rest === undefined) this.#fail(error)
    else this.#rest.push({ error })
  }

  /** Looks after a while whether something came. */
  expire(): void {
    if (this.#isPaused) return
    const { bodyTimeout, headersTimeout } = this.#request
    const ms = this.#hasHead ? bodyTimeout : headersTimeout
    if (ms >= SHORT_MS && this.#place.patience.hasPassed(ms, this.#seenAt)) this.#isLate()
  }

  /** Waits so long for the next part of the answer; 0 is for ever. */
  #wait(ms: number): void {
    this.#seenAt = this.#place.patience.now
    this.#cancelTimer?.()
    this.#cancelTimer =
      ms > 0 && ms < SHORT_MS ? this.#place.clock.after(ms, () => this.#isLate()) : undefined
  }

  #isLate(): void {
    const connection = this.#connection
    this.#connection = undefined
    connection?.drop()
    this.#fail(codedError(this.#hasHead ? 'UND_ERR_BODY_TIMEOUT' : 'UND_ERR_HEADERS_TIMEOUT'))
  }

  #finish(): void {
    this.#isOver = true
    this.#cancelTimer?.()
    this.#place.patience.delete(this)
  }

  #fail(error: Error): void {
    if (this.#isOver) return
    this.#finish()
    this.#handler.onResponseError?.(this, error)
  }
}

/** So often a pool looks for answers that are late; none of them is given up too early. */
const TICK_MS = 500

/** Something that waits for a target. */
interface Waiting extends Rostered {
  /** Gives up when nothing came for too long. */
  expire(): void
}

/** Finds the answers of a pool that come no further. One timer serves all: nearly none is late. */
export class Patience {
  readonly #clock: Pick<Clock, 'after'>
  readonly #waiting = new Roster<Waiting>()
  readonly #onTick: () => boolean
  #isArmed = false
  #ticks = 0

  /** @param onTick Looks after whatever else lasts too long; returns whether there is more of it. */
  constructor(clock: Pick<Clock, 'after'>, onTick: () => boolean) {
    this.#clock = clock
    this.#onTick = onTick
  }

  /** A point in time, for `hasPassed`. */
  get now(): number {
    return this.#ticks
  }

  hasPassed(ms: number, since: number): boolean {
    // the first of the ticks may have come at once
    return (this.#ticks - since - 1) * TICK_MS >= ms
  }

  add(waiting: Waiting): void {
    this.#waiting.add(waiting)
    this.arm()
  }

  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting)
  }

  arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    this.#clock.after(TICK_MS, () => {
      this.#isArmed = false
      this.#ticks += 1
      this.#waiting.each((waiting) => waiting.expire())
      const isMore = this.#onTick()
      if (isMore || this.#waiting.size > 0) this.arm()
    })
  }
}
