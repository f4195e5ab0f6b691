import type { Registry } from 'prom-client'
import type { Clock } from '../../util/runtime.js'

/** Counts a reload, and notes when it was. */
export type ReloadCount = (result: 'success' | 'refused', now: number) => void

/** Adds the metrics of reloads; the start counts as the first success in time, not in number. */
export async function createReloadCount(registry: Registry, now: number): Promise<ReloadCount> {
  const { Counter, Gauge } = await import('prom-client')
  const registers = [registry]
  const reloads = new Counter({
    name: 'mcp_proxy_config_reloads_total',
    help: 'How often the configuration was read again, by how it ended',
    labelNames: ['result'],
    registers,
  })
  const last = new Gauge({
    name: 'mcp_proxy_config_last_success_timestamp_seconds',
    help: 'When the configuration in force was read, seconds since the epoch',
    registers,
    aggregator: 'max',
  })
  for (const result of ['success', 'refused']) reloads.inc({ result }, 0)
  last.set(now / 1000)
  return (result, at) => {
    reloads.inc({ result })
    if (result === 'success') last.set(at / 1000)
  }
}

/** Creates the metrics of the first of several processes, which serves no requests itself. */
export async function createOwnMetrics(clock: Pick<Clock, 'now'>) {
  const prometheus = await import('prom-client')
  const registry = new prometheus.Registry()
  const count = await createReloadCount(registry, clock.now())
  return { count, text: () => registry.metrics() }
}
