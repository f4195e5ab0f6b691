import { Pool } from 'undici'
import { createClock } from '../../util/async.js'
import { Roster, type Rostered } from '../../util/roster.js'
import type { Clock } from '../../util/runtime.js'
import {
  ABORTED,
  KEEP_ALIVE_MS,
  type Upstream,
  type UpstreamController,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../upstream.js'
import { codedError } from '../upstream-error.js'
import { type OnFault, plainAnswers } from './plain-answers.js'

const CONNECT_TIMEOUT_MS = 10_000

/**
 * Opens the connections to a target lazily. Event streams that stay open have a pool of their own,
 * since undici looks for a free connection from the first to the last.
 *
 * @param onFault Told of a mistake of ours in reading an answer.
 */
export function createUpstream(
  url: URL,
  onFault?: OnFault,
  clock: Pick<Clock, 'after'> = createClock(),
): Upstream {
  const options = {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  }
  const calls = dropAborted(new Pool(url.origin, options))
  const streams = dropAborted(new Pool(url.origin, options))
  const ownPath = url.pathname + url.search
  const patience = new Patience(clock)
  const connections: Upstream = {
    send(request, handler) {
      const pool = request.method === 'GET' || request.isStream ? streams : calls
      const { method, headers, body = null, path = ownPath } = request
      const answer = new PooledAnswer(handler, patience, request)
      // nothing is sent ahead on a connection, so that there is nothing to hold back
      const blocking = false
      const options = { path, method, headers, body, blocking, headersTimeout: 0, bodyTimeout: 0 }
      pool.dispatch(options, answer)
    },
    async close() {
      await Promise.all([calls.destroy(), streams.destroy()])
    },
  }
  return plainAnswers(connections, url, onFault)
}

/**
 * Takes a connection out of its pool when its request is given up. undici would connect it anew at
 * once, for the request that nobody waits for any more, and hold that connection for seconds.
 */
function dropAborted(pool: Pool): Pool {
  pool.on('disconnect', (origin, targets, error) => {
    const client = targets.at(-1)
    if (client === undefined || client === pool || error.message !== ABORTED) return
    // the pool forgets a client on this event only
    pool.emit('connectionError', origin, [client], error)
    client.destroy(error).catch(() => undefined)
  })
  return pool
}

/** So often a pool looks for answers that are late; none of them is given up too early. */
const TICK_MS = 500

/** Finds the answers of a pool that come no further. One timer serves all: nearly none is late. */
class Patience {
  readonly #clock: Pick<Clock, 'after'>
  readonly #waiting = new Roster<PooledAnswer>()
  #isArmed = false
  /** Counts the times that it looked. */
  ticks = 0

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock
  }

  add(answer: PooledAnswer): void {
    this.#waiting.add(answer)
    if (!this.#isArmed) this.#arm()
  }

  delete(answer: PooledAnswer): void {
    this.#waiting.delete(answer)
  }

  #arm(): void {
    this.#isArmed = true
    this.#clock.after(TICK_MS, () => {
      this.#isArmed = false
      this.ticks++
      this.#waiting.each((answer) => answer.expire(this.ticks))
      if (this.#waiting.size > 0) this.#arm()
    })
  }
}

/** The header fields of answers that anybody reads here. */
const READ: ReadonlySet<string> = new Set([
  ...['content-type', 'content-encoding', 'content-length', 'location', 'retry-after'],
  ...['mcp-session-id', 'set-cookie', 'www-authenticate'],
])

const LENGTHS: ReadonlySet<number> = new Set([...READ].map((name) => name.length))

type Fields = Record<string, string | string[]>

/** Reads the header fields that matter out of undici's list of names and values. */
function readFields(raw: readonly Buffer[]): Fields {
  const fields: Fields = {}
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const written = raw[i] as Buffer
    if (!LENGTHS.has(written.length)) continue
    const name = written.toString('latin1').toLowerCase()
    if (!READ.has(name)) continue
    const value = (raw[i + 1] as Buffer).toString('latin1')
    const before = fields[name]
    if (before === undefined) fields[name] = value
    else if (typeof before === 'string') fields[name] = [before, value]
    else before.push(value)
  }
  return fields
}

/**
 * One answer of undici's pool. It uses the interface below the handlers, for which undici makes two
 * objects and a record of all header fields, and keeps the time itself, for which undici sets two
 * timers a request.
 */
class PooledAnswer implements UpstreamController, Rostered {
  place = -1
  readonly #handler: UpstreamHandler
  readonly #patience: Patience
  readonly #headersTimeout: number
  readonly #bodyTimeout: number
  #abort: ((reason?: Error) => void) | undefined
  #resume: (() => void) | undefined
  #reason: Error | null = null
  #isPaused = false
  #hasHead = false
  /** When something came last, in ticks. */
  #seenAt = 0

  constructor(
    handler: UpstreamHandler,
    patience: Patience,
    { headersTimeout, bodyTimeout }: UpstreamRequest,
  ) {
    this.#handler = handler
    this.#patience = patience
    this.#headersTimeout = headersTimeout
    this.#bodyTimeout = bodyTimeout
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

  abort(reason: Error): void {
    if (this.#reason !== null) return
    this.#reason = reason
    this.#abort?.(reason)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#seenAt = this.#patience.ticks
    this.#resume?.()
  }

  /** Gives up when nothing came for too long. */
  expire(ticks: number): void {
    if (this.#isPaused) return
    const ms = this.#hasHead ? this.#bodyTimeout : this.#headersTimeout
    // the first of the ticks may have come at once
    if (ms === 0 || (ticks - this.#seenAt - 1) * TICK_MS < ms) return
    this.abort(codedError(this.#hasHead ? 'UND_ERR_BODY_TIMEOUT' : 'UND_ERR_HEADERS_TIMEOUT'))
  }

  onConnect(abort: (reason?: Error) => void): void {
    this.#abort = abort
    this.#seenAt = this.#patience.ticks
    if (this.#headersTimeout > 0 || this.#bodyTimeout > 0) this.#patience.add(this)
    this.#handler.onRequestStart?.(this, {})
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, text: string): boolean {
    this.#resume = resume
    this.#seenAt = this.#patience.ticks
    this.#hasHead = status >= 200
    this.#handler.onResponseStart?.(this, status, readFields(raw), text)
    return !this.#isPaused
  }

  onData(chunk: Buffer): boolean {
    this.#seenAt = this.#patience.ticks
    this.#handler.onResponseData?.(this, chunk)
    return !this.#isPaused
  }

  onComplete(): void {
    this.#patience.delete(this)
    this.#handler.onResponseEnd?.(this, {})
  }

  onError(error: Error): void {
    this.#patience.delete(this)
    this.#handler.onResponseError?.(this, error)
  }
}
