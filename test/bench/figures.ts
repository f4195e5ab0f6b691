import { caseRatio, type Results } from './report.js'
import { median } from './statistics.js'
import type { BridgeFigures } from './stdio/report.js'
import { stdioFigures } from './stdio/report.js'
import type { StdioResults } from './suites/stdio.js'

export const CONNECTIONS = [1, 10, 64] as const

/** What is published of one whole run. All are ratios, or sizes. */
export interface Figures {
  /** Cores and Node of the machine. */
  machine: string
  /** Requests per second of `serve`, × those of another relay, by connections. */
  requests: Record<'raw' | 'full' | 'sdk', number[]>
  streams: { count: number; kb: Record<'serve' | 'raw' | 'sdk', number>; burst: number }
  stdio: Record<'stdio' | 'remote', BridgeFigures>
}

/**
 * Picks from a run what is published.
 *
 * @throws {Error} when something of it was not measured.
 */
export function figuresOf(
  results: Results,
  stdio: StdioResults | undefined,
  { machine, burst }: { machine: string; burst: number },
): Figures {
  const present = <T>(value: T | undefined, what: string): T => {
    if (value === undefined) throw new Error(`--save needs a whole run; there is no ${what}`)
    return value
  }
  const ratios = (reference: 'raw' | 'full' | 'sdk') =>
    CONNECTIONS.map((connections) =>
      round(
        present(
          caseRatio(results, `call-${connections}`, 'serve', reference),
          `ratio to ${reference} at ${connections} connections`,
        ),
      ),
    )
  const kb = (name: 'serve' | 'raw' | 'sdk') => {
    const sizes = results.streams.get(name)?.flatMap(({ kbPerStream }) => kbPerStream ?? []) ?? []
    return Math.round(median(present(sizes.length > 0 ? sizes : undefined, `stream of ${name}`)))
  }
  const count = [...results.streams.values()][0]?.[0]?.streams
  const bridge = (name: 'stdio' | 'remote') => {
    const figures = stdio && stdioFigures(stdio, name)
    const entries = Object.entries(present(figures, `bridge ${name}`)).map(([key, value]) => {
      return [key, round(present(value, `${key} of ${name}`))]
    })
    return Object.fromEntries(entries)
  }
  return {
    machine,
    requests: { raw: ratios('raw'), full: ratios('full'), sdk: ratios('sdk') },
    streams: {
      count: present(count, 'stream'),
      kb: { serve: kb('serve'), raw: kb('raw'), sdk: kb('sdk') },
      burst,
    },
    stdio: { stdio: bridge('stdio'), remote: bridge('remote') },
  }
}

/** Two digits below ten, whole numbers from there on: more would only look exact. */
function round(value: number): number {
  return value >= 10 ? Math.round(value) : Math.round(value * 100) / 100
}
