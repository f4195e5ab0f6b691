import type { IncomingMessage } from 'node:http'
import type { Principal } from '../auth/principal.js'
import { BoundedMap } from '../util/bounded-map.js'
import { Roster, type Rostered } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'

export interface CapsConfig {
  /** Requests under way and open streams, of one caller and of all; 0 means no limit. */
  callsPerCaller: number
  calls: number
  streamsPerCaller: number
  streams: number
}

/** `post` is a message whose body is still to come, or that waits for no answer. */
export type Occupancy = 'post' | 'call' | 'stream'

/** Which limit is reached, and what the client is told. */
export interface Excess {
  refusal: 'caller_calls' | 'calls' | 'caller_streams' | 'streams'
  message: string
  status: 429 | 503
  /** Seconds. */
  retryAfter: number
}

/** Slots that one caller occupies. */
interface Held {
  key: string
  post: number
  call: number
  stream: number
}

/** The slot that one request occupies. */
export interface Place {
  /** Changes its kind; it stays as it is when that would exceed a limit. */
  become(kind: Occupancy): Excess | undefined
  /** Calling it more than once does nothing. */
  release(): void
}

export interface Caps {
  take(principal: Principal | undefined, kind: Occupancy): Place | Excess
  /** Callers that occupy slots now. */
  callers(): number
  /** Requests that are under way now, of everybody. */
  calls(): number
}

interface Counter {
  excess(held: Held, kind: Occupancy): Excess | undefined
  add(held: Held, kind: Occupancy, by: 1 | -1): void
}

/** A class rather than closures: one object for each request. */
class Occupied implements Place {
  readonly #counter: Counter
  readonly #held: Held
  #kind: Occupancy | undefined

  constructor(counter: Counter, held: Held, kind: Occupancy) {
    this.#counter = counter
    this.#held = held
    this.#kind = kind
  }

  become(kind: Occupancy): Excess | undefined {
    const before = this.#kind
    if (before === undefined || before === kind) return undefined
    const excess = this.#counter.excess(this.#held, kind)
    if (excess !== undefined) return excess
    // occupy first, so that the caller's entry is not deleted in between
    this.#counter.add(this.#held, kind, 1)
    this.#counter.add(this.#held, before, -1)
    this.#kind = kind
    return undefined
  }

  release(): void {
    if (this.#kind === undefined) return
    this.#counter.add(this.#held, this.#kind, -1)
    this.#kind = undefined
  }
}

/** Callers who come again are not entered anew for each request; so many of them are kept. */
const MAX_IDLE = 1_000

/** A call ends soon, a stream does not. */
const RETRY_SECONDS = { post: 1, call: 1, stream: 30 } as const

/**
 * Creates the limits of what runs at once in this process, per subject and of all. The client id does
 * not count: everybody can register as many clients as they like.
 *
 * Notifications and responses are counted apart from requests, so that a caller at the limit can
 * still cancel a request or answer what a tool asks.
 */
export function createCaps(config: CapsConfig): Caps {
  const byCaller = new Map<string, Held>()
  const keys = new WeakMap<Principal, string>()
  let callers = 0
  const all: Held = { key: '', post: 0, call: 0, stream: 0 }

  function keyOf(principal: Principal | undefined): string {
    if (principal === undefined) return ''
    let key = keys.get(principal)
    if (key === undefined) {
      key = JSON.stringify([principal.issuer, principal.subject])
      keys.set(principal, key)
    }
    return key
  }

  function excess(held: Held, kind: Occupancy): Excess | undefined {
    const isStream = kind === 'stream'
    const ofOne = isStream ? config.streamsPerCaller : config.callsPerCaller
    const ofAll = isStream ? config.streams : config.calls
    const what = isStream ? 'Too many open streams' : 'Too many requests at once'
    const retryAfter = RETRY_SECONDS[kind]
    if (isFull(held[kind], ofOne)) {
      const message = `${what}: ${ofOne} of one caller are the most here`
      const refusal = isStream ? 'caller_streams' : 'caller_calls'
      return { refusal, message, status: 429, retryAfter }
    }
    if (!isFull(all[kind], ofAll)) return undefined
    const refusal = isStream ? 'streams' : 'calls'
    return { refusal, message: `${what} on this server`, status: 503, retryAfter }
  }

  function add(held: Held, kind: Occupancy, by: 1 | -1): void {
    if (isIdle(held)) callers++
    held[kind] += by
    all[kind] += by
    if (!isIdle(held)) return
    callers--
    if (byCaller.size - callers > MAX_IDLE) forgetIdle()
  }

  function forgetIdle(): void {
    for (const held of byCaller.values()) if (isIdle(held)) byCaller.delete(held.key)
  }

  const counter: Counter = { excess, add }
  return {
    take(principal, kind) {
      const key = keyOf(principal)
      const held = byCaller.get(key) ?? { key, post: 0, call: 0, stream: 0 }
      const tooMuch = excess(held, kind)
      if (tooMuch !== undefined) return tooMuch
      if (isIdle(held)) byCaller.set(key, held)
      add(held, kind, 1)
      return new Occupied(counter, held, kind)
    },
    callers: () => callers,
    calls: () => all.call,
  }
}

function isIdle(held: Held): boolean {
  return held.post + held.call + held.stream === 0
}

function isFull(count: number, limit: number): boolean {
  return limit > 0 && count >= limit
}

const WINDOW_MS = 60_000

const MAX_CALLERS = 10_000

/**
 * Creates the limit of requests per minute, counted per subject and client id in this process.
 *
 * @param perMinute 0 means no limit.
 * @returns A function that counts one request and returns 0, or the seconds until the caller may
 *   try again.
 */
export function createRateLimit(perMinute: number, clock: Pick<Clock, 'now'>) {
  const windows = new BoundedMap<string, { startedAt: number; count: number }>(MAX_CALLERS)
  return (principal: Principal | undefined): number => {
    if (perMinute === 0) return 0
    const key = JSON.stringify([principal?.subject, principal?.clientId])
    const now = clock.now()
    const window = windows.get(key)
    if (window === undefined || now - window.startedAt >= WINDOW_MS) {
      windows.set(key, { startedAt: now, count: 1 })
      return 0
    }
    window.count++
    if (window.count <= perMinute) return 0
    return Math.max(1, Math.ceil((window.startedAt + WINDOW_MS - now) / 1000))
  }
}

export interface BodyLimits {
  /** Largest body. */
  bytes: number
  /** How long a body may take. */
  seconds: number
}

/** A request's whole body, or why there is none. */
type Body = Buffer | 'too_large' | 'too_slow'

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
