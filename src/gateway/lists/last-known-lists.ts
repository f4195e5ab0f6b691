import { classifyFailure } from '../../util/failure.js'
import type { Clock } from '../../util/runtime.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { accessKey, type Request } from '../request.js'
import type { Target } from '../target.js'

/** For so long a list stands in for a target that is down, milliseconds. */
const GRACE_MS = 600_000

const MAX_LIST_CHARS = 2 * 1024 * 1024

const MAX_CHARS = 16 * 1024 * 1024

/** What a list counts at least: an empty one takes room too, and there is one for each caller. */
const MIN_LIST_CHARS = 1024

interface Kept {
  pages: readonly string[]
  length: number
  keptAt: number
}

/**
 * Keeps the last good lists of targets for when they are down. They are kept as the targets sent
 * them, so that what a caller may see of them is decided when they are used.
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

    /** Finds a list to take instead of what a target should have answered. */
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

export type LastLists = ReturnType<typeof createLastLists>

/** Callers that a target can tell apart may get different lists. */
function keyOf(request: Request, target: Target, method: string): string {
  return `${method} ${accessKey(request, target)}`
}
