import { setTimeout as sleep } from 'node:timers/promises'
import type { Workplace } from '../candidates.js'
import { type Candidate, type CandidateName, startCandidate, startTarget } from '../candidates.js'
import type { EventsReport, HeadsReport } from '../load/streams.js'
import { inOrderOf } from '../measure.js'
import type { Plan } from '../plan.js'
import { type Started, settledKb } from '../process.js'
import { median } from '../statistics.js'

export interface StreamsMeasurement {
  streams: number
  kbPerStream: number | undefined
  heads: HeadsReport
  /** One event to all: from before the first write until the last arrival. */
  lastAfterMs: number
  burstRate: number
  /** Events that were missing, repeated or out of order, of all that were sent. */
  lost: number
}

export type StreamsResults = Map<CandidateName, StreamsMeasurement[]>

const WARM_UP = { streams: 50, calls: 500 }
const REPEATS = 3

/** Idle event streams: each candidate in a fresh process, each round. */
export async function measureStreams(
  work: Workplace,
  plan: Plan,
  loader: Started,
  progress: (text: string) => void,
): Promise<StreamsResults> {
  const results: StreamsResults = new Map(plan.candidates.map((name) => [name, []]))
  for (let round = 0; round < plan.rounds.streams; round += 1) {
    const names = plan.candidates.filter((name) => name !== 'sdk' || round < plan.rounds.sdkStreams)
    for (const name of inOrderOf(names, round)) {
      progress(`streams ${round + 1}/${plan.rounds.streams} ${name}`)
      const target = await startTarget(work, 'other')
      const candidate = await startCandidate(work, name, target)
      try {
        results.get(name)?.push(await measureOne(candidate, plan, loader))
      } catch (error) {
        throw new Error(`${name}, streams: ${(error as Error).message}`)
      }
      await candidate.stop()
      await target.stop()
    }
  }
  return results
}

async function measureOne(candidate: Candidate, plan: Plan, loader: Started) {
  const { pid } = candidate.process
  const issuesSessions = await warmUp(candidate, loader)
  const before = await settledKb(pid)
  const heads = await openAll(candidate, loader, plan.streams, issuesSessions)
  const after = await settledKb(pid)
  const toAll = await repeat(() => emit(candidate, loader, 'all', 1, plan.streams))
  const bursts = await repeat(() => emit(candidate, loader, 'last', plan.burst, 1))
  await loader.remote.call('closeStreams')
  return {
    streams: plan.streams,
    kbPerStream: before && after && (after - before) / plan.streams,
    heads,
    lastAfterMs: median(toAll.map(({ ms }) => ms)),
    burstRate: median(bursts.map(({ ms }) => (plan.burst / ms) * 1000)),
    lost: [...toAll, ...bursts].reduce((sum, { lost }) => sum + lost, 0),
  }
}

/** Returns whether the candidate gives its clients sessions. */
async function warmUp(candidate: Candidate, loader: Started): Promise<boolean> {
  const { endpoint } = candidate
  const sessions = await loader.remote.call<string[]>('openSessions', { endpoint, count: 10 })
  const issuesSessions = sessions.length > 0
  await loader.remote.call('runCalls', {
    endpoint,
    work: { method: 'tools/call', size: 1024, stream: false },
    connections: 10,
    sessions,
    durationMs: 3000,
    maxAnswers: WARM_UP.calls,
  })
  await openAll(candidate, loader, WARM_UP.streams, issuesSessions)
  await emit(candidate, loader, 'all', 1, WARM_UP.streams)
  await loader.remote.call('closeStreams')
  return issuesSessions
}

/** Where there are sessions, each stream has its own: what is kept for it counts as well. */
async function openAll(
  { endpoint, target }: Candidate,
  loader: Started,
  count: number,
  withSessions: boolean,
) {
  const sessions = withSessions
    ? await loader.remote.call<string[]>('openSessions', { endpoint, count })
    : []
  const heads = await loader.remote.call<HeadsReport>('openStreams', { endpoint, count, sessions })
  for (let tries = 0; (await target.remote.call<number>('streams')) < count; tries += 1) {
    if (tries === 50) throw new Error('streams are missing at the target')
    await sleep(100)
  }
  return heads
}

async function emit(
  { target }: Candidate,
  loader: Started,
  to: 'all' | 'last',
  count: number,
  receivers: number,
) {
  await loader.remote.call('expectEvents')
  const startedAt = BigInt(await target.remote.call<string>('emit', { to, count }))
  const report = await loader.remote.call<EventsReport>('awaitEvents', { receivers, each: count })
  const ms = Number(BigInt(report.lastAt) - startedAt) / 1e6
  const missing = Math.abs(receivers * count - report.events)
  return { ms, lost: Math.max(missing, Math.abs(receivers - report.complete)) }
}

async function repeat<T>(task: () => Promise<T>): Promise<T[]> {
  const results: T[] = []
  while (results.length < REPEATS) results.push(await task())
  return results
}
