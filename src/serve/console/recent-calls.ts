import type { Clock } from '../../util/runtime.js'
import { type FinishedCall, hashOf } from '../request-log.js'

/** A finished request, as the console lists it. */
export interface RecentCall {
  readonly at: number
  readonly id: string
  readonly who: string | undefined
  readonly client: string | undefined
  readonly method: string
  readonly tool: string | undefined
  readonly target: string | undefined
  readonly outcome: string
  /** Why it was refused, with the rule, or how the target failed. */
  readonly why: string | undefined
  readonly status: number
  readonly ms: number
}

const MAX_CALLS = 100

/** Failures of so many targets are kept. */
const MAX_TARGETS = 1_000

const MAX_TEXT = 200

interface Failure {
  readonly target: string
  readonly at: number
  readonly reason: string
}

export interface RecentCalls {
  add(call: RecentCall, failure?: Failure): void
  fail(failure: Failure): void
  /** The last ones, the newest first. */
  calls(): RecentCall[]
  failure(target: string): Pick<Failure, 'at' | 'reason'> | undefined
}

/** Keeps the last requests and each target's last failure. */
export function createRecentCalls(): RecentCalls {
  const kept: RecentCall[] = []
  const failures = new Map<string, Failure>()
  let next = 0
  const fail = (failure: Failure) => {
    if (failures.size < MAX_TARGETS || failures.has(failure.target)) {
      failures.set(failure.target, failure)
    }
  }
  return {
    add(call, failure) {
      kept[next] = call
      next = (next + 1) % MAX_CALLS
      if (failure !== undefined) fail(failure)
    },
    fail,
    calls: () => [...kept.slice(next), ...kept.slice(0, next)].reverse(),
    failure: (target) => failures.get(target),
  }
}

/** Describes a finished request for the page. */
export function describeCall({ summary, outcome, refusal, ms }: FinishedCall): RecentCall {
  const { record, status, startedAt, principal, id } = summary
  const rule = record.rule === undefined ? '' : ` (${record.rule})`
  const why = refusal === undefined ? record.failure?.reason : `${refusal}${rule}`
  return {
    ...{ at: startedAt + ms, id, outcome, status, ms },
    who: hashOf(summary),
    client: cut(principal?.clientId),
    method: cut(record.method) ?? '',
    tool: cut(record.tool),
    target: record.target,
    why: cut(why),
  }
}

/** Returns how the target failed, if it did. */
export function failureIn({ summary, ms }: FinishedCall): Failure | undefined {
  const { failure } = summary.record
  if (failure === undefined) return undefined
  const { target, reason } = failure
  return { target, at: summary.startedAt + ms, reason: cut(reason) ?? '' }
}

/** What a worker tells the process that has the page. */
export interface Told {
  readonly calls: readonly RecentCall[]
  readonly failures: readonly Failure[]
}

/** How often a worker tells, and how many requests at most. */
const TELL_MS = 1_000

const MAX_TOLD = 20

/** Creates the function with which a worker notes its requests: the last ones of each second are told. */
export function createTeller(
  clock: Pick<Clock, 'after'>,
  send: (message: { finished: Told }) => void,
): (call: FinishedCall) => void {
  let calls: FinishedCall[] = []
  let failures = new Map<string, Failure>()
  let isWaiting = false
  const tell = () => {
    isWaiting = false
    send({ finished: { calls: calls.map(describeCall), failures: [...failures.values()] } })
    calls = []
    failures = new Map()
  }
  return (call) => {
    if (calls.length >= MAX_TOLD) calls.shift()
    calls.push(call)
    const failure = failureIn(call)
    if (failure !== undefined) failures.set(failure.target, failure)
    if (isWaiting) return
    isWaiting = true
    clock.after(TELL_MS, tell)
  }
}

/** Reads what a worker told; it is our own program, in the same version. */
export function toldIn(message: Readonly<Record<string, unknown>>): Told | undefined {
  return message['finished'] as Told | undefined
}

function cut(text: string | undefined): string | undefined {
  return text !== undefined && text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}
