import { sleep } from '../../util/async.js'
import type { Clock } from '../../util/runtime.js'
import { isRetryable, OAuthRefusedError, RetryableError } from './failure.js'

const ATTEMPTS = 3
/** A server that wants a longer pause than this gets it: the caller is told to come back. */
const LONGEST_PAUSE_MS = 2_000

/** Tries again, after a growing pause with jitter, what failed in a way that may pass. */
export async function withRetries<T>(
  { clock }: { clock: Clock },
  task: () => Promise<T>,
  isWorthIt: (error: unknown) => boolean = isRetryable,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task()
    } catch (error) {
      const asked = retryAfterOf(error) ?? 0
      if (!isWorthIt(error) || attempt === ATTEMPTS || asked > LONGEST_PAUSE_MS) throw error
      await sleep(clock, Math.max(asked, 250 * 2 ** attempt * (0.5 + Math.random())))
    }
  }
}

/** How long the server wants to be left alone, milliseconds. */
function retryAfterOf(error: unknown): number | undefined {
  if (error instanceof OAuthRefusedError) return error.refusal.retryAfterMs
  return error instanceof RetryableError ? error.retryAfterMs : undefined
}
