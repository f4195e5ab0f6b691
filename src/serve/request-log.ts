import { createHash } from 'node:crypto'
import type { Principal } from '../auth/principal.js'
import type { ExchangeRecord } from '../gateway/exchange.js'
import { BoundedMap } from '../util/bounded-map.js'
import type { LogFields, Logger, LogLevel, PreparedRecord } from '../util/logger.js'
import type { Clock } from '../util/runtime.js'
import type { TraceSpan } from '../util/span.js'
import type { Metrics, RequestOutcome } from './metrics.js'

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
  /** The path of the MCP endpoint; absent elsewhere. */
  endpoint?: string | undefined
  /** The request's name, as the client and the target have it. */
  id: string
  /** Where the connection comes from. */
  remote: string | undefined
  traceparent?: string | undefined
  /** The client left before the end. */
  hasLeft?: boolean
  /** The refusal as a sentence. */
  why?: string | undefined
  /** What was seen that led to the refusal, bounded and without secrets. */
  seen?: LogFields | undefined
  /** Other than `request`. */
  event?: string | undefined
  /** Where spans are recorded. */
  span?: TraceSpan | undefined
  /** A message that expects an answer, a stream, or the end of a session. */
  isRequest?: boolean
  /** The requested item; only with an audit trail. */
  requested?: RequestedItem | undefined
}

/** What a request is about, in the client's words. */
export interface RequestedItem {
  readonly member: 'tool' | 'prompt' | 'uri' | 'task'
  readonly name: string
  /** JSON, bounded and without secrets; only where that is configured. */
  readonly arguments?: string | undefined
}

/** A request that is over, for whoever records or shows them. */
export interface FinishedCall {
  readonly summary: RequestSummary
  readonly outcome: RequestOutcome
  readonly refusal: string | undefined
  readonly ms: number
}

/** A record that lacks only the id and the duration, and the request that it is for. */
interface Prepared {
  method: string
  target: string | undefined
  endpoint: string | undefined
  status: number
  outcome: RequestOutcome
  write: PreparedRecord
}

/** Prepared records for each caller. */
const MAX_PREPARED = 100

/** Refusals that are part of normal operation or the client's own mistake; others may need an operator. */
const USUAL: ReadonlySet<string> = new Set([
  ...['missing', 'expired', 'scope', 'step_up', 'draining', 'method', 'path', 'http'],
  ...['message', 'content_type', 'body', 'body_size', 'timeout'],
])

/**
 * Creates the function that writes one record for each request on the MCP endpoint, and for what is
 * refused elsewhere: who, which tool, which target, how it ended. Never arguments, never a token.
 */
export function createRequestLog(
  logger: Logger,
  clock: Clock,
  metrics: Metrics | undefined,
  listeners: readonly ((call: FinishedCall) => void)[] = [],
) {
  const byCaller = new WeakMap<Principal, Map<string, Prepared>>()
  const isLogged = createRefusalLimit(clock, (leftOut) => tellLeftOut(logger, leftOut))

  function prepare(
    summary: RequestSummary,
    outcome: RequestOutcome,
    level: LogLevel,
  ): PreparedRecord {
    const { record, status, principal, refusal, why, seen, event = 'request', endpoint } = summary
    const method = shortened(record.method)
    const text = why === undefined ? `${method} ${status}` : `${method} ${status}: ${why}`
    return logger.prepare(level, event, text, {
      method,
      tool: record.tool === undefined ? undefined : shortened(record.tool),
      target: record.target,
      endpoint,
      status,
      outcome,
      client: principal?.clientId,
      subject: hashOf(summary),
      refusal: refusal ?? record.refusal,
      rule: record.rule,
      failure: record.failure?.cause,
      ...seen,
    })
  }

  /** Reuses a caller's record for a tool while only id and duration differ. */
  function prepared(summary: RequestSummary, outcome: RequestOutcome): PreparedRecord {
    const { record, status, principal, refusal, endpoint } = summary
    if (principal === undefined || refusal !== undefined || record.failure !== undefined) {
      return prepare(summary, outcome, 'info')
    }
    let own = byCaller.get(principal)
    if (own === undefined) {
      own = new BoundedMap(MAX_PREPARED)
      byCaller.set(principal, own)
      tellCaller(logger, principal)
    }
    const method = shortened(record.method)
    const key = record.tool === undefined ? '' : shortened(record.tool)
    const known = own.get(key)
    if (
      known?.method === method &&
      known.target === record.target &&
      known.endpoint === endpoint &&
      known.status === status &&
      known.outcome === outcome
    ) {
      return known.write
    }
    const write = prepare(summary, outcome, 'info')
    if (record.refusal === undefined) {
      own.set(key, { method, target: record.target, endpoint, status, outcome, write })
    }
    return write
  }

  return (summary: RequestSummary): void => {
    const { record, status, startedAt, id, remote, traceparent } = summary
    const ms = clock.now() - startedAt
    const { failure, target } = record
    const refusal = summary.refusal ?? record.refusal
    const outcome = outcomeOf(summary)
    const cause = failure?.cause
    const method = shortened(record.method)
    metrics?.request({ method, target, status, ms, outcome, refusal, cause })
    if (listeners.length > 0) {
      const call = { summary, outcome, refusal, ms }
      for (const listen of listeners) listen(call)
    }
    if (failure !== undefined) {
      const text = `Target "${failure.target}": ${failure.reason}`
      logger.warn('target_failed', text, { id, target: failure.target, cause })
    }
    if (summary.refusal !== undefined) {
      const level = USUAL.has(summary.refusal) ? 'info' : 'warn'
      if (!logger.enabled(level) || !isLogged(summary.refusal, remote)) return
      prepare(summary, outcome, level)(id, ms, remote, traceparent)
    } else if (logger.enabled('info')) prepared(summary, outcome)(id, ms, remote, traceparent)
  }
}

