import type { Samples } from './samples.js'
import { sumOf, valuesOf } from './samples.js'

/** How requests ended, as the plot tells them apart. */
export type Kind = 'answered' | 'refused' | 'failed'

const KINDS: Readonly<Record<string, Kind>> = {
  ...{ ok: 'answered', tool_error: 'answered', rpc_error: 'answered', client_left: 'answered' },
  ...{ refused: 'refused', target_failure: 'failed' },
}

/** What was counted within a minute. */
export interface Minute {
  /** Minutes since the epoch. */
  readonly at: number
  readonly requests: Record<Kind, number>
  /** By target. */
  readonly targets: Map<string, Spent>
  /** By reason. */
  readonly refusals: Map<string, number>
}

export interface Spent {
  calls: number
  seconds: number
}

const MINUTE_MS = 60_000

export const SHOWN_MINUTES = 60

/** How many minutes the durations of targets are averaged over. */
export const RECENT_MINUTES = 5

export interface History {
  /** Takes the counters as they are now. */
  take(samples: Samples): void
  /** The last hour, the running minute last. */
  minutes(): readonly Minute[]
  /** What a target did lately. */
  recent(target: string): Spent
}

/** Keeps what the counters of the last hour grew by, minute by minute. */
export function createHistory(now: () => number): History {
  const kept: Minute[] = []
  /** The counters as they were last, by what they count. */
  const before = new Map<string, number>()
  let isFirst = true

  /** Counters start at zero again when a worker is replaced. */
  function growth(key: string, value: number): number {
    const last = before.get(key) ?? 0
    before.set(key, value)
    return isFirst ? 0 : Math.max(0, value - last)
  }

  function current(): Minute {
    const at = Math.floor(now() / MINUTE_MS)
    const last = kept.at(-1)
    if (last?.at === at) return last
    const requests = { answered: 0, refused: 0, failed: 0 }
    const minute = { at, requests, targets: new Map(), refusals: new Map() }
    kept.push(minute)
    while (kept[0] !== undefined && kept[0].at <= at - SHOWN_MINUTES) kept.shift()
    return minute
  }

  return {
    take(samples) {
      const { requests, targets, refusals } = current()
      for (const [outcome, kind] of Object.entries(KINDS)) {
        requests[kind] += growth(`o ${outcome}`, sumOf(samples, 'outcomes_total', { outcome }))
      }
      for (const reason of valuesOf(samples, 'refusals_total', 'reason')) {
        const grown = growth(`r ${reason}`, sumOf(samples, 'refusals_total', { reason }))
        if (grown > 0) refusals.set(reason, (refusals.get(reason) ?? 0) + grown)
      }
      for (const target of valuesOf(samples, 'target_state', 'target')) {
        const spent = targets.get(target) ?? { calls: 0, seconds: 0 }
        const name = 'request_duration_seconds'
        spent.calls += growth(`c ${target}`, sumOf(samples, `${name}_count`, { target }))
        spent.seconds += growth(`s ${target}`, sumOf(samples, `${name}_sum`, { target }))
        targets.set(target, spent)
      }
      isFirst = false
    },
    minutes: () => kept,
    recent(target) {
      const since = Math.floor(now() / MINUTE_MS) - RECENT_MINUTES
      const spent = { calls: 0, seconds: 0 }
      for (const { at, targets } of kept) {
        const own = at > since ? targets.get(target) : undefined
        spent.calls += own?.calls ?? 0
        spent.seconds += own?.seconds ?? 0
      }
      return spent
    },
  }
}
