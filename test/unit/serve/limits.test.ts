import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import type { Occupancy } from '../../../src/serve/excess.js'
import { type Caps, type CapsConfig, createCaps } from '../../../src/serve/limits.js'
import { createRateLimit } from '../../../src/serve/rate-limits.js'
import { createManualClock } from '../../helpers/runtime.js'
import { principal } from '../gateway/support.js'

const NO_CLIENTS = { callsPerClient: 0, streamsPerClient: 0 }

const LIMITS: CapsConfig = {
  ...{ callsPerCaller: 2, calls: 3, streamsPerCaller: 1, streams: 2 },
  ...NO_CLIENTS,
}

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
  it('is limited for one client, whoever uses it, and a token without a client has one of its own', () => {
    const caps = createCaps({ ...LIMITS, callsPerCaller: 0, callsPerClient: 1, calls: 0 })
    const first = taken(caps, who('ann', 'app'), 'call')
    expect(refusal(caps, who('bob', 'app'), 'call')).toEqual([429, 'client_calls', true])
    expect(refusal(caps, who('bob', 'other'), 'call')).toBeUndefined()
    const nameless = { subject: 'ann', issuer: 'i' } as Principal
    taken(caps, nameless, 'call')
    expect(refusal(caps, nameless, 'call')).toEqual([429, 'client_calls', true])
    expect(refusal(caps, { subject: 'bob', issuer: 'i' } as Principal, 'call')).toBeUndefined()
    first.release()
    expect(refusal(caps, who('bob', 'app'), 'call')).toBeUndefined()
    const streams = createCaps({ ...LIMITS, streamsPerCaller: 0, streamsPerClient: 1 })
    taken(streams, who('ann'), 'stream')
    expect(refusal(streams, who('bob'), 'stream')).toEqual([429, 'client_streams', true])
    expect(refusal(streams, who('bob'), 'call')).toBeUndefined()
  })

  it('of one user counts together at all issuers of a project, and apart where dsub tells users apart', () => {
    const caps = createCaps({ ...LIMITS, callsPerCaller: 1, calls: 0 })
    const project = `P${'2'.repeat(27)}`
    const at = (issuer: string, userId?: string) =>
      ({ issuer, subject: 'shared', clientId: 'app', userId }) as Principal
    taken(caps, at(`https://api.descope.com/${project}`), 'call')
    const agentic = `https://api.descope.com/v1/apps/agentic/${project}/MS1`
    expect(refusal(caps, at(agentic), 'call')).toEqual([429, 'caller_calls', true])
    expect(refusal(caps, at(agentic, 'u1'), 'call')).toBeUndefined()
    expect(refusal(caps, at('https://other.example.com'), 'call')).toBeUndefined()
  })

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
    const none = { callsPerCaller: 0, calls: 0, streamsPerCaller: 0, streams: 0, ...NO_CLIENTS }
    const caps = createCaps(none)
    const places = Array.from({ length: 500 }, (_, i) => taken(caps, who(`u${i % 50}`), 'stream'))
    expect(caps.callers()).toBe(50)
    for (const place of places) place.release()
    expect(caps.callers()).toBe(0)
  })
})

/** What each of some requests is told: '' when it is let through. */
const told = (limit: ReturnType<typeof createRateLimit>, callers: (Principal | undefined)[]) =>
  callers.map((caller) => {
    const excess = limit(caller)
    return excess === undefined ? '' : `${excess.refusal} ${excess.retryAfter}`
  })

const perMinute = (both: number, caller = 0, client = 0) => ({
  requestsPerMinute: both,
  requestsPerMinutePerCaller: caller,
  requestsPerMinutePerClient: client,
})

