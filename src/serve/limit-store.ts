import { randomBytes } from 'node:crypto'
import { type LimitKeys, limitKeys, type Principal } from '../auth/principal.js'
import type { ProxyConfig } from '../config/types.js'
import { sleep } from '../util/async.js'
import { BoundedMap } from '../util/bounded-map.js'
import { messageOf } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import { Roster, type Rostered } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import { parseStoreUrl } from '../util/store-url.js'
import {
  type Counted,
  type Excess,
  type Occupancy,
  tooManyRequests,
  tooMuchAtOnce,
  WINDOW_MS,
} from './excess.js'
import type { Occupier } from './limits.js'
import { createRateWindows, rateLimitsOf } from './rate-limits.js'
import { CONNECT_MS, connectStore } from './store-connection.js'
import type { OpenLink, StoreLink } from './valkey.js'

/** `down`: each process counts alone. */
export type LimitStoreState = 'ok' | 'down'

/** What a request may occupy in the store. */
export type Slot = 'call' | 'stream'

/** Limits that all processes and replicas count together. */
export interface LimitStore {
  /** Says at once what is certainly too much, without a query and without counting. */
  known(principal: Principal | undefined): Excess | undefined
  /**
   * Decides on a request, and counts it. Where the store does not answer in time, this process decides
   * alone; it never rejects.
   *
   * @param kind What the request occupies until its place is released; `undefined`: nothing.
   */
  admit(request: Occupier, kind: Slot | undefined): Excess | undefined | Promise<Excess | undefined>
  state(): LimitStoreState
  close(): void
}

/** A slot whose process says nothing for so long is free again. */
const SLOT_MS = 30_000

const SLOTS_AT_ONCE = 500

/** A slot that another process gives back just now is there a moment later. */
const SECOND_TRY_MS = 50

const MAX_KNOWN = 10_000

/** The slots of one request. */
interface Slots extends Rostered {
  readonly name: string
  readonly keys: readonly string[]
}

/** One limit that a request is counted by. */
interface Limit {
  readonly key: string
  readonly limit: number
  /** The time to wait is known where a window has to end. */
  readonly excess: (waitMs: number) => Excess
}

/** What is queried of the store for a request. */
interface Question {
  readonly rates: readonly Limit[]
  readonly slots: readonly Limit[]
  /** Of the slots. */
  readonly name: string
}

/**
 * Opens the store that the configuration names. One that is away stops nothing.
 *
 * @param limits They may change while the store is in use, but for the store itself.
 */
