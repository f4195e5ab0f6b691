import { requestText } from '../../mcp/jsonrpc.js'
import { OWN_SENDER, offersStateless, withEnvelope } from '../../mcp/meta.js'
import { objectMember, tryParseJson } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Clock } from '../../util/runtime.js'
import { UpstreamError } from '../upstream-error.js'
import { createProcessSlot, type ProcessSlot } from './process-slot.js'
import type { ChildOptions } from './stdio-child.js'
import { StdioServer } from './stdio-server.js'

const MIN_SWEEP_MS = 50
const MAX_SWEEP_MS = 60_000

const MAX_SHOWN = 200

export interface StdioLimits {
  /** The most processes of this target at once. */
  children: number
  /** The most requests under way at one process. */
  requests: number
  /** After how many milliseconds a process is ended that nobody uses. */
  idleMs: number
  /** How many milliseconds a process may take to answer its first request. */
  startMs: number
}

/** Counts the processes of all targets together. */
export interface ChildBudget {
  max: number
  used: number
}

export interface ProcessPoolOptions
  extends Pick<ChildOptions, 'spawn' | 'name' | 'program' | 'redact' | 'memory'> {
  clock: Pick<Clock, 'after' | 'now'>
  logger: Pick<Logger, 'debug' | 'warn'>
  limits: StdioLimits
  budget: ChildBudget
  /** As `Math.random`. */
  random: () => number
}

/** The processes of one target: one for each caller and each protocol that the caller speaks. */
export class ProcessPool {
  readonly #options: ProcessPoolOptions
  readonly #slots = new Map<string, ProcessSlot>()
  readonly #all = new Set<StdioServer>()
  /** How many are being started. */
  #starting = 0
  #speaksStateless: boolean | undefined
  #isSweeping = false
  #isClosed = false
  #hasWarned = false

  constructor(options: ProcessPoolOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#all.size
  }

  /** Returns the caller's process, if there is one. */
  running(callerId: string): StdioServer | undefined {
    return this.#slots.get(sessionBasedKey(callerId))?.server
  }

  /**
   * Returns the caller's process, which is started where there is none.
   *
   * @throws {UpstreamError} when it cannot be started now.
   */
  get(callerId: string): Promise<StdioServer> {
    return this.#get(sessionBasedKey(callerId))
  }

  /** Returns the caller's process for the stateless protocol; `undefined` when the program does not speak it. */
  async getStateless(callerId: string): Promise<StdioServer | undefined> {
    if (this.#speaksStateless === false) return undefined
    const server = await this.#get(statelessKey(callerId))
    this.#speaksStateless ??= await speaksStateless(server)
    if (this.#speaksStateless) return server
    const slot = this.#slots.get(statelessKey(callerId))
    if (slot?.server !== server) return undefined
    this.#slots.delete(statelessKey(callerId))
    // it was sent `server/discover` and nothing else, so that it can still be initialized
    const other = sessionBasedKey(callerId)
    if (this.#slots.has(other)) void server.end()
    else this.#slots.set(other, slot)
    return undefined
  }

  #get(key: string): Promise<StdioServer> {
    let slot = this.#slots.get(key)
    if (slot === undefined) {
      slot = createProcessSlot({ ...this.#options, start: (own) => this.#start(own) })
      this.#slots.set(key, slot)
      this.#sweepLater()
    }
    return slot.get()
  }

  async #start(slot: ProcessSlot): Promise<StdioServer> {
    const { budget, limits, name, logger } = this.#options
    this.#starting += 1
    try {
      await this.#makeRoom()
      const server = await StdioServer.start({
        ...this.#options,
        ...limits,
        onGarbage: (text) => this.#warnOnce(text),
        onHostile: (reason) => {
          logger.warn('child_hostile', `Target "${name}": ${reason}`, { target: name })
        },
        onEnd: (error, wanted) => {
          budget.used -= 1
          this.#all.delete(server)
          slot.onEnd(server, wanted ? undefined : error)
          if (wanted) logger.debug('child_ended', `Target "${name}": its process was ended`)
          else logger.warn('child_ended', `Target "${name}": ${error.message}`, { target: name })
        },
      }).catch((error: unknown) => {
        budget.used -= 1
        throw error
      })
      this.#all.add(server)
      if (this.#isClosed) await server.end()
      return server
    } finally {
      this.#starting -= 1
    }
  }

  /**
   * Ends idle processes until another one may be started, and counts that one.
   *
   * @throws {UpstreamError} when all are in use.
   */
  async #makeRoom(): Promise<void> {
    const { limits, budget } = this.#options
    for (;;) {
      const isFull = this.#all.size + this.#starting > limits.children
      if (!isFull && budget.used < budget.max) {
        budget.used += 1
        return
      }
      const [idlest] = [...this.#all]
        .filter(({ idleSince }) => idleSince !== undefined)
        .sort((a, b) => (a.idleSince ?? 0) - (b.idleSince ?? 0))
      if (idlest === undefined) {
        const [count, whose] = isFull ? [limits.children, ''] : [budget.max, ' of all targets']
        throw new UpstreamError('http_status', `all ${count} processes${whose} are in use`, 429)
      }
      await idlest.end()
    }
  }

  #sweepLater(): void {
    if (this.#isSweeping || this.#isClosed || this.#slots.size === 0) return
    this.#isSweeping = true
    const { clock, limits } = this.#options
    const ms = Math.min(Math.max(limits.idleMs / 4, MIN_SWEEP_MS), MAX_SWEEP_MS)
    clock.after(ms, () => {
      this.#isSweeping = false
      this.#sweep()
      this.#sweepLater()
    })
  }

  #sweep(): void {
    const now = this.#options.clock.now()
    const before = now - this.#options.limits.idleMs
    for (const server of this.#all) {
      server.sweep(now, before)
      if ((server.idleSince ?? now) < before) void server.end()
    }
    for (const [key, slot] of this.#slots) if (slot.isVacant) this.#slots.delete(key)
  }

  #warnOnce(text: string): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    const { logger, name, redact } = this.#options
    const shown = JSON.stringify(redact(text.slice(0, MAX_SHOWN)))
    const said = `Target "${name}" writes to stdout what is no MCP message: ${shown}`
    logger.warn('child_output', `${said}; such lines are skipped`, { target: name })
  }

  /** Ends all processes, also those that are being started. */
  async close(): Promise<void> {
    this.#isClosed = true
    const starting = [...this.#slots.values()].map((slot) => slot.starting)
    await Promise.allSettled([...starting, ...[...this.#all].map((server) => server.end())])
  }
}

const sessionBasedKey = (callerId: string) => `session-based ${callerId}`

const statelessKey = (callerId: string) => `stateless ${callerId}`

const DISCOVER = requestText(0, 'server/discover', withEnvelope({}, OWN_SENDER))

/**
 * Probes whether a program speaks the stateless protocol. Any other answer than the result of
 * `server/discover`, or none in time, means that it does not.
 *
 * @see [MCP 2026-07-28, stdio](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio)
 */
async function speaksStateless(server: StdioServer): Promise<boolean> {
  const answer = tryParseJson(await server.ask(DISCOVER).catch(() => ''))
  return offersStateless(objectMember(answer, 'result') ?? {})
}
