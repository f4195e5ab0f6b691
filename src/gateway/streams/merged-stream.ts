import { type EventFields, eachEvent, retryOf } from '../../mcp/sse.js'
import { createBackoff, parseRetryAfter } from '../../util/async.js'
import { streamMayPass } from '../../util/failure.js'
import type { Clock } from '../../util/runtime.js'
import type { Reply } from '../exchange.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { UpstreamCall } from '../forwarding/upstream-call.js'
import type { AnswerListener, UpstreamSend } from '../forwarding/upstream-send.js'
import type { Target } from '../target.js'

/** One of the streams that are merged into the client's. */
export interface StreamSource {
  /** What it is the stream of. */
  readonly target: Target
  /**
   * Makes the request that opens the stream, anew for each try.
   *
   * @returns `undefined` when there is no stream to open now; this is called again later.
   */
  request(): UpstreamSend | undefined
  /** Returns the event that the client gets for a target's event; `undefined` leaves it out. */
  expose(event: EventFields): string | undefined
  /** Takes the answer that came instead of a stream; the target is then left out. */
  answered?(status: number, body: Buffer): void
  /** Decides whether to try again when there is no stream; {@link mayOpenLater} when it is absent. */
  again?(failure: TargetFailure): boolean
  /** Learns why there is no stream, and whether it is requested again. */
  failed?(failure: TargetFailure, again: boolean): void
}

export interface MergeOptions {
  /** The client's stream, which is open already. */
  reply: Pick<Reply, 'write'> & { watcher: Reply['watcher'] }
  sources: readonly StreamSource[]
  clock: Pick<Clock, 'now' | 'after'>
  /** As `Math.random`. */
  random?: () => number
}

/** The streams that make up a client's. */
export interface MergedStreams {
  /**
   * Hears these targets and no others from now on. The streams of those that are heard already go on.
   *
   * @param make Makes the stream of one that is added.
   */
  hear(targets: readonly Target[], make: (target: Target) => StreamSource): void
}

const FIRST_PAUSE_MS = 1_000

const LAST_PAUSE_MS = 30_000

/** When a stream lasted this long, pauses start short again. */
const STEADY_MS = 30_000

/**
 * Writes the event streams of several targets to one client. A stream that ends is opened again, after
 * growing pauses, while the client stays; a target without a stream is left out. Targets are read only
 * as fast as the client reads, so that events do not pile up in memory, and all streams are closed
 * when the client leaves.
 */
export function mergeStreams({
  reply,
  sources,
  clock,
  random = Math.random,
}: MergeOptions): MergedStreams {
  const open = (source: StreamSource) => new Branch(source, { reply, clock, random })
  let branches = sources.map(open)
  for (const branch of branches) branch.open()
  // set last: when the client has left already, it is called at once
  reply.watcher = {
    onDrain() {
      for (const branch of branches) branch.resume()
    },
    onClose() {
      for (const branch of branches) branch.close()
    },
  }
  return {
    hear(targets, make) {
      const kept = branches.filter(({ target }) => targets.includes(target))
      for (const branch of branches) if (!kept.includes(branch)) branch.close()
      const added = targets
        .filter((target) => kept.every((branch) => branch.target !== target))
        .map((target) => open(make(target)))
      branches = [...kept, ...added]
      for (const branch of added) branch.open()
    },
  }
}

class Branch implements AnswerListener {
  readonly #source: StreamSource
  readonly #reply: MergeOptions['reply']
  readonly #clock: MergeOptions['clock']
  readonly #backoff: ReturnType<typeof createBackoff>
  #call: UpstreamCall | undefined
  #cancelPause: (() => void) | undefined
  #openedAt = 0
  /** How long the target asked us to wait before we open the stream again. */
  #retryMs: number | undefined
  #isPaused = false
  #isClosed = false

  constructor(source: StreamSource, options: Required<Omit<MergeOptions, 'sources'>>) {
    this.#source = source
    this.#reply = options.reply
    this.#clock = options.clock
    this.#backoff = createBackoff(FIRST_PAUSE_MS, LAST_PAUSE_MS, options.random)
  }

  get target(): Target {
    return this.#source.target
  }

  open(): void {
    this.#cancelPause = undefined
    const send = this.#source.request()
    if (send === undefined) return this.#pause()
    this.#openedAt = this.#clock.now()
    this.#call = new UpstreamCall(send, this)
    this.#call.start()
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#call?.resume()
  }

  close(): void {
    this.#isClosed = true
    this.#cancelPause?.()
    this.#call?.abort()
  }

  answer(status: number, body: Buffer): void {
    this.#source.answered?.(status, body)
  }

  accepted(): void {}

  streaming(): void {}

  events(run: Buffer, ends: readonly number[]): boolean {
    let exposed = ''
    eachEvent(run, ends, (fields) => {
      this.#retryMs = retryOf(fields) ?? this.#retryMs
      if (fields.data !== undefined) exposed += this.#source.expose(fields) ?? ''
    })
    if (exposed === '') return true
    this.#backoff.reset()
    this.#isPaused = !this.#reply.write(exposed)
    return !this.#isPaused
  }

  streamEnded(): void {
    this.#pause(this.#retryMs)
  }

  failed(failure: TargetFailure): void {
    const again = this.#source.again?.(failure) ?? mayOpenLater(failure)
    this.#source.failed?.(failure, again)
    if (again) this.#pause(parseRetryAfter(failure.retryAfter, this.#clock.now()))
  }

  /** @param leastMs The pause that the target requested. */
  #pause(leastMs = 0): void {
    // on a failure, the source may have closed all streams
    if (this.#isClosed) return
    if (this.#clock.now() - this.#openedAt >= STEADY_MS) this.#backoff.reset()
    const ms = Math.max(leastMs, this.#backoff.next())
    this.#cancelPause = this.#clock.after(ms, () => this.open())
  }
}

/** Tells whether a stream that could not be had may be had later; a lost session is opened again. */
export function mayOpenLater(failure: TargetFailure): boolean {
  return failure.cause === 'session_lost' || streamMayPass(failure)
}
