import cluster from 'node:cluster'
import { createServer, type Server } from 'node:http'
import { LIST_KINDS } from '../gateway/lists.js'
import type { Target } from '../gateway/target.js'
import { type ListenAddress, listen } from './listen.js'

export interface RequestMetric {
  method: string
  target: string | undefined
  status: number
  ms: number
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

/**
 * Creates the Prometheus metrics. Labels come from closed lists only, so that no client can make
 * their number grow.
 *
 * @param openStreams Tells how many event streams are open now.
 * @param targets Those whose processes and streams are counted.
 */
export async function createMetrics(
  openStreams: () => number,
  targets: readonly Pick<Target, 'name' | 'upstream'>[] = [],
): Promise<Metrics> {
  const prometheus = await import('prom-client')
  const { AggregatorRegistry, Counter, Gauge, Histogram, collectDefaultMetrics } = prometheus
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
  const refusals = new Counter({
    name: 'mcp_proxy_refusals_total',
    help: 'Requests refused before they reached a target, by reason',
    labelNames: ['reason'],
    registers,
  })
  const failures = new Counter({
    name: 'mcp_proxy_target_failures_total',
    help: 'Requests for which a target gave no usable answer, by cause',
    labelNames: ['target', 'cause'],
    registers,
  })
  new Gauge({
    name: 'mcp_proxy_open_streams',
    help: 'Event streams open now',
    registers,
    collect() {
      this.set(openStreams())
    },
  })
  new Gauge({
    name: 'mcp_proxy_target_held',
    help: 'Processes (child) and HTTP+SSE streams (stream) held open for clients now',
    labelNames: ['target', 'kind'],
    registers,
    collect() {
      this.reset()
      for (const { name, upstream } of targets) {
        if (upstream.held === undefined) continue
        this.set({ target: name, kind: upstream.held.kind }, upstream.held.count())
      }
    },
  })
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    request({ method: sent, target = 'none', status, ms, refusal, cause }) {
      const method = KNOWN_METHODS.has(sent) ? sent : 'other'
      requests.inc({ method, target, status })
      if (method !== 'GET') duration.observe({ method, target }, ms / 1000)
      if (refusal !== undefined) refusals.inc({ reason: refusal })
      if (cause !== undefined) failures.inc({ target, cause })
    },
  }
}

/**
 * Serves metrics on a listener of their own, so that they never share the public port.
 *
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export async function startMetricsServer(
  { text, contentType }: Pick<Metrics, 'text' | 'contentType'>,
  address: ListenAddress,
): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end()
      return
    }
    text().then(
      (body) => response.writeHead(200, { 'content-type': contentType }).end(body),
      () => response.writeHead(500).end(),
    )
  })
  await listen(server, address)
  return server
}
