import { type CandidateName, TITLES } from './candidates.js'
import type { Measurement } from './measure.js'
import { median, medianRatio } from './statistics.js'
import type { RequestResults } from './suites/requests.js'
import type { StreamsMeasurement, StreamsResults } from './suites/streams.js'
import { renderTable, type Column as TableColumn } from './table.js'

type Column = TableColumn<CandidateName>

export interface Results {
  requests: RequestResults
  streams: StreamsResults
}

/** A measured case, as a ratio to another candidate in the same rounds. */
export function caseRatio(
  { requests }: Results,
  id: string,
  own: CandidateName,
  reference: CandidateName,
  value: (item: Measurement) => number | undefined = ({ rate }) => rate,
): number | undefined {
  const measured = requests.cases.get(id)
  return medianRatio(measured?.get(own), measured?.get(reference), value)
}

/** CPU time for one answer, over all rounds: the clock behind it ticks in tens of milliseconds. */
function cpuRatio({ requests }: Results, id: string, name: CandidateName): number | undefined {
  const perAnswer = (measured: Measurement[] = []) => {
    const used = measured.reduce((sum, { cpuMs }) => sum + (cpuMs ?? Number.NaN), 0)
    return used / measured.reduce((sum, { answers }) => sum + answers, 0)
  }
  const measured = requests.cases.get(id)
  return measured && perAnswer(measured.get(name)) / perAnswer(measured.get('raw'))
}

/** Renders what was measured as tables of ratios. */
export function renderResults(results: Results, names: readonly CandidateName[]): string {
  const rate = (title: string, id: string): Column => [
    title,
    (name) => caseRatio(results, id, name, 'raw'),
  ]
  const streams = (value: (item: StreamsMeasurement) => number | undefined) => {
    return (name: CandidateName) => {
      const values = results.streams.get(name)?.map(value) ?? []
      const known = values.filter((item) => item !== undefined)
      return known.length > 0 ? median(known) : undefined
    }
  }
  const memory: Column = [
    'MB after all runs',
    (name) => toMegabytes(results.requests.memoryKb.get(name)),
  ]
  const calls: Column[] = [
    ['p50 × direct, 1 conn.', (name) => caseRatio(results, 'call-1', name, 'direct', p50)],
    rate('req/s × raw relay, 1', 'call-1'),
    rate('10', 'call-10'),
    rate('64', 'call-64'),
    rate('10, with sessions', 'call-10-sessions'),
    ['CPU × raw relay, 10', (name) => cpuRatio(results, 'call-10', name)],
    memory,
  ]
  const shapes: Column[] = [
    rate('event stream', 'call-stream'),
    rate('100 KB', 'call-100kb'),
    rate('5 MB', 'call-5mb'),
    rate('list of 10', 'list-10'),
    rate('200', 'list-200'),
    rate('2,000 tools', 'list-2000'),
  ]
  const burst = (name: CandidateName) =>
    medianRatio(results.streams.get(name), results.streams.get('raw'), ({ burstRate }) => burstRate)
  const idle: Column[] = [
    ['KB per stream', streams(({ kbPerStream }) => kbPerStream)],
    ['heads at once', streams(({ heads }) => heads.heads)],
    ['head p50, ms', streams(({ heads }) => heads.p50Ms)],
    ['one event to all: last after, ms', streams(({ lastAfterMs }) => lastAfterMs)],
    ['burst × raw relay', burst],
    ['events lost', streams(({ lost }) => lost)],
  ]
  const streamCount = [...results.streams.values()][0]?.[0]?.streams ?? 0
  return [
    renderTable('tools/call, 1 KB', calls, names, TITLES),
    renderTable('Other shapes, 10 connections, req/s × raw relay', shapes, names, TITLES),
    renderTable(`${streamCount.toLocaleString('en')} idle event streams`, idle, names, TITLES),
  ]
    .filter((table) => table !== '')
    .join('\n\n')
}

const p50 = ({ p50Ms }: Measurement) => p50Ms
const toMegabytes = (kb: number | undefined) => kb && Math.round(kb / 1024)

const UNDISTURBED = 0.75

/** Rates say little when other work takes the cores: a saturated relay keeps its core busy. */
export function renderDisturbance({ requests }: Results): string | undefined {
  const shares = ['call-10', 'call-64'].flatMap((id) => requests.cases.get(id)?.get('raw') ?? [])
  return describeDisturbance('The raw relay', shares)
}

/** `undefined` when `who`, which had more to do than it could, was busy as it should be. */
export function describeDisturbance(
  who: string,
  shares: { busy: number | undefined }[],
): string | undefined {
  const known = shares.map(({ busy }) => busy).filter((busy) => busy !== undefined)
  if (known.length === 0 || median(known) >= UNDISTURBED) return undefined
  const percent = Math.round(median(known) * 100)
  return `${who} had its core for only ${percent} % of the time: the machine does other work.`
}
