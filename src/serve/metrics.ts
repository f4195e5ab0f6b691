import cluster from 'node:cluster'
import type { Gauge, Registry } from 'prom-client'
import type { KeysState } from '../auth/verify/jwks.js'
import { LIST_KINDS } from '../gateway/lists/lists.js'
import type { Target } from '../gateway/target.js'
import type { LimitStore, LimitStoreState } from './limit-store.js'
import type { Caps } from './limits.js'
import { createReloadCount, type ReloadCount } from './reload/reload-metrics.js'

export interface RequestMetric {
  method: string
  target: string | undefined
  status: number
  ms: number
  outcome: RequestOutcome
  refusal: string | undefined
  cause: string | undefined
}

export interface Metrics {
  request(metric: RequestMetric): void
  /** Counts audit records, by where they go and whether they got there. */
  audit(sink: string, result: string, count: number): void
  /** Prometheus text of this process. */
  text(): Promise<string>
  readonly contentType: string
  /** Counts a reload; absent in workers, whose first process counts. */
  readonly reload?: ReloadCount
}

const KNOWN_METHODS = new Set([
  ...Object.keys(LIST_KINDS),
  ...['initialize', 'tools/call', 'prompts/get', 'resources/read', 'completion/complete', 'ping'],
  ...['logging/setLevel', 'server/discover', 'subscriptions/listen', 'GET', 'DELETE'],
])

const SECONDS_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300]

/** The state of the server that gauges read when they are scraped. */
export interface Watched {
  /** When the server started, milliseconds since the epoch. */
  startedAt?: number
  /** How many event streams are open. */
  openStreams: () => number
  readonly targets: readonly Pick<
    Target,
    'name' | 'upstream' | 'state' | 'credential' | 'breaker'
  >[]
  /** Absent without authentication. */
  keysState: (() => KeysState) | undefined
  caps: Pick<Caps, 'calls' | 'callers'>
  /** Absent where each process counts alone. */
  limitStore?: Pick<LimitStore, 'state'> | undefined
  /** Labels of `mcp_proxy_build_info`. */
  readonly build: Readonly<Record<'version' | 'node' | 'config' | 'url', string>>
}

/**
 * Creates the Prometheus metrics. Labels come from closed lists only, so that no client can make
 * their number grow.
 */
export async function createMetrics(watched: Watched): Promise<Metrics> {
  const prometheus = await import('prom-client')
  const { AggregatorRegistry, Counter, Histogram, collectDefaultMetrics } = prometheus
  const registry = new prometheus.Registry()
  if (cluster.isWorker) {
    // lets the first process collect the numbers of this one
    AggregatorRegistry.setRegistries(registry)
    new AggregatorRegistry()
  }
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const counter = <T extends string>(name: string, help: string, ...labelNames: T[]) =>
    new Counter({ name, help, labelNames, registers })
  const requests = counter(
    'mcp_proxy_requests_total',
    'Requests on the MCP endpoint',
    ...['method', 'target', 'status'],
  )
  const duration = new Histogram({
    name: 'mcp_proxy_request_duration_seconds',
    help: 'From the request head to the end of the answer',
    labelNames: ['method', 'target'],
    buckets: SECONDS_BUCKETS,
    registers,
  })
  const outcomes = counter(
    'mcp_proxy_outcomes_total',
    'Requests on the MCP endpoint, by how they ended',
    ...['method', 'target', 'outcome'],
  )
  const refusals = counter(
    'mcp_proxy_refusals_total',
    'Requests that were refused here, by reason',
    'reason',
  )
  const failures = counter(
    'mcp_proxy_target_failures_total',
    'Requests for which a target gave no usable answer, by cause',
    ...['target', 'cause'],
  )
  const audited = counter(
    'mcp_proxy_audit_records_total',
    'Audit records, by where they go and whether they were written or lost',
    ...['sink', 'result'],
  )
  addGauges(prometheus, registers, watched)
  const reload = cluster.isWorker
    ? undefined
    : await createReloadCount(registry, watched.startedAt ?? 0)
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    audit: (sink, result, count) => audited.inc({ sink, result }, count),
    ...(reload && { reload }),
    request({ method: sent, target = 'none', status, ms, outcome, refusal, cause }) {
      const method = KNOWN_METHODS.has(sent) ? sent : 'other'
      requests.inc({ method, target, status })
      outcomes.inc({ method, target, outcome })
      if (method !== 'GET') duration.observe({ method, target }, ms / 1000)
      if (refusal !== undefined) refusals.inc({ reason: refusal })
      if (cause !== undefined) failures.inc({ target, cause })
    },
  }
}