export async function openLimitStore(
  { limits, timeouts }: Pick<ProxyConfig, 'limits' | 'timeouts'>,
  clock: Clock,
  logger: Logger,
): Promise<LimitStore | undefined> {
  if (limits.store === undefined) return undefined
  const { openValkey: open }: { openValkey: OpenLink } = await import('./valkey.js')
  const windows = createRateWindows(limits, clock)
  /** Until when the store lets nothing through. */
  const reached = new BoundedMap<string, number>(MAX_KNOWN)
  const held = new Roster<Slots>()
  const own = randomBytes(9).toString('base64url')
  let count = 0
  let isClosed = false
  const address = parseStoreUrl(limits.store)
  const connection = await connectStore({ address, open, clock, logger, onConnect: keepSlots })
  keepOn()

  function keepOn(): void {
    clock.after(SLOT_MS / 3, () => {
      if (isClosed) return
      const link = connection.link()
      if (link !== undefined) {
        keepSlots(link).catch((error: unknown) => connection.lose(link, messageOf(error)))
      }
      keepOn()
    })
  }

  /** Says which slots are held, so that they do not end. */
  async function keepSlots(link: StoreLink): Promise<void> {
    let keys: string[] = []
    let names: string[] = []
    const kept: Promise<unknown>[] = []
    // all in one go: one that is given back meanwhile must not be taken again
    const flush = () => {
      if (keys.length > 0) kept.push(link.keep(keys, names, SLOT_MS))
      keys = []
      names = []
    }
    held.each((slots) => {
      for (const key of slots.keys) {
        keys.push(key)
        names.push(slots.name)
      }
      if (keys.length >= SLOTS_AT_ONCE) flush()
    })
    flush()
    await within(CONNECT_MS, Promise.all(kept))
  }

  function within<T>(ms: number, answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      // what came while this process was busy is read before its time is up
      const cancel = clock.after(ms, () =>
        setImmediate(() => reject(new Error(`it did not answer within ${ms} ms`))),
      )
      answer.then(resolve, reject).finally(cancel)
    })
  }

  function keyOf(what: 'rate' | 'calls' | 'streams', of: Counted, keys: LimitKeys): string {
    return `${limits.storePrefix}:${what}:${of}:${keys[of] || 'all'}`
  }

  function questionOf(principal: Principal | undefined, kind: Slot | undefined): Question {
    const keys = limitKeys(principal)
    const rates = rateLimitsOf(limits).map(({ of, perMinute }): Limit => {
      const key = keyOf('rate', of, keys)
      const excess = (waitMs: number) => {
        reached.set(key, clock.now() + Math.min(waitMs, WINDOW_MS))
        return tooManyRequests(of, perMinute, waitMs)
      }
      return { key, limit: perMinute, excess }
    })
    const slots: Limit[] = []
    const addSlot = (of: 'caller' | 'client', limit: number) => {
      if (kind === undefined || limit === 0) return
      const excess = () => tooMuchAtOnce(of, kind, limit)
      slots.push({ key: keyOf(`${kind}s`, of, keys), limit, excess })
    }
    addSlot('caller', kind === 'stream' ? limits.streamsPerCaller : limits.callsPerCaller)
    addSlot('client', kind === 'stream' ? limits.streamsPerClient : limits.callsPerClient)
    return { rates, slots, name: `${own}.${count++}` }
  }

  /** @returns Which limit is reached, from 0, and how long; nothing when all let it through. */
  async function query(link: StoreLink, { rates, slots, name }: Question) {
    const all = [...rates, ...slots]
    const answer = link.admit(
      all.map(({ key }) => key),
      [rates.length, WINDOW_MS, SLOT_MS, name, ...all.map(({ limit }) => limit)],
    )
    const [which, waitMs] = readAnswer(await within(timeouts.store * 1000, answer))
    if (which === 0) return undefined
    const limit = all[which - 1]
    if (limit === undefined) throw new Error(NONSENSE)
    return { limit, waitMs, isRate: which <= rates.length }
  }

  async function decide(request: Occupier, question: Question): Promise<Excess | undefined> {
    let link = connection.link()
    for (let isFirst = true; link !== undefined; isFirst = false) {
      try {
        const over = await query(link, question)
        if (over === undefined) {
          windows.note(limitKeys(request.caller.principal))
          hold(request, question)
          return undefined
        }
        if (over.isRate || !isFirst) return over.limit.excess(over.waitMs)
        await sleep(clock, SECOND_TRY_MS)
      } catch (error) {
        connection.lose(link, messageOf(error))
      }
      link = connection.link()
    }
    return alone(request, question)
  }

  /** Decides without the store. The place in this process is taken already. */
  function alone(request: Occupier, question: Question): Excess | undefined {
    const excess = windows.count(request.caller.principal)
    if (excess === undefined) hold(request, question)
    return excess
  }

  /** Holds the slots as long as the place in this process; a store that comes back learns of them. */
  function hold(request: Occupier, { slots: limited, name }: Question): void {
    const { place: inner } = request
    if (limited.length === 0 || inner === undefined) return
    const slots: Slots = { name, keys: limited.map(({ key }) => key), place: -1 }
    held.add(slots)
    request.place = {
      become: (kind: Occupancy) => inner.become(kind),
      release() {
        inner.release()
        if (slots.place < 0) return
        held.delete(slots)
        connection.opened()?.free(slots.keys, name)
      },
    }
  }

  return {
    known(principal) {
      if (reached.size === 0) return undefined
      const keys = limitKeys(principal)
      for (const { of, perMinute } of rateLimitsOf(limits)) {
        const left = (reached.get(keyOf('rate', of, keys)) ?? 0) - clock.now()
        if (left > 0) return tooManyRequests(of, perMinute, left)
      }
      return undefined
    },
    admit(request, kind) {
      const question = questionOf(request.caller.principal, kind)
      if (question.rates.length + question.slots.length === 0) return undefined
      return connection.link() === undefined ? alone(request, question) : decide(request, question)
    },
    state: () => (connection.link() === undefined ? 'down' : 'ok'),
    close() {
      isClosed = true
      connection.close()
    },
  }
}

const NONSENSE = 'its answer makes no sense'

/** Whatever else the store says counts as no answer. */
function readAnswer(answer: unknown): readonly [which: number, waitMs: number] {
  const [which, waitMs] = Array.isArray(answer) ? answer : []
  if (!isCount(which) || !isCount(waitMs)) throw new Error(NONSENSE)
  return [which, waitMs]
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
