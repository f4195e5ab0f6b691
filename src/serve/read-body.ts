import type { IncomingMessage } from 'node:http'
import { Roster, type Rostered } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'

export interface BodyLimits {
  /** Largest body. */
  bytes: number
  /** How long a body may take. */
  seconds: number
}

/** A request's whole body, or why there is none. */
export type Body = Buffer | 'too_large' | 'too_slow'

/** Looking at all bodies costs the more the more there are, and many may be late one after the other. */
const MAX_SWEEPS = 100

/**
 * Creates the reader of requests' bodies. Node's own limit is for head and body together, and looked
 * at rarely. One timer serves all bodies: nearly every one is there long before its time is up.
 *
 * @returns A function that calls `done` once, unless the client leaves first.
 */
export function createBodyReader({ bytes, seconds }: BodyLimits, clock: Clock) {
  const ms = seconds * 1000
  const readings = new Roster<BodyReading>()
  let isArmed = false

  function arm(end: number): void {
    isArmed = true
    clock.after(Math.max(1, ms / MAX_SWEEPS, end - clock.now()), sweep)
  }

  function sweep(): void {
    isArmed = false
    let next = Number.POSITIVE_INFINITY
    readings.each((reading) => {
      if (reading.end > clock.now()) next = Math.min(next, reading.end)
      else reading.finish('too_slow')
    })
    // whoever was told may have added some
    if (readings.size > 0 && !isArmed) arm(next)
  }

  return (request: IncomingMessage, done: (body: Body) => void): void => {
    if (Number(request.headers['content-length'] ?? 0) > bytes) return done('too_large')
    const reading = new BodyReading(bytes, readings, clock.now() + ms, done)
    readings.add(reading)
    if (!isArmed) arm(reading.end)
    reading.start(request)
  }
}

/** One request's body on its way. */
class BodyReading implements Rostered {
  place = -1
  /** When its time is up, milliseconds since the epoch. */
  readonly end: number
  readonly #done: (body: Body) => void
  readonly #limit: number
  readonly #readings: Roster<BodyReading>
  #chunks: Buffer[] = []
  #size = 0
  #isOver = false

  constructor(
    limit: number,
    readings: Roster<BodyReading>,
    end: number,
    done: (body: Body) => void,
  ) {
    this.#limit = limit
    this.#readings = readings
    this.end = end
    this.#done = done
  }

  start(request: IncomingMessage): void {
    request.on('data', (chunk: Buffer) => this.#take(chunk))
    request.on('end', () => {
      const chunks = this.#chunks
      this.finish(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    request.on('close', () => this.#readings.delete(this))
  }

  finish(body: Body): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#readings.delete(this)
    this.#chunks = []
    this.#done(body)
  }

  #take(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#size > this.#limit) this.finish('too_large')
    else if (!this.#isOver) this.#chunks.push(chunk)
  }
}
