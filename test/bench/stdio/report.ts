import { atLeast, atMost, type Gate } from '../gates.js'
import { describeDisturbance } from '../report.js'
import { median, medianRatio } from '../statistics.js'
import type { StdioCase, StdioResults, TurnMeasurement } from '../suites/stdio.js'
import { type Column, renderTable } from '../table.js'
import { BRIDGE_TITLES, BRIDGES, type BridgeName } from './bridges.js'

const MAX_START_OF_NOTHING = 3
const MAX_START_OF_REMOTE = 0.5
const MAX_ADDED_OF_REMOTE = 1 / 3
const MIN_RATE_OF_REMOTE = 4
const MAX_START_MB = 70

/** What `stdio` must reach, whatever the machine. */
export function checkStdioGates(results: StdioResults | undefined): Gate[] {
  if (results === undefined) return []
  const start = (reference: BridgeName) => startRatio(results, 'stdio', reference)
  const added = addedRatio(results, 'stdio', 'remote')
  const rate = turnRatio(results, 'many', 'stdio', 'remote', ({ rate }) => rate)
  return [
    atMost('spawn → initialize × node -e 0', MAX_START_OF_NOTHING, start('nothing')),
    atMost('spawn → initialize × mcp-remote', MAX_START_OF_REMOTE, start('remote')),
    atMost('added p50 of a call × mcp-remote', MAX_ADDED_OF_REMOTE, added),
    atLeast('calls/s, 64 in flight × mcp-remote', MIN_RATE_OF_REMOTE, rate),
    atMost('MB at start', MAX_START_MB, startMegabytes(results, 'stdio')),
  ]
}

/** What is published of one bridge. */
export interface BridgeFigures {
  /** From the start to the answer to `initialize`, × `node -e 0`. */
  start: number
  /** Time added to a call, × bridge by hand. */
  added: number
  /** Calls per second with 64 under way, × bridge by hand. */
  rate: number
  megabytes: number
}

export function stdioFigures(
  results: StdioResults,
  name: BridgeName,
): Record<keyof BridgeFigures, number | undefined> {
  return {
    start: startRatio(results, name, 'nothing'),
    added: addedRatio(results, name, 'raw'),
    rate: turnRatio(results, 'many', name, 'raw', ({ rate }) => rate),
    megabytes: startMegabytes(results, name),
  }
}

/** Tables of ratios, or '' when it was not measured. */
export function renderStdio(results: StdioResults | undefined): string {
  if (results === undefined) return ''
  const rate = (title: string, id: StdioCase): Column<BridgeName> => [
    title,
    (name) => turnRatio(results, id, name, 'raw', ({ rate }) => rate),
  ]
  const columns: Column<BridgeName>[] = [
    ['spawn → initialize × node -e 0', (name) => startRatio(results, name, 'nothing')],
    ['MB at start', (name) => startMegabytes(results, name)],
    ['added p50 of a call × raw', (name) => addedRatio(results, name, 'raw')],
    rate('calls/s × raw, 64 in flight', 'many'),
    ['CPU × raw', (name) => cpuRatio(results, name)],
    rate('event stream', 'stream'),
    ['1 MB, p50 × raw', (name) => turnRatio(results, 'large', name, 'raw', ({ p50Ms }) => p50Ms)],
  ]
  return renderTable('stdio bridges, tools/call, 1 KB', columns, BRIDGES, BRIDGE_TITLES)
}

/** Our bridge has more to do than it can with 64 calls in flight. */
export function renderStdioDisturbance(results: StdioResults | undefined): string | undefined {
  const turns = results?.turns.get('many')?.get('stdio') ?? []
  const shares = turns.map(({ cpuMs, answers, rate }) => ({
    busy: cpuMs && cpuMs / ((answers / rate) * 1000),
  }))
  return describeDisturbance('stdio', shares)
}

function startRatio({ starts }: StdioResults, own: BridgeName, reference: BridgeName) {
  return medianRatio(starts.get(own), starts.get(reference), ({ ms }) => ms)
}

function startMegabytes({ starts }: StdioResults, name: BridgeName): number | undefined {
  const known = starts.get(name)?.map(({ residentKb }) => residentKb) ?? []
  const sizes = known.filter((kb) => kb !== undefined)
  return sizes.length > 0 ? Math.round(median(sizes) / 1024) : undefined
}

function turnRatio(
  { turns }: StdioResults,
  id: StdioCase,
  own: BridgeName,
  reference: BridgeName,
  value: (turn: TurnMeasurement) => number | undefined,
): number | undefined {
  return medianRatio(turnsOf(turns, id, own), turnsOf(turns, id, reference), value)
}

/** What a bridge adds to a call that goes to the target directly, in the same round. */
function addedRatio({ turns }: StdioResults, own: BridgeName, reference: BridgeName) {
  const direct = turns.get('one')?.get('direct')
  const added = (name: BridgeName) =>
    turnsOf(turns, 'one', name)?.map(({ p50Ms }, round) => p50Ms - (direct?.[round]?.p50Ms ?? 0))
  return medianRatio(added(own), added(reference), (ms) => ms)
}

/** CPU time for one answer, over all rounds: the clock behind it ticks in tens of milliseconds. */
function cpuRatio({ turns }: StdioResults, name: BridgeName): number | undefined {
  const perAnswer = (measured: TurnMeasurement[] = []) => {
    const used = measured.reduce((sum, { cpuMs }) => sum + (cpuMs ?? Number.NaN), 0)
    return used / measured.reduce((sum, { answers }) => sum + answers, 0)
  }
  return perAnswer(turnsOf(turns, 'many', name)) / perAnswer(turnsOf(turns, 'many', 'raw'))
}

function turnsOf(turns: StdioResults['turns'], id: StdioCase, name: BridgeName) {
  return name === 'nothing' ? undefined : turns.get(id)?.get(name)
}
