import { createHash } from 'node:crypto'
import type { Principal } from '../auth/principal.js'
import type { ExchangeRecord } from '../gateway/exchange.js'
import type { Logger, PreparedRecord } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { Metrics } from './metrics.js'

/** Longest name of a method or a tool in a record, characters. */
const MAX_TEXT = 128

export interface RequestSummary {
  record: ExchangeRecord
  status: number
  /** Milliseconds since the epoch. */
  startedAt: number
  principal: Principal | undefined
  /** Why the request was refused before it reached the gateway. */
  refusal: string | undefined
}

/** A record that is ready but for its number and its milliseconds, and what it is for. */
interface Prepared {
  method: string
  target: string | undefined
  status: number
  write: PreparedRecord
}

/** Kept for each caller. */
const MAX_PREPARED = 100

/**
 * Creates the function that writes one record for each request on the MCP endpoint: who, which
 * tool, which target, how it ended. Never arguments, never a token.
 */
export function createRequestLog(
  logger: Logger,
  clock: Pick<Clock, 'now'>,
  metrics: Metrics | undefined,
) {
  const boot = createHash('sha256').update(String(clock.now())).digest('hex').slice(0, 6)
  let count = 0
  const byCaller = new WeakMap<Principal, Map<string, Prepared>>()

  function prepare({ record, status, principal, refusal }: RequestSummary): PreparedRecord {
    const method = shorten(record.method)
    return logger.prepare('info', 'request', `${method} ${status}`, {
      method,
      tool: record.tool === undefined ? undefined : shorten(record.tool),
      target: record.target,
      status,
      client: principal?.clientId,
      subject: principal === undefined ? undefined : subjectHash(principal),
      refusal,
      failure: record.failure?.cause,
    })
  }

  /** What one caller does with one tool is logged alike, again and again. */
  function prepared(summary: RequestSummary): PreparedRecord {
    const { record, status, principal, refusal } = summary
    if (principal === undefined || refusal !== undefined || record.failure !== undefined) {
      return prepare(summary)
    }
    let own = byCaller.get(principal)
    if (own === undefined) {
      own = new Map()
      byCaller.set(principal, own)
    }
    const method = shorten(record.method)
    const key = record.tool === undefined ? '' : shorten(record.tool)
    const known = own.get(key)
    if (known?.method === method && known.target === record.target && known.status === status) {
      return known.write
    }
    if (own.size >= MAX_PREPARED) own.clear()
    const write = prepare(summary)
    own.set(key, { method, target: record.target, status, write })
    return write
  }

  return (summary: RequestSummary): void => {
    const { record, status, startedAt, refusal } = summary
    const ms = clock.now() - startedAt
    const { failure, target } = record
    const cause = failure?.cause
    metrics?.request({ method: shorten(record.method), target, status, ms, refusal, cause })
    if (failure !== undefined) {
      logger.warn('target_failed', `Target "${failure.target}": ${failure.reason}`, {
        target: failure.target,
        cause: failure.cause,
      })
    }
    if (logger.enabled('info')) prepared(summary)(`${boot}-${(++count).toString(36)}`, ms)
  }
}

/** Keeps what a client wrote from filling the log. */
function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

const hashes = new WeakMap<Principal, string>()

/** Lets records of one person be found without naming the person. */
function subjectHash(principal: Principal): string {
  let hash = hashes.get(principal)
  if (hash === undefined) {
    hash = createHash('sha256').update(principal.subject).digest('base64url').slice(0, 12)
    hashes.set(principal, hash)
  }
  return hash
}
