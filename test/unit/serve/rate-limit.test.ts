import { describe, expect, it } from 'vitest'
import { createRateLimit } from '../../../src/serve/caps.js'
import { createManualClock } from '../../helpers/runtime.js'
import { principal } from '../gateway/support.js'

describe('the rate limit', () => {
  it('lets the configured number through each minute, then says how long to wait', async () => {
    const clock = createManualClock()
    const limit = createRateLimit(2, clock)
    const ask = () => limit(principal())
    expect([ask(), ask(), ask()]).toEqual([0, 0, 60])
    await clock.advance(59_500)
    expect(ask()).toBe(1)
    await clock.advance(499)
    expect(ask()).toBe(1)
    await clock.advance(1)
    expect([ask(), ask(), ask()]).toEqual([0, 0, 60])
  })

  it('counts each subject and client apart, and all who are unknown together', () => {
    const limit = createRateLimit(1, createManualClock())
    const callers = [
      principal(),
      principal({ subject: 'bob' }),
      principal({ clientId: 'other' }),
      principal({ clientId: undefined }),
      undefined,
    ]
    expect(callers.map(limit)).toEqual([0, 0, 0, 0, 0])
    expect(callers.map((caller) => limit(caller) > 0)).toEqual([true, true, true, true, true])
  })

  it('counts a caller with a new token on', () => {
    const limit = createRateLimit(1, createManualClock())
    limit(principal())
    expect(limit(principal({ expiresAt: 1, scopes: new Set(['x']) }))).toBe(60)
  })

  it('does not exist when it is 0', () => {
    const limit = createRateLimit(0, createManualClock())
    expect(Array.from({ length: 1_000 }, () => limit(undefined)).every((wait) => wait === 0)).toBe(
      true,
    )
  })

  it('forgets the callers whose minute began first when there are more than 10,000', () => {
    const limit = createRateLimit(1, createManualClock())
    for (let i = 0; i <= 10_000; i++) limit(principal({ subject: `user-${i}` }))
    expect(limit(principal({ subject: 'user-1' }))).toBe(60)
    expect(limit(principal({ subject: 'user-0' }))).toBe(0)
  })
})