describe('the rate limit', () => {
  it('lets the configured number through each minute, then says how long to wait', async () => {
    const clock = createManualClock()
    const limit = createRateLimit(perMinute(2), clock)
    const ask = () => limit(principal())?.retryAfter ?? 0
    expect([ask(), ask(), ask()]).toEqual([0, 0, 60])
    await clock.advance(59_500)
    expect(ask()).toBe(1)
    await clock.advance(499)
    expect(ask()).toBe(1)
    await clock.advance(1)
    expect([ask(), ask(), ask()]).toEqual([0, 0, 60])
  })

  it('counts each subject and client apart, and all who are unknown together', () => {
    const limit = createRateLimit(perMinute(1), createManualClock())
    const callers = [
      principal(),
      principal({ subject: 'bob' }),
      principal({ clientId: 'other' }),
      principal({ clientId: undefined }),
      undefined,
    ]
    expect(told(limit, callers)).toEqual(['', '', '', '', ''])
    expect(new Set(told(limit, callers))).toEqual(new Set(['rate_limit 60']))
  })

  it.each([
    [perMinute(0, 2, 0), ['', '', 'caller_rate_limit 60', '']],
    [perMinute(0, 0, 2), ['', '', '', 'client_rate_limit 60']],
    [perMinute(1, 2, 0), ['', '', 'rate_limit 60', '']],
    [perMinute(1, 1, 1), ['', 'caller_rate_limit 60', 'rate_limit 60', 'client_rate_limit 60']],
  ])('of %j counts by what it is named after, and says which one it was', (limits, expected) => {
    const limit = createRateLimit(limits, createManualClock())
    const callers = [
      principal({ subject: 'ann', clientId: 'app' }),
      principal({ subject: 'ann', clientId: 'other' }),
      principal({ subject: 'ann', clientId: 'app' }),
      principal({ subject: 'bob', clientId: 'app' }),
    ]
    expect(told(limit, callers)).toEqual(expected)
  })

  it('does not count at one limit what another one refuses, and names the one that lasts longest', async () => {
    const clock = createManualClock()
    const limit = createRateLimit(perMinute(1, 3), clock)
    const [app, other] = [principal({ clientId: 'app' }), principal({ clientId: 'other' })]
    expect(told(limit, [app])).toEqual([''])
    await clock.advance(30_000)
    const more = ['rate_limit 30', '', 'rate_limit 60']
    expect(told(limit, [app, other, other])).toEqual(more)
    const third = principal({ clientId: 'third' })
    expect(told(limit, [third, third])).toEqual(['', 'rate_limit 60'])
    // the caller's minute began with the first request
    const fourth = principal({ clientId: 'fourth' })
    expect(told(limit, [fourth])).toEqual(['caller_rate_limit 30'])
  })

  it('counts a caller with a new token on', () => {
    const limit = createRateLimit(perMinute(1), createManualClock())
    limit(principal())
    expect(told(limit, [principal({ expiresAt: 1, scopes: new Set(['x']) })])).toEqual([
      'rate_limit 60',
    ])
  })

  it('does not exist when it is 0, and is as large as a number can be', () => {
    for (const most of [0, Number.MAX_SAFE_INTEGER]) {
      const limit = createRateLimit(perMinute(most, most, most), createManualClock())
      expect(Array.from({ length: 1_000 }, () => limit(undefined)).every((it) => !it)).toBe(true)
    }
  })

  it('begins a new minute when the clock is set back', async () => {
    let now = 1_000_000_000
    const limit = createRateLimit(perMinute(1), { now: () => now })
    expect(told(limit, [undefined, undefined])).toEqual(['', 'rate_limit 60'])
    now -= 3_600_000
    expect(told(limit, [undefined, undefined])).toEqual(['', 'rate_limit 60'])
  })

  it('forgets the callers whose minute began first when there are more than 10,000', () => {
    const limit = createRateLimit(perMinute(1), createManualClock())
    for (let i = 0; i <= 10_000; i++) limit(principal({ subject: `user-${i}` }))
    const known = ['user-1', 'user-0'].map((subject) => principal({ subject }))
    expect(told(limit, known)).toEqual(['rate_limit 60', ''])
  })
})
