import cluster, { type Worker } from 'node:cluster'
import type { ProxyConfig } from '../config/types.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { createMetricsServer } from './metrics.js'

/** Exit status of a worker that cannot start; another would fail just so. */
const CANNOT_START = 2
const RESTART_MS = 1_000

/** Tells whether this process is one of several workers. */
export function isWorker(): boolean {
  return cluster.isWorker
}

/**
 * Runs the server in several processes that share the port, until a signal ends them. A worker that
 * dies is replaced.
 *
 * @param onListening Called once, with the port, when all accept connections.
 * @returns The exit status.
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
    let listening = 0
    let stopping = false
    let status = 0
    const running = new Set<Worker>()

    const start = () => {
      const worker = cluster.fork()
      running.add(worker)
      worker.once('listening', ({ port }) => {
        if (++listening === server.workers) onListening(port)
      })
      worker.once('exit', (code) => {
        running.delete(worker)
        if (code === CANNOT_START && listening < server.workers) {
          status = code
          stop()
        } else if (!stopping) {
          logger.error('worker_died', `A worker ended with status ${code}; another takes its place`)
          runtime.clock.after(RESTART_MS, () => {
            if (!stopping) start()
          })
        }
        if (stopping && running.size === 0) {
          metrics?.close()
          resolve(status)
        }
      })
    }

    const stop = () => {
      stopping = true
      for (const worker of running) worker.process.kill('SIGTERM')
    }

    runtime.onSignal(stop)
    for (let i = 0; i < server.workers; i++) start()
  })
}

/** Serves the sum of all workers' metrics from the first process. */
async function listenMetrics(port: number, host: string) {
  const { AggregatorRegistry } = await import('prom-client')
  const registry = new AggregatorRegistry()
  const server = createMetricsServer({
    text: () => registry.clusterMetrics(),
    contentType: registry.contentType,
  })
  return server.listen(port, host)
}
