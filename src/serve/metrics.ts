import cluster from 'node:cluster'
import type { KeysState } from '../auth/verify/jwks.js'
import { LIST_KINDS } from '../gateway/lists/lists.js'
import type { Target } from '../gateway/target.js'
import type { Caps } from './caps.js'
import { addGauges } from './gauges.js'
import type { Outcome } from './request-log.js'

export interface RequestMetric {
  method: string
  target: string | undefined
  status: number
  ms: number
  outcome: Outcome
  refusal: string | undefined
  cause: string | undefined
}

export interface Metrics {
  request(metric: RequestMetric): void
  /** Prometheus text of this process. */
  text(): Promise<string>
  readonly contentType: string
}

const KNOWN_METHODS = new Set([
  ...Object.keys(LIST_KINDS),
  ...['initialize', 'tools/call', 'prompts/get', 'resources/read', 'completion/complete', 'ping'],
  ...['logging/setLevel', 'server/discover', 'subscriptions/listen', 'GET', 'DELETE'],
])

const SECONDS_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 300]

/** What the metrics say of the server as it is now. */
export interface Watched {
  /** How many event streams are open. */
  openStreams: () => number
  targets: readonly Pick<Target, 'name' | 'upstream' | 'state'>[]
  /** Absent without authentication. */
  keysState: (() => KeysState) | undefined
  caps: Pick<Caps, 'calls' | 'callers'>
  /** Labels of `mcp_proxy_build_info`. */
  build: Readonly<Record<'version' | 'node' | 'config' | 'url', string>>
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
    // lets the first process ask this one for its numbers
    AggregatorRegistry.setRegistries(registry)
    new AggregatorRegistry()
  }
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const requests = new Counter({
    name: 'mcp_proxy_requests_total',
    help: 'Requests on the MCP endpoint',
    labelNames: ['method', 'target', 'status'],
    registers,
  })
  const duration = new Histogram({
    name: 'mcp_proxy_request_duration_seconds',
    help: 'From the request head to the end of the answer',
    labelNames: ['method', 'target'],
    buckets: SECONDS_BUCKETS,
    registers,
  })
  const outcomes = new Counter({
    name: 'mcp_proxy_outcomes_total',
    help: 'Requests on the MCP endpoint, by how they ended',
    labelNames: ['method', 'target', 'outcome'],
    registers,
  })
  const refusals = new Counter({
    name: 'mcp_proxy_refusals_total',
    help: 'Requests that were refused here, by reason',
    labelNames: ['reason'],
    registers,
  })
  const failures = new Counter({
    name: 'mcp_proxy_target_failures_total',
    help: 'Requests for which a target gave no usable answer, by cause',
    labelNames: ['target', 'cause'],
    registers,
  })
  addGauges(prometheus, registers, watched)
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
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
