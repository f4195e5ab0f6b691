import { hostname } from 'node:os'
import type { Logger } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import { VERSION } from '../util/version.js'
import { type Chain, createChain, createProtection } from './chain.js'
import { type FileSink, openFileSink } from './file-sink.js'
import type { Sink } from './sink.js'
import type { FileTail } from './tail.js'
import { type CountRecords, createWriter } from './writer.js'

export interface TrailOptions {
  /** File that records are added to. */
  file: string | undefined
  /** Other places. */
  sinks: readonly Sink[]
  /** Key that protects the chain. */
  key: string | undefined
  clock: Clock
  logger: Logger
  count: CountRecords
  /** What runs: written into the first record of each chain. */
  process: { pid: number | undefined; parent: number | undefined; workers: number }
  isDirect: boolean
}

/** Takes the records of all that is decided here to where they are kept. */
export interface Trail {
  /** @param body The members of a record, without braces. */
  add(body: string): void
  /** Adds a record that is not of a call. */
  note(event: string, members: object): void
  /** Looks for files under their names again, as after logrotate moved them. */
  reopen(): void
  /** Ends the chains, and writes what waits, for a second in any case. */
  close(limitMs: number): Promise<void>
}

/** When running requests took all the time. */
const MIN_FLUSH_MS = 1_000

const NOTHING_BEFORE: FileTail = { prev: undefined, ends: [], torn: undefined, foreign: undefined }

/**
 * Opens the audit trail. Each place gets a chain of its own, so that what one of them loses is no gap
 * in the others.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the file cannot be opened.
 */
export function openTrail(options: TrailOptions): Trail {
  const { clock, logger, count, isDirect } = options
  const protection = createProtection(options.key)
  const file = options.file === undefined ? undefined : openFileSink(options.file, protection)
  if (file !== undefined) tellOfFile(file, logger)
  const own = (event: string, members: object) => {
    const time = new Date(clock.now()).toISOString()
    return JSON.stringify({ time, event, ...members }).slice(1, -1)
  }
  const open = (sink: Sink, { prev, ends, torn }: FileTail) => {
    const chain: Chain = createChain(protection, prev)
    const writer = createWriter({ sink, chain, clock, logger, count, own, isDirect })
    writer.add(
      own('start', {
        ...{ version: VERSION, host: hostname(), ...options.process },
        ...(ends.length > 0 && { after: ends }),
        ...(torn !== undefined && { fragments: [torn] }),
      }),
    )
    return writer
  }
  const writers = options.sinks.map((sink) => open(sink, NOTHING_BEFORE))
  if (file !== undefined) writers.unshift(open(file, file.tail))
  const add = (body: string) => {
    for (const writer of writers) writer.add(body)
  }
  return {
    add,
    note: (event, members) => add(own(event, members)),
    reopen() {
      for (const writer of writers) writer.reopen()
    },
    async close(limitMs) {
      const body = own('stop', {})
      await Promise.all(
        writers.map((writer) => {
          writer.add(body)
          return writer.close(Math.max(limitMs, MIN_FLUSH_MS))
        }),
      )
    },
  }
}

function tellOfFile({ where, tail, isOpenToAll }: FileSink, logger: Logger): void {
  if (isOpenToAll) {
    const text = `The audit file ${where} can be read by every user of this machine: run \`chmod 600\``
    logger.warn('audit_open', text)
  }
  if (tail.foreign !== undefined) {
    const own = tail.foreign === 'a key' ? 'no key' : 'audit.key'
    const text = `The audit file ${where} has records that were written with ${tail.foreign}, and those of this process are written with ${own}: stop, move the file away, and start again, because \`audit verify\` takes one key for a file`
    logger.warn('audit_key', text)
  }
  if (tail.torn === undefined) return
  const text = `The audit file ${where} ends in a record that was not written whole, as after a crash: its ${tail.torn.bytes} bytes are kept`
  logger.warn('audit_torn', text, { bytes: tail.torn.bytes })
}
