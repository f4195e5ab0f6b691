import { describe, expect, it } from 'vitest'
import {
  bearerHeaders,
  createCredentialCache,
  renewalTime,
} from '../../../../src/auth/credentials/cache.js'
import { createTestClock, START } from '../support.js'

function setUp(maxEntries = 10, lifeMs = 600_000) {
  const clock = createTestClock()
  const cache = createCredentialCache(clock, maxEntries)
  const issued: { key: string; renewal: boolean }[] = []
  const get = (key: string, failure?: Error) =>
    cache.get(key, async (renewal) => {
      issued.push({ key, renewal })
      if (failure) throw failure
      return { headers: bearerHeaders(`t${issued.length}`), renewAt: clock.now() + lifeMs }
    })
  return { clock, cache, issued, get }
}

describe('a credential cache', () => {
  it('gives the same frozen object at once until it is to be renewed', async () => {
    const { clock, get, issued } = setUp()
    const first = await get('a')
    clock.advance(599_999)
    expect(get('a')).toBe(first)
    expect(Object.isFrozen(first)).toBe(true)
    clock.advance(1)
    expect(await get('a')).toEqual({ authorization: 'Bearer t2' })
    expect(issued).toEqual([
      { key: 'a', renewal: false },
      { key: 'a', renewal: false },
    ])
  })

  it('issues once for all who wait, and apart for each key', async () => {
    const { get, issued } = setUp()
    const [one, two, other] = await Promise.all([get('a'), get('a'), get('b')])
    expect(one).toBe(two)
    expect(other).not.toEqual(one)
    expect(issued.map(({ key }) => key)).toEqual(['a', 'b'])
  })

  it('forgets the least recently used key first', async () => {
    const { get, issued } = setUp(2)
    await get('a')
    await get('b')
    await get('a')
    await get('c')
    await get('a')
    await get('b')
    expect(issued.map(({ key }) => key)).toEqual(['a', 'b', 'c', 'b'])
  })

  it('repeats a failure for 2 s, then asks again', async () => {
    const { clock, get, issued } = setUp()
    const failure = new Error('no')
    await expect(get('a', failure)).rejects.toBe(failure)
    clock.advance(1_999)
    expect(() => get('a')).toThrow(failure)
    clock.advance(1)
    await expect(get('a')).resolves.toBeDefined()
    expect(issued).toHaveLength(2)
  })

  it('renews refused headers once, and not again for a minute', async () => {
    const { clock, cache, get, issued } = setUp()
    await get('a')
    expect(cache.refused('a')).toBe(true)
    await get('a')
    expect(issued.at(-1)).toEqual({ key: 'a', renewal: true })
    clock.advance(5_000)
    expect(cache.refused('a')).toBe(false)
    expect(await get('a')).toEqual({ authorization: 'Bearer t2' })
    clock.advance(55_000)
    expect(cache.refused('a')).toBe(true)
    expect(await get('a')).toEqual({ authorization: 'Bearer t3' })
  })

  it('lets all who were refused together try the renewed headers', async () => {
    const { clock, cache, get, issued } = setUp()
    await get('a')
    expect(cache.refused('a')).toBe(true)
    expect(cache.refused('a')).toBe(true)
    await get('a')
    clock.advance(4_999)
    expect(cache.refused('a')).toBe(true)
    expect(get('a')).toEqual({ authorization: 'Bearer t2' })
    expect(issued).toHaveLength(2)
  })

  it('has nothing better for a key that it does not know or that failed', async () => {
    const { cache, get } = setUp()
    expect(cache.refused('a')).toBe(false)
    await expect(get('a', new Error('no'))).rejects.toThrow('no')
    expect(cache.refused('a')).toBe(false)
  })
})

describe('renewalTime', () => {
  it.each([
    { life: 3_600, renewAfter: 3_540 },
    { life: 600, renewAfter: 540 },
    { life: 100, renewAfter: 90 },
    { life: undefined, renewAfter: 270 },
    { life: 10_000_000, renewAfter: 86_340 },
    { life: 0, renewAfter: 0 },
  ])('is $renewAfter s after a token of $life s came', ({ life, renewAfter }) => {
    expect(renewalTime(START, life)).toBe(START + renewAfter * 1000)
  })
})

describe('bearerHeaders', () => {
  it.each(['', 'a b', 'a\r\nx: y', 'ü'])('refuses the token %j', (token) => {
    expect(() => bearerHeaders(token)).toThrow(
      expect.objectContaining({ code: 'CREDENTIAL_REFUSED' }),
    )
  })
})
