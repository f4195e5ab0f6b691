import { createHash } from 'node:crypto'
import type { Principal } from '../auth/principal.js'
import type { ExchangeRecord } from '../gateway/exchange.js'
import type { Logger } from '../util/logger.js'
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
  return ({ record, status, startedAt, principal, refusal }: RequestSummary): void => {
    const ms = clock.now() - startedAt
    const { target, failure } = record
    const method = shorten(record.method)
    const tool = record.tool === undefined ? undefined : shorten(record.tool)
    metrics?.request({ method, target, status, ms, refusal, cause: failure?.cause })
    if (failure !== undefined) {
      logger.warn('target_failed', `Target "${failure.target}": ${failure.reason}`, {
        target: failure.target,
        cause: failure.cause,
      })
    }
    if (!logger.enabled('info')) return
    logger.info('request', `${method} ${status}`, {
      id: `${boot}-${(++count).toString(36)}`,
      method,
      tool,
      target,
      status,
      ms,
      client: principal?.clientId,
      subject: principal === undefined ? undefined : subjectHash(principal),
      refusal,
      failure: failure?.cause,
    })
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
