import cluster, { type Worker } from 'node:cluster'
import type { ProxyConfig } from '../config/types.js'
import { isObject } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { startMetricsServer } from './metrics.js'

const RESTART_MS = 1_000

/** Tells whether this process is one of several workers. */
export function isWorker(): boolean {
  return cluster.isWorker
}

/** Tells the first process that this worker serves. */
export function tellReady(port: number): void {
  cluster.worker?.send({ readyOn: port })
}

/**
 * Runs the server in several processes that share the port, until a signal ends them. The first
 * worker shows whether they can start at all; one that dies later is replaced.
 *
 * @param onListening Called once, with the port, when all accept connections.
 * @returns The exit status.
 * @throws {ProxyError} `LISTEN_FAILED` when the port of the metrics cannot be had.
 */
export async function runWorkers(
  runtime: Pick<Runtime, 'clock' | 'onSignal'>,
  { server }: ProxyConfig,
  logger: Logger,
  onListening: (port: number) => void,
): Promise<number> {
  const metrics =
    server.metricsPort === undefined
      ? undefined
      : await listenMetrics(server.metricsPort, server.host)
  return new Promise((resolve) => {
    let ready = 0
    let stopping = false
    let status = 0
    const running = new Set<Worker>()

    const start = () => {
      const worker = cluster.fork()
      running.add(worker)
      worker.on('message', (message: unknown) => {
        if (isObject(message) && typeof message['readyOn'] === 'number') {
          onReady(message['readyOn'])
        }
      })
      worker.once('exit', (code: number | null) => {
        running.delete(worker)
        if (!stopping) onDeath(code)
        if (stopping && running.size === 0) {
          metrics?.close()
          metrics?.closeAllConnections()
          resolve(status)
        }
      })
    }

    const onReady = (port: number) => {
      ready++
      if (ready === 1) for (let i = 1; i < server.workers; i++) start()
      if (ready === server.workers) onListening(port)
    }

    const onDeath = (code: number | null) => {
      if (ready === 0) {
        // it said why; another would fail just so
        status = code ?? 1
        stopping = true
        return
      }
      logger.error('worker_died', `A worker ended with status ${code}; another takes its place`)
      runtime.clock.after(RESTART_MS, () => {
        if (!stopping) start()
      })
    }

    runtime.onSignal(() => {
      stopping = true
      for (const worker of running) worker.process.kill('SIGTERM')
    })
    start()
  })
}

/** Serves the sum of all workers' metrics from the first process. */
async function listenMetrics(port: number, host: string) {
  const { AggregatorRegistry } = await import('prom-client')
  const registry = new AggregatorRegistry()
  const source = { text: () => registry.clusterMetrics(), contentType: registry.contentType }
  return startMetricsServer(source, { host, port })
}