function outcomeOf({ record, refusal, hasLeft }: RequestSummary): RequestOutcome {
  if (record.failure !== undefined) return 'target_failure'
  if (refusal !== undefined || record.refusal !== undefined) return 'refused'
  return hasLeft === true ? 'client_left' : (record.outcome ?? 'ok')
}

function tellLeftOut(logger: Logger, leftOut: LeftOut): void {
  const count = [...leftOut.values()].reduce((sum, refused) => sum + refused, 0)
  const reasons = [...leftOut].map(([reason, refused]) => `${reason} ${refused}`)
  const text = `${count} more refusals were counted, not logged`
  logger.warn('refusals_left_out', text, { count, reasons })
}

/** Logs the caller's name and hash once for each access token, so that a person's records can be found. */
function tellCaller(logger: Logger, principal: Principal): void {
  if (!logger.enabled('debug')) return
  const { subject, clientId, tenant, name } = principal
  logger.debug('caller', `A caller is signed in: ${name ?? subject}`, {
    subject: subjectHash(principal),
    sub: subject,
    name,
    client: clientId,
    tenant,
  })
}

/** Keeps what a client wrote from filling the log. */
export function shortened(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** Returns the hash that stands for the caller in the log. */
export function hashOf({ principal }: RequestSummary): string | undefined {
  return principal === undefined ? undefined : subjectHash(principal)
}

const hashes = new WeakMap<Principal, string>()

/** Lets records of one person be found without naming the person. The README says how it is made. */
function subjectHash(principal: Principal): string {
  let hash = hashes.get(principal)
  if (hash === undefined) {
    hash = createHash('sha256').update(principal.subject).digest('base64url').slice(0, 12)
    hashes.set(principal, hash)
  }
  return hash
}

const WINDOW_MS = 60_000

/** Records in a window, of one reason and one remote address, and of all. */
const MAX_OF_ONE = 10

const MAX_OF_ALL = 200

/** How many refusals were not logged, by reason. */
type LeftOut = ReadonlyMap<string, number>

/**
 * Creates the limit of records about requests that nobody was signed in for, so that whoever sends
 * many of them fills neither the log nor the memory.
 *
 * @param tell Called at the end of a window in which some were left out.
 * @returns A function that tells whether one more is logged.
 */
export function createRefusalLimit(
  clock: Clock,
  tell: (leftOut: LeftOut) => void,
  { ofOne: mostOfOne, ofAll: mostOfAll } = { ofOne: MAX_OF_ONE, ofAll: MAX_OF_ALL },
) {
  let startedAt = Number.NEGATIVE_INFINITY
  let count = 0
  const counts = new Map<string, number>()
  let leftOut = new Map<string, number>()
  let cancel = () => {}

  function flush(): void {
    cancel()
    const told = leftOut
    leftOut = new Map()
    if (told.size > 0) tell(told)
  }

  function leaveOut(refusal: string): boolean {
    if (leftOut.size === 0) {
      cancel = clock.after(Math.max(0, startedAt + WINDOW_MS - clock.now()), flush)
    }
    leftOut.set(refusal, (leftOut.get(refusal) ?? 0) + 1)
    return false
  }

  const mayTell = (refusal: string, remote: string | undefined): boolean => {
    const now = clock.now()
    if (now - startedAt >= WINDOW_MS || now < startedAt) {
      startedAt = now
      count = 0
      counts.clear()
    }
    if (count >= mostOfAll) return leaveOut(refusal)
    const key = `${refusal} ${remote}`
    const ofOne = counts.get(key) ?? 0
    if (ofOne >= mostOfOne) return leaveOut(refusal)
    counts.set(key, ofOne + 1)
    count++
    return true
  }
  /** Tells now what was left out so far, as before the end. */
  mayTell.flush = flush
  return mayTell
}
