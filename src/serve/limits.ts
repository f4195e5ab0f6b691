import type { IncomingMessage } from 'node:http'
import { limitKeys, type Principal } from '../auth/principal.js'
import { Roster, type Rostered } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import { type Excess, type Occupancy, tooMuchAtOnce } from './excess.js'

export interface CapsConfig {
  /** Requests under way, of one caller, of one client and of all; 0 means no limit. */
  callsPerCaller: number
  callsPerClient: number
  calls: number
  /** Open streams, likewise. */
  streamsPerCaller: number
  streamsPerClient: number
  streams: number
}

/** Slots that one caller or client occupies. */
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
  excess(caller: Held, client: Held | undefined, kind: Occupancy): Excess | undefined
  add(caller: Held, client: Held | undefined, kind: Occupancy, by: 1 | -1): void
}

/** A class rather than closures: one object for each request. */
class Occupied implements Place {
  readonly #counter: Counter
  readonly #caller: Held
  readonly #client: Held | undefined
  #kind: Occupancy | undefined

  constructor(counter: Counter, caller: Held, client: Held | undefined, kind: Occupancy) {
    this.#counter = counter
    this.#caller = caller
    this.#client = client
    this.#kind = kind
  }

  become(kind: Occupancy): Excess | undefined {
    const before = this.#kind
    if (before === undefined || before === kind) return undefined
    const excess = this.#counter.excess(this.#caller, this.#client, kind)
    if (excess !== undefined) return excess
    // occupy first, so that the caller's entry is not deleted in between
    this.#counter.add(this.#caller, this.#client, kind, 1)
    this.#counter.add(this.#caller, this.#client, before, -1)
    this.#kind = kind
    return undefined
  }

  release(): void {
    if (this.#kind === undefined) return
    this.#counter.add(this.#caller, this.#client, this.#kind, -1)
    this.#kind = undefined
  }
}

/** Callers who come again are not entered anew for each request; so many of them are kept. */
const MAX_IDLE = 1_000

/**
 * Creates the limits of what runs at once in this process, per subject, per client and of all. As
 * everybody can register as many clients as they like, the limit of a client is none of a person.
 *
 * Notifications and responses are counted apart from requests, so that a caller at the limit can
 * still cancel a request or answer what a tool asks.
 */
export function createCaps(config: CapsConfig): Caps {
  const callers = createBook()
  const clients = createBook()
  const hasClients = () => config.callsPerClient > 0 || config.streamsPerClient > 0
  const all: Held = { key: '', post: 0, call: 0, stream: 0 }

  function excess(caller: Held, client: Held | undefined, kind: Occupancy): Excess | undefined {
    const isStream = kind === 'stream'
    const ofCaller = isStream ? config.streamsPerCaller : config.callsPerCaller
    if (isFull(caller[kind], ofCaller)) return tooMuchAtOnce('caller', kind, ofCaller)
    const ofClient = isStream ? config.streamsPerClient : config.callsPerClient
    if (client !== undefined && isFull(client[kind], ofClient)) {
      return tooMuchAtOnce('client', kind, ofClient)
    }
    if (!isFull(all[kind], isStream ? config.streams : config.calls)) return undefined
    return tooMuchAtOnce('all', kind, 0)
  }

  function add(caller: Held, client: Held | undefined, kind: Occupancy, by: 1 | -1): void {
    callers.add(caller, kind, by)
    if (client !== undefined) clients.add(client, kind, by)
    all[kind] += by
  }

  const counter: Counter = { excess, add }
  return {
    take(principal, kind) {
      const keys = limitKeys(principal)
      const caller = callers.find(keys.caller)
      const client = hasClients() ? clients.find(keys.client) : undefined
      const tooMuch = excess(caller, client, kind)
      if (tooMuch !== undefined) return tooMuch
      add(caller, client, kind, 1)
      return new Occupied(counter, caller, client, kind)
    },
    callers: () => callers.busy(),
    calls: () => all.call,
  }
}

/** What takes a place, and keeps it. */
export interface Occupier {
  readonly caller: { readonly principal: Principal | undefined }
  get place(): Place | undefined
  set place(place: Place)
}

/** Finds a place for what a request takes, or says which limit is reached. */
export function occupy(caps: Caps, occupier: Occupier, kind: Occupancy): Excess | undefined {
  const { place } = occupier
  if (place !== undefined) return place.become(kind)
  const taken = caps.take(occupier.caller.principal, kind)
  if (!('release' in taken)) return taken
  occupier.place = taken
  return undefined
}

/** Keeps the slots of all callers, or of all clients. */
function createBook() {
  const byKey = new Map<string, Held>()
  let busy = 0
  return {
    busy: () => busy,
    find: (key: string): Held => byKey.get(key) ?? { key, post: 0, call: 0, stream: 0 },
    add(held: Held, kind: Occupancy, by: 1 | -1): void {
      if (isIdle(held)) {
        busy++
        byKey.set(held.key, held)
      }
      held[kind] += by
      if (!isIdle(held)) return
      busy--
      if (byKey.size - busy <= MAX_IDLE) return
      for (const idle of byKey.values()) if (isIdle(idle)) byKey.delete(idle.key)
    },
  }
}

function isIdle(held: Held): boolean {
  return held.post + held.call + held.stream === 0
}

function isFull(count: number, limit: number): boolean {
  return limit > 0 && count >= limit
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
