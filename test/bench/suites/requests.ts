import type { Workplace } from '../candidates.js'
import { type Candidate, type CandidateName, startCandidate, startTarget } from '../candidates.js'
import { type Measurements, measureCase, warmUp } from '../measure.js'
import { isRequestSuite, type Plan } from '../plan.js'
import { residentKb, type Started } from '../process.js'
import { CASES } from './cases.js'

export interface RequestResults {
  /** By case id. */
  cases: Map<string, Measurements>
  /** Resident memory of each process under test after all cases, kilobytes. */
  memoryKb: Map<CandidateName, number | undefined>
}

/** Calls and lists: all candidates stay up, and take turns case by case. */
export async function measureRequests(
  work: Workplace,
  plan: Plan,
  loader: Started,
  progress: (text: string) => void,
): Promise<RequestResults> {
  const results: RequestResults = { cases: new Map(), memoryKb: new Map() }
  const suites = plan.suites.filter(isRequestSuite)
  if (suites.length === 0) return results
  const target = await startTarget(work, 'other')
  const candidates: Candidate[] = []
  for (const name of plan.candidates) candidates.push(await startCandidate(work, name, target))
  progress('warm-up')
  await warmUp(candidates, loader, plan.warmUpMs)
  for (const suite of suites) {
    for (const wanted of CASES[suite]) {
      progress(wanted.id)
      const settings = { loader, rounds: plan.rounds[suite], turnMs: plan.turnMs[suite] }
      results.cases.set(wanted.id, await measureCase(candidates, wanted, settings))
    }
  }
  for (const { name, process } of candidates) results.memoryKb.set(name, residentKb(process.pid))
  for (const candidate of candidates) await candidate.stop()
  await target.stop()
  return results
}
