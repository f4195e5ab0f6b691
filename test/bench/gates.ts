import { caseRatio, type Results } from './report.js'
import { median } from './statistics.js'
import { alignRows, formatNumber } from './table.js'

export interface Gate {
  what: string
  wanted: string
  measured: number | undefined
  /** `undefined` when it was not measured in this run. */
  passed: boolean | undefined
}

const MIN_OF_RAW = 0.7
const MIN_OF_SDK = 8
const MAX_KB_PER_STREAM = 35

/** What `serve` must reach, whatever the machine. */
export function checkGates(results: Results): Gate[] {
  const gates: Gate[] = []
  for (const connections of [10, 64]) {
    const id = `call-${connections}`
    const place = `req/s at ${connections} connections`
    gates.push(atLeast(`${place} × raw relay`, MIN_OF_RAW, caseRatio(results, id, 'serve', 'raw')))
    gates.push(atLeast(`${place} × SDK relay`, MIN_OF_SDK, caseRatio(results, id, 'serve', 'sdk')))
  }
  for (const connections of [10, 64]) {
    for (const [reference, least] of [
      ['raw', MIN_OF_RAW],
      ['sdk', MIN_OF_SDK],
    ] as const) {
      const ratio = caseRatio(results, `call-${connections}`, 'gateway', reference)
      if (ratio === undefined) continue
      const what = `as gateway, at ${connections} connections × ${reference} relay`
      gates.push(atLeast(what, least, ratio))
    }
  }
  const rounds = results.streams.get('serve') ?? []
  const worst = (values: number[]) => (values.length > 0 ? Math.max(...values) : undefined)
  const sizes = rounds.map(({ kbPerStream }) => kbPerStream).filter((kb) => kb !== undefined)
  const size = sizes.length > 0 ? median(sizes) : undefined
  const late = worst(rounds.map(({ streams, heads }) => streams - heads.heads))
  gates.push(atMost('KB per idle stream', MAX_KB_PER_STREAM, size))
  gates.push(atMost('streams without a head before the first event', 0, late))
  gates.push(atMost('events lost or out of order', 0, worst(rounds.map(({ lost }) => lost))))
  return gates
}

export function atLeast(what: string, least: number, measured: number | undefined): Gate {
  const passed = measured === undefined ? undefined : measured >= least
  return { what, wanted: `≥ ${round(least)}`, measured, passed }
}

export function atMost(what: string, most: number, measured: number | undefined): Gate {
  const passed = measured === undefined ? undefined : measured <= most
  return { what, wanted: `≤ ${round(most)}`, measured, passed }
}

const round = (value: number) => Math.round(value * 100) / 100

/** A table, or '' when nothing of it was measured. */
export function renderGates(title: string, gates: Gate[]): string {
  if (gates.every(({ passed }) => passed === undefined)) return ''
  const word = ({ passed }: Gate) => (passed === undefined ? 'not run' : passed ? 'ok' : 'MISSED')
  return `Gates for ${title}\n${alignRows([
    ['', 'wanted', 'measured', ''],
    ...gates.map((gate) => [gate.what, gate.wanted, formatNumber(gate.measured), word(gate)]),
  ])}`
}
