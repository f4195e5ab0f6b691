import { createReplays, type Replays } from '../../auth/verify/replays.js'
import type { ProxyConfig } from '../../config/types.js'
import { createMemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import { createCaps } from '../limits.js'
import { createRateLimit } from '../rate-limits.js'

/** What one server has under whatever configuration: what it counts, and the limits in force. */
export function createServerShare(config: ProxyConfig, clock: Clock, replays?: Replays) {
  const limits = { ...config.limits }
  const timeouts = { ...config.timeouts }
  /** Milliseconds. */
  const ofGateway = { list: 0, answer: 0 }
  const budget = { max: 0, used: 0 }
  const memory = createMemoryBudget()
  const share = {
    ...{ limits, timeouts, ofGateway, budget, memory },
    caps: createCaps(limits),
    rateLimit: createRateLimit(limits, clock),
    counts: { requests: 0, running: 0 },
    // a proof stays used, whatever is configured
    replays: replays ?? createReplays(clock),
    /** Puts the limits of another configuration in force. */
    renew(next: Pick<ProxyConfig, 'limits' | 'timeouts'>): void {
      Object.assign(limits, next.limits)
      Object.assign(timeouts, next.timeouts)
      budget.max = next.limits.children
      memory.max = next.limits.bufferedBytes
      ofGateway.list = next.timeouts.list * 1000
      ofGateway.answer = next.timeouts.answer * 1000
    },
  }
  share.renew(config)
  return share
}
