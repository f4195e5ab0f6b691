import type { Gauge, Registry } from 'prom-client'
import type { KeysState } from '../auth/verify/jwks.js'
import type { Target } from '../gateway/target.js'
import type { Watched } from './metrics.js'

const KEYS_STATES: readonly KeysState[] = ['ok', 'stale', 'missing']

const TARGET_STATES: readonly Target['state'][] = ['ok', 'down', 'refused_credential', 'unknown']

/** Adds the metrics that say how things are at the moment when they are asked for. */
export function addGauges(
  prometheus: { Gauge: typeof Gauge },
  registers: Registry[],
  { openStreams, targets, keysState, caps, build }: Watched,
): void {
  /** @param aggregator How the numbers of several processes become one. */
  const add = (
    name: string,
    help: string,
    labelNames: string[],
    collect: (gauge: Gauge) => void,
    aggregator: 'sum' | 'max' | 'first' = 'sum',
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
      for (const { name, upstream } of targets) {
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
      for (const { name: target, state } of targets) {
        for (const known of TARGET_STATES) {
          gauge.set({ target, state: known }, Number(known === state))
        }
      }
    },
    'max',
  )
  add(
    'mcp_proxy_build_info',
    'Always 1: version, Node, configuration file and public URL are labels',
    ['version', 'node', 'config', 'url'],
    (gauge) => gauge.set(build, 1),
    'first',
  )
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
