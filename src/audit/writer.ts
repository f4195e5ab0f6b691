import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { Chain, Fragment } from './chain.js'
import type { Sink, SinkFailure, SinkName } from './sink.js'

/** How many records became what. */
export type CountRecords = (sink: SinkName, result: 'written' | 'lost', count: number) => void

export interface WriterOptions {
  sink: Sink
  chain: Chain
  clock: Clock
  logger: Logger
  count: CountRecords
  /** Makes a record of ours: its time, event and members. */
  own: (event: string, members: object) => string
  /** Hands each record over at once, for platforms that stop a process when a request has ended. */
  isDirect: boolean
}

/** Takes records to one place, off the way of calls. */
export interface Writer {
  add(body: string): void
  /** Looks for the file under its name again. */
  reopen(): void
  /** Writes what waits; resolves with how many records were not written in time. */
  close(limitMs: number): Promise<number>
}

/** So much may wait for a place that takes nothing. */
const MAX_WAITING = 10_000

const MAX_WAITING_CHARS = 8_388_608

/** So much is written at once. */
const MAX_BATCH = 500

/** How long records are gathered. */
const GATHER_MS = 5

const FIRST_PAUSE_MS = 200

const LAST_PAUSE_MS = 5_000

/** How long the end of the process waits for a place that has taken nothing lately. */
const LAST_TRIES_MS = 3_000

/** How often an outage is told again. */
const TELL_MS = 60_000

const MAX_FRAGMENTS = 50

/**
 * Creates the queue before a sink. Records enter the chain only when they are about to be written, so
 * that what a full queue drops leaves no gap in it, but a record that counts it.
 */
export function createWriter(options: WriterOptions): Writer {
  const { sink, chain, clock, logger, count, own, isDirect } = options
  const waiting: string[] = []
  let chars = 0
  /** Part of the chain already: written first, and as it is. */
  let pending: readonly string[] = []
  let isBusy = false
  let looksAgain = false
  let cancel: (() => void) | undefined
  let outage:
    | { reason: string; since: number; lost: number; toldAt: number; isFailing: boolean }
    | undefined
  /** Dropped, or written in part, since the chain said so last. */
  let gap: { reason: string; since: number; lost: number; fragments: Fragment[] } | undefined
  let pauseMs = FIRST_PAUSE_MS
  let onIdle = () => {}
  let isClosing = false

  function schedule(ms: number): void {
    if (isBusy || cancel !== undefined) return
    cancel = clock.after(ms, () => {
      cancel = undefined
      void deliver()
    })
  }

  function unschedule(): void {
    cancel?.()
    cancel = undefined
  }

  /** Takes what comes next out of the queue, into the chain. */
  function nextBatch(): readonly string[] {
    const bodies = waiting.splice(0, MAX_BATCH)
    for (const body of bodies) chars -= body.length
    if (gap !== undefined) {
      const { reason, since, lost, fragments } = gap
      const members = { reason, since: new Date(since).toISOString(), lost, fragments }
      bodies.unshift(own('gap', members))
      gap = undefined
    }
    return bodies.map((body) => chain.add(body))
  }

  async function deliver(): Promise<void> {
    if (isBusy) return
    isBusy = true
    if (pending.length === 0) pending = nextBatch()
    const tried = pending.length
    const isIdle = tried === 0 && !looksAgain
    looksAgain = false
    const failure = isIdle ? undefined : await sink.write(pending)
    pending = failure?.left ?? []
    const refused = failure?.refused ?? 0
    const written = tried - pending.length - refused
    if (written > 0) count(sink.name, 'written', written)
    isBusy = false
    if (failure !== undefined) return fail(failure, written)
    recover()
    if (waiting.length > 0 || gap !== undefined || looksAgain) schedule(isClosing ? 0 : GATHER_MS)
    else onIdle()
  }

  function fail(failure: SinkFailure, written: number): void {
    const { reason, torn, refused = 0, afterMs } = failure
    const now = clock.now()
    if (outage?.isFailing !== true) {
      const text = `Audit records cannot be written to ${sink.where} (${reason}); they wait, and calls go on`
      logger.error('audit_failed', text, { sink: sink.name, reason })
      outage ??= { reason, since: now, lost: 0, toldAt: now, isFailing: true }
      outage.isFailing = true
    }
    outage.reason = reason
    if (refused > 0) lose(refused)
    if (torn !== undefined) {
      gap ??= { reason, since: now, lost: 0, fragments: [] }
      if (gap.fragments.length < MAX_FRAGMENTS) gap.fragments.push(torn)
    }
    if (written > 0) pauseMs = FIRST_PAUSE_MS
    schedule(afterMs ?? pauseMs)
    pauseMs = Math.min(pauseMs * 2, LAST_PAUSE_MS)
  }

  function recover(): void {
    pauseMs = FIRST_PAUSE_MS
    if (outage === undefined) return
    const { lost, since } = outage
    const seconds = Math.round((clock.now() - since) / 1000)
    outage = undefined
    const text = `Audit records are written to ${sink.where} again after ${seconds} s; ${lost} were not written`
    logger.warn('audit_recovered', text, { sink: sink.name, lost, seconds })
  }

  function lose(records: number): void {
    const now = clock.now()
    const reason = outage?.reason ?? 'too many at once'
    gap ??= { reason, since: now, lost: 0, fragments: [] }
    gap.lost += records
    count(sink.name, 'lost', records)
    outage ??= { reason, since: now, lost: 0, toldAt: Number.NEGATIVE_INFINITY, isFailing: false }
    outage.lost += records
    if (now - outage.toldAt < TELL_MS && outage.lost > records) return
    outage.toldAt = now
    const text = `${outage.lost} audit records for ${sink.where} were not written (${reason})`
    logger.error('audit_lost', text, { sink: sink.name, reason, lost: outage.lost })
  }

  return {
    add(body) {
      if (waiting.length >= MAX_WAITING || chars + body.length > MAX_WAITING_CHARS) return lose(1)
      waiting.push(body)
      chars += body.length
      if (isDirect && outage === undefined) void deliver()
      else schedule(GATHER_MS)
    },
    reopen() {
      looksAgain = true
      schedule(0)
    },
    async close(limitMs) {
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve
      })
      isClosing = true
      unschedule()
      pauseMs = FIRST_PAUSE_MS
      const waitMs = outage?.isFailing ? Math.min(limitMs, LAST_TRIES_MS) : limitMs
      const late = new Promise<void>((resolve) => {
        clock.after(waitMs, resolve)
      })
      schedule(0)
      await Promise.race([idle, late])
      unschedule()
      const left = waiting.length + pending.length
      if (left > 0) {
        count(sink.name, 'lost', left)
        const text = `The process ends, and ${left} audit records for ${sink.where} were not written`
        logger.error('audit_lost', text, { sink: sink.name, lost: left })
      }
      sink.close()
      return left
    },
  }
}
