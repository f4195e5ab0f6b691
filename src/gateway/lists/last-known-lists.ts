import { classifyFailure } from '../../util/failure.js'
import type { Clock } from '../../util/runtime.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { accessKey, type Request } from '../request.js'
import type { Target } from '../target.js'

/** How long a list stands in for a target that is down, milliseconds. */
const GRACE_MS = 600_000

const MAX_LIST_CHARS = 2 * 1024 * 1024

const MAX_CHARS = 16 * 1024 * 1024

/** The least that a list counts: an empty one takes memory too, and there may be one per caller. */
const MIN_LIST_CHARS = 1024

interface Kept {
  pages: readonly string[]
  length: number
  keptAt: number
}

/**
 * Keeps the targets' last good lists for when they are down. They are kept as the targets sent them,
 * so that the policy is applied when they are used.
 */
export function createLastLists(clock: Pick<Clock, 'now'>) {
  const lists = new Map<string, Kept>()
  let total = 0

  function forget(key: string): void {
    total -= lists.get(key)?.length ?? 0
    lists.delete(key)
  }

  return {
    keep(request: Request, target: Target, method: string, pages: readonly string[]): void {
      const key = keyOf(request, target, method)
      forget(key)
      const chars = pages.reduce((sum, page) => sum + page.length, 0)
      const length = Math.max(chars, MIN_LIST_CHARS)
      if (length > MAX_LIST_CHARS) return
      for (const oldest of lists.keys()) {
        if (total + length <= MAX_CHARS) break
        forget(oldest)
      }
      lists.set(key, { pages, length, keptAt: clock.now() })
      total += length
    },

    /** Finds the list that stands in for a target's answer, if the target is down. */
    find(
      request: Request,
      target: Target,
      method: string,
      failure: TargetFailure,
    ): readonly string[] | undefined {
      const isDown = classifyFailure(failure) === 'transient'
      const kept = isDown ? lists.get(keyOf(request, target, method)) : undefined
      return kept && clock.now() - kept.keptAt <= GRACE_MS ? kept.pages : undefined
    },
  }
}

/** Callers that a target can tell apart may get different lists. */
function keyOf(request: Request, target: Target, method: string): string {
  return `${method} ${accessKey(request, target)}`
}
