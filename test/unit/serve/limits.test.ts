import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import {
  type Caps,
  type CapsConfig,
  createCaps,
  createRateLimit,
  type Occupancy,
} from '../../../src/serve/limits.js'
import { createManualClock } from '../../helpers/runtime.js'
import { principal } from '../gateway/support.js'

const LIMITS: CapsConfig = { callsPerCaller: 2, calls: 3, streamsPerCaller: 1, streams: 2 }

const who = (subject: string, clientId = 'app') => ({ subject, clientId, issuer: 'i' }) as Principal

function taken(caps: Caps, principal: Principal | undefined, kind: Occupancy) {
  const place = caps.take(principal, kind)
  if (!('release' in place)) throw new Error(place.message)
  return place
}

const refusal = (caps: Caps, principal: Principal | undefined, kind: Occupancy) => {
  const place = caps.take(principal, kind)
  if ('release' in place) return place.release()
  return [place.status, place.refusal, place.retryAfter > 0]
}

describe('what runs at once', () => {
  it('is limited for one subject, whatever client and token it comes with, and for all', () => {
    const caps = createCaps(LIMITS)
    taken(caps, who('ann'), 'call')
    const second = taken(caps, who('ann'), 'call')
    expect(refusal(caps, who('ann'), 'call')).toEqual([429, 'caller_calls', true])
    expect(refusal(caps, who('ann', 'other'), 'call')).toEqual([429, 'caller_calls', true])
    const bob = taken(caps, who('bob'), 'call')
    expect(refusal(caps, who('cid'), 'call')).toEqual([503, 'calls', true])
    bob.release()
    second.release()
    second.release()
    expect(refusal(caps, who('ann'), 'call')).toBeUndefined()
    expect([caps.calls(), caps.callers()]).toEqual([1, 1])
  })

  it('is counted apart for streams', () => {
    const caps = createCaps(LIMITS)
    taken(caps, who('ann'), 'stream')
    expect(refusal(caps, who('ann'), 'stream')).toEqual([429, 'caller_streams', true])
    expect(refusal(caps, who('ann'), 'call')).toBeUndefined()
    taken(caps, who('bob'), 'stream')
    expect(refusal(caps, who('cid'), 'stream')).toEqual([503, 'streams', true])
  })

  it('leaves room for messages of a caller who has as many requests as may be', () => {
    const caps = createCaps(LIMITS)
    const places = [taken(caps, who('ann'), 'post'), taken(caps, who('ann'), 'post')]
    expect(places.map((place) => place.become('call'))).toEqual([undefined, undefined])
    const third = taken(caps, who('ann'), 'post')
    expect(third.become('call')).toMatchObject({ status: 429, refusal: 'caller_calls' })
    third.release()
    taken(caps, who('ann'), 'post')
    taken(caps, who('ann'), 'post')
    expect(refusal(caps, who('ann'), 'post')).toEqual([429, 'caller_calls', true])
  })

  it('is not limited where the limit is 0, and forgets callers who are gone', () => {
    const none = { callsPerCaller: 0, calls: 0, streamsPerCaller: 0, streams: 0 }
    const caps = createCaps(none)
    const places = Array.from({ length: 500 }, (_, i) => taken(caps, who(`u${i % 50}`), 'stream'))
    expect(caps.callers()).toBe(50)
    for (const place of places) place.release()
    expect(caps.callers()).toBe(0)
  })
})

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
