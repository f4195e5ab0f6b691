import { createHash } from 'node:crypto'
import type { Candidate, CandidateName } from './candidates.js'
import type { CallsOrder, CallsReport } from './load/calls.js'
import type { Work } from './load/request.js'
import { cpuMs, type Started } from './process.js'

/** One thing that every candidate is asked to do. */
export interface Case {
  id: string
  work: Work
  connections: number
  /** The target issues sessions and insists on them. */
  sessions?: boolean
}

export interface Measurement extends CallsReport {
  /** CPU time that the process under test used, milliseconds. */
  cpuMs: number | undefined
  /** CPU time of the process under test as a share of one core. */
  busy: number | undefined
}

export type Measurements = Map<CandidateName, Measurement[]>

interface Settings {
  loader: Started
  rounds: number
  turnMs: number
}

const WARM_SHARE = 0.5
/** Optimized code needs this many; the slowest candidates run out of time before. */
const WARM_UP_ANSWERS = 6000

/** Measures one case: a short warm-up each, then rounds in which every candidate has its turn. */
export async function measureCase(
  candidates: Candidate[],
  wanted: Case,
  { loader, rounds, turnMs }: Settings,
): Promise<Measurements> {
  const sessions = new Map<CandidateName, string[]>()
  for (const candidate of candidates) {
    sessions.set(candidate.name, await prepare(candidate, wanted, loader))
  }
  const turn = (candidate: Candidate, durationMs: number) =>
    takeTurn(candidate, loader, {
      endpoint: candidate.endpoint,
      work: wanted.work,
      connections: wanted.connections,
      sessions: sessions.get(candidate.name) ?? [],
      durationMs,
    })
  for (const candidate of candidates) await turn(candidate, turnMs * WARM_SHARE)
  const measured: Measurements = new Map(candidates.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round += 1) {
    for (const candidate of inOrderOf(candidates, round)) {
      measured.get(candidate.name)?.push(await turn(candidate, turnMs))
    }
  }
  return measured
}

async function prepare(
  candidate: Candidate,
  { work, connections, sessions }: Case,
  loader: Started,
) {
  await candidate.target.remote.call('configure', {
    sessions: sessions === true,
    tools: work.method === 'tools/list' ? work.tools : 1,
  })
  const { endpoint } = candidate
  return loader.remote.call<string[]>('openSessions', { endpoint, count: connections })
}

/** The target counts too: an answer that the candidate made up would be noticed. */
async function takeTurn(candidate: Candidate, loader: Started, order: CallsOrder) {
  const counted = async () =>
    (await candidate.target.remote.call<{ calls: number }>('counts')).calls
  const callsBefore = await counted()
  const cpuBefore = cpuMs(candidate.process.pid)
  const report = await loader.remote.call<CallsReport>('runCalls', order).catch((error) => {
    throw new Error(`${candidate.name}, ${JSON.stringify(order.work)}: ${error.message}`)
  })
  const cpuAfter = cpuMs(candidate.process.pid)
  const calls = (await counted()) - callsBefore
  if (order.work.method === 'tools/call' && calls !== report.requests) {
    throw new Error(
      `${candidate.name}: ${report.requests} calls answered, but ${calls} came to the target`,
    )
  }
  candidate.process.clearLog()
  const used = cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore
  return {
    ...report,
    cpuMs: used,
    busy: used && used / ((report.answers / report.rate) * 1000),
  }
}

/**
 * Another order each round, the same in each run. Turning a list around would not do: everybody
 * would follow the same neighbour, who leaves cold caches and garbage behind.
 */
export function inOrderOf<T>(items: T[], round: number): T[] {
  const key = (index: number) => createHash('sha256').update(`${round}.${index}`).digest('hex')
  return items
    .map((item, index) => ({ item, key: key(index) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ item }) => item)
}

/** Code that never ran hot is slow; SDK relays need thousands of requests. */
export async function warmUp(candidates: Candidate[], loader: Started, durationMs: number) {
  const wanted: Case = {
    id: 'warm-up',
    work: { method: 'tools/call', size: 1024, stream: false },
    connections: 10,
  }
  for (const candidate of candidates) {
    const sessions = await prepare(candidate, wanted, loader)
    const { endpoint } = candidate
    const order = { ...wanted, endpoint, sessions, durationMs, maxAnswers: WARM_UP_ANSWERS }
    await takeTurn(candidate, loader, order)
  }
}
