import { Roster } from '../../util/roster.js'
import type { Clock } from '../../util/runtime.js'
import type { Upstream, UpstreamRequest } from '../upstream.js'
import { codedError } from '../upstream-error.js'
import { type ConnectionOwner, TargetConnection } from './connection.js'
import { createDialer, type Reach } from './dial.js'
import { type CallPlace, createHeadWriter, HttpCall, type Waiting } from './http-call.js'
import { type AnswerHead, readResponseHead } from './response-reader.js'

export interface HttpUpstreamOptions extends Reach {
  clock: Clock
  /** How long an idle connection is kept when the server says nothing of it, in milliseconds. */
  idleMs: number
  /** Keeps all header fields of answers, not only those that are read on the way of a call. */
  keepsAllFields?: boolean
  /** Takes requests after `close` too, on new connections. */
  reopens?: boolean
  /**
   * Tells whether a request may be sent a second time when its connection broke before anything was
   * answered. Nobody knows then whether the first one arrived. Without it none may.
   */
  isRetrySafe?: ((request: UpstreamRequest) => boolean) | undefined
}

const CONNECT_MS = 10_000

/** More idle connections are closed, those first that were not used for long. */
const MAX_IDLE = 256

/** However long the server would keep a connection. */
const MAX_IDLE_MS = 600_000

/** The server may close a connection just when we use it: we drop it that much earlier. */
const MARGIN_MS = 2_000

/** Where nothing was connected, the other family of addresses may lead further. */
const NO_WAY: ReadonlySet<string> = new Set([
  ...['ETIMEDOUT', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL'],
])

/**
 * Opens the connections to a target, over HTTP/1.1 on sockets. A connection is opened when none is
 * idle, and the one that was used last is used next, so that the others can go.
 */
export function createHttpUpstream(url: URL, options: HttpUpstreamOptions): Upstream {
  const pool = new ConnectionPool(url, options)
  return {
    send(request, handler) {
      new HttpCall(pool, request, handler).start()
    },
    async close() {
      pool.isClosed = options.reopens !== true
      pool.close()
    },
  }
}

class ConnectionPool implements ConnectionOwner, CallPlace {
  readonly clock: Clock
  readonly patience: Patience
  readonly dialer
  readonly heads: HeadReader
  readonly writeHead
  readonly isRetrySafe
  isClosed = false
  readonly #idleMs: number
  readonly #all = new Roster<TargetConnection>()
  /** The one that was used last is at the end. */
  #idle: TargetConnection[] = []
  /** The one that was requested. */
  readonly #ownFamily: 4 | undefined
  /** 4 once IPv6 led nowhere. */
  #family: 4 | undefined

  constructor(url: URL, options: HttpUpstreamOptions) {
    this.clock = options.clock
    this.patience = new Patience(options.clock, () => this.#closeStale())
    this.dialer = createDialer(url, options)
    this.heads = new HeadReader(options.keepsAllFields === true)
    this.writeHead = createHeadWriter(url)
    this.isRetrySafe = options.isRetrySafe
    this.#idleMs = options.idleMs
    this.#ownFamily = options.family
    this.#family = options.family
  }

  carry(call: HttpCall, isFresh: boolean): void {
    const connection = (isFresh ? undefined : this.#takeIdle()) ?? this.#open()
    call.onCarried(connection)
    connection.carry(call)
  }

  #takeIdle(): TargetConnection | undefined {
    const now = this.#idle.length > 0 ? this.clock.now() : 0
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined) return undefined
      // a machine that slept has connections that are older than any timer says
      if (connection.isOpen && connection.idleUntil > now) return connection
      connection.drop()
    }
  }

  #open(): TargetConnection {
    const connection = new TargetConnection(this, this.#family)
    this.#all.add(connection)
    connection.cancelTimer = this.clock.after(CONNECT_MS, () => {
      if (!connection.isReady) connection.fail(codedError('ETIMEDOUT'))
    })
    return connection
  }

  mayConnectAgain(code: string): boolean {
    if (!NO_WAY.has(code) && code !== 'ENOTFOUND') return false
    if (this.#family !== undefined) {
      // the name may have no IPv4 at all: what was in the way of IPv6 may be gone next time
      this.#family = this.#ownFamily
      return false
    }
    if (!NO_WAY.has(code) || !this.dialer.isName) return false
    this.#family = 4
    return true
  }

  onFree(connection: TargetConnection, keepMs: number | undefined): void {
    const ms = keepMs === undefined ? this.#idleMs : keepMs - Math.min(MARGIN_MS, keepMs / 2)
    connection.idleUntil = this.clock.now() + Math.min(ms, MAX_IDLE_MS)
    connection.rest()
    this.#idle.push(connection)
    if (this.#idle.length > MAX_IDLE) this.#idle.shift()?.drop()
    this.patience.arm()
  }

  onGone(connection: TargetConnection): void {
    this.#all.delete(connection)
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** @returns Whether idle connections are left. */
  #closeStale(): boolean {
    const now = this.clock.now()
    const stale = this.#idle.filter(({ idleUntil }) => idleUntil <= now)
    if (stale.length > 0) this.#idle = this.#idle.filter(({ idleUntil }) => idleUntil > now)
    for (const connection of stale) connection.drop()
    return this.#idle.length > 0
  }

  close(): void {
    this.#idle = []
    this.#all.each((connection) => connection.fail(codedError('ECONNRESET')))
  }
}

/**
 * Reads the heads of a target's answers. Heads that are sent within a second differ in nothing as a
 * rule, so that the last one is kept and not read again when it comes again byte for byte.
 */
export class HeadReader {
  readonly #isAll: boolean
  #text = ''
  #head: AnswerHead | undefined

  /** @param isAll Whether fields are kept that nobody reads on the way of a call. */
  constructor(isAll: boolean) {
    this.#isAll = isAll
  }

  /** The head before, and the number of its bytes, if it stands here again. */
  again(bytes: Buffer, at: number, to: number): AnswerHead | undefined {
    const { length } = this.#text
    if (length === 0 || to - at < length) return undefined
    return bytes.toString('latin1', at, at + length) === this.#text ? this.#head : undefined
  }

  get bytes(): number {
    return this.#text.length
  }

  /** @param text With the empty line at its end. */
  read(text: string): AnswerHead {
    const head = readResponseHead(text.slice(0, -2), this.#isAll)
    if (head.status >= 200) {
      this.#text = text
      this.#head = head
    }
    return head
  }
}

/** So often a pool looks for answers that are late; none of them is given up too early. */
const TICK_MS = 500

/** Finds the answers of a pool that come no further. One timer serves all: nearly none is late. */
class Patience {
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