const KEYS_STATES: readonly KeysState[] = ['ok', 'stale', 'missing']

const STORE_STATES: readonly LimitStoreState[] = ['ok', 'down']

const TARGET_STATES: readonly Target['state'][] = ['ok', 'down', 'refused_credential', 'unknown']

/** Adds the gauges, which are read when the metrics are scraped. */
function addGauges(
  prometheus: { Gauge: typeof Gauge },
  registers: Registry[],
  watched: Watched,
): void {
  const { openStreams, keysState, caps, limitStore } = watched
  /** @param aggregator How the numbers of several processes become one. */
  const add = (
    name: string,
    help: string,
    labelNames: string[],
    collect: (gauge: Gauge) => void,
    aggregator: 'sum' | 'max' | 'min' | 'first' = 'sum',
  ) => {
    new prometheus.Gauge({
      ...{ name, help, labelNames, registers, aggregator },
      collect() {
        collect(this)
      },
    })
  }
  const countOf = (name: string, help: string, count: () => number) =>
    add(name, help, [], (gauge) => gauge.set(count()))

  countOf('mcp_proxy_open_streams', 'Event streams open now', openStreams)
  countOf('mcp_proxy_running_calls', 'Requests under way now', caps.calls)
  countOf('mcp_proxy_callers', 'Callers with a request or a stream now', caps.callers)
  add(
    'mcp_proxy_target_held',
    'Processes (child) and HTTP+SSE streams (stream) held open for clients now',
    ['target', 'kind'],
    (gauge) => {
      gauge.reset()
      for (const { name, upstream } of watched.targets) {
        if (upstream.held === undefined) continue
        gauge.set({ target: name, kind: upstream.held.kind }, upstream.held.count())
      }
    },
  )
  add(
    'mcp_proxy_target_state',
    '1 for the state of a target after its last request, 0 for the others',
    ['target', 'state'],
    (gauge) => {
      gauge.reset()
      for (const { name: target, state } of watched.targets) {
        for (const known of TARGET_STATES) {
          gauge.set({ target, state: known }, Number(known === state))
        }
      }
    },
    'max',
  )
  add(
    'mcp_proxy_target_credential_end_seconds',
    'When the credential that a target gets for everybody ends, seconds since the epoch',
    ['target', 'renewed'],
    (gauge) => {
      gauge.reset()
      for (const { name: target, credential } of watched.targets) {
        const validity = credential.validity?.()
        if (validity === undefined) continue
        gauge.set({ target, renewed: validity.isRenewed ? 'yes' : 'no' }, validity.endsAt / 1000)
      }
    },
    'min',
  )
  add(
    'mcp_proxy_target_breaker_open',
    '1 while requests to a target fail at once, since it was not reached',
    ['target'],
    (gauge) => {
      for (const { name: target, breaker } of watched.targets) {
        if (breaker !== undefined) gauge.set({ target }, Number(breaker.isOpen()))
      }
    },
    'max',
  )
  add(
    'mcp_proxy_build_info',
    'Always 1: version, Node, configuration file and public URL are labels',
    ['version', 'node', 'config', 'url'],
    (gauge) => {
      gauge.reset()
      gauge.set(watched.build, 1)
    },
    'first',
  )
  if (limitStore !== undefined) {
    add(
      'mcp_proxy_limit_store_state',
      '1 for the state of the store that counts for all processes, 0 for the others',
      ['state'],
      (gauge) => {
        const state = limitStore.state()
        for (const known of STORE_STATES) gauge.set({ state: known }, Number(known === state))
      },
      'max',
    )
  }
  if (keysState === undefined) return
  add(
    'mcp_proxy_keys_state',
    '1 for the state of the keys that verify access tokens, 0 for the others',
    ['state'],
    (gauge) => {
      const state = keysState()
      for (const known of KEYS_STATES) gauge.set({ state: known }, Number(known === state))
    },
    'max',
  )
}

/** How a request ended. */
export type RequestOutcome =
  | 'ok'
  /** A tool's result says `isError`. */
  | 'tool_error'
  | 'rpc_error'
  /** We refused it ourselves: the refusal says why. */
  | 'refused'
  | 'target_failure'
  | 'client_left'
