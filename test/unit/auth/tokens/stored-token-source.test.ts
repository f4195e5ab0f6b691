import { describe, expect, it } from 'vitest'
import { OAuthRefusedError, RetryableError } from '../../../../src/auth/oauth/failure.js'
import { createStoredTokenSource } from '../../../../src/auth/tokens/stored-token-source.js'
import type { TokenRecord, TokenStore } from '../../../../src/auth/tokens/token-store.js'
import { createManualClock } from '../../../helpers/runtime.js'

const BINDING = {
  profile: 'default',
  url: 'https://mcp.example/mcp',
  issuer: undefined,
  clientId: undefined,
}

const START = Date.UTC(2026, 0, 1) / 1_000

function record(changes: Partial<TokenRecord> = {}): TokenRecord {
  return {
    binding: BINDING,
    target: 'main',
    issuer: 'https://as.example',
    metadataUrl: undefined,
    resource: BINDING.url,
    client: { id: 'c', secret: undefined, authMethod: 'none', source: 'static', redirectUris: [] },
    accessToken: 'one',
    refreshToken: 'r1',
    requestedScope: 'a',
    scope: 'a',
    receivedAt: START,
    expiresAt: START + 600,
    ...changes,
  }
}

/** A store in memory that other processes may change, and a counted refresh. */
function setUp(first: TokenRecord | undefined, refresh?: (old: TokenRecord) => TokenRecord) {
  const clock = createManualClock()
  const shelf = { record: first, saves: 0, refreshes: 0 }
  const store: TokenStore = {
    load: async () => shelf.record,
    async save(next) {
      shelf.saves++
      shelf.record = next
    },
    async remove() {
      shelf.record = undefined
    },
    list: async () => [],
    place: async () => ({ kind: 'file', path: '', reason: '' }),
    exclusively: (_binding, task) => task(),
  }
  const source = createStoredTokenSource({
    clock,
    store,
    binding: BINDING,
    async refresh(old) {
      shelf.refreshes++
      if (refresh) return refresh(old)
      const receivedAt = clock.now() / 1_000
      const accessToken = `new${shelf.refreshes}`
      return { ...old, accessToken, receivedAt, expiresAt: receivedAt + 600 }
    },
  })
  return { clock, shelf, source }
}

const transient = () => {
  throw new RetryableError('busy')
}

const gone = () => {
  throw new OAuthRefusedError('Refreshing the token', {
    kind: 'grant',
    code: 'invalid_grant',
    description: undefined,
    status: 400,
    retryAfter: null,
  })
}

describe('the tokens of a sign-in', () => {
  it('are none before anybody signed in', async () => {
    expect(await setUp(undefined).source.get()).toBeUndefined()
  })

  it('[bridge-refreshes-early] are refreshed when less than 60 s remain, and not before', async () => {
    const { clock, shelf, source } = setUp(record())
    await clock.advance(539_000)
    expect(await source.get()).toBe('one')
    expect(shelf.refreshes).toBe(0)
    await clock.advance(2_000)
    expect(await source.get()).toBe('new1')
  })

  it('[bridge-refreshes-early] are refreshed when less than a tenth of a long life remains', async () => {
    const { clock, source } = setUp(record({ expiresAt: START + 36_000 }))
    await clock.advance(32_300_000)
    expect(await source.get()).toBe('one')
    await clock.advance(200_000)
    expect(await source.get()).toBe('new1')
  })

  it('live for at least half their time when they are short', async () => {
    const { clock, source } = setUp(record({ expiresAt: START + 60 }))
    await clock.advance(29_000)
    expect(await source.get()).toBe('one')
  })

  it('are used to their end when a refresh fails in a way that may pass', async () => {
    const { clock, shelf, source } = setUp(record(), transient)
    await clock.advance(560_000)
    expect(await source.get()).toBe('one')
    await clock.advance(50_000)
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    expect(shelf.record).toMatchObject({ accessToken: 'one', refreshToken: 'r1' })
  })

  it('[bridge-refresh-trouble] are kept, and the server is left alone for a while, when it is in trouble', async () => {
    const { clock, shelf, source } = setUp(record({ expiresAt: START }), transient)
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    expect(shelf.refreshes).toBe(1)
    await clock.advance(1_500)
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    expect(shelf.refreshes).toBe(2)
    expect(shelf.saves).toBe(0)
  })

  it('are not refreshed before the time that the server asked for', async () => {
    const { clock, shelf, source } = setUp(record({ expiresAt: START }), () => {
      throw new RetryableError('busy', { retryAfter: '60' })
    })
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    await clock.advance(59_000)
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    expect(shelf.refreshes).toBe(1)
    await clock.advance(1_000)
    await expect(source.get()).rejects.toMatchObject({ retryable: true })
    expect(shelf.refreshes).toBe(2)
  })

  it('[bridge-rereads-store] come from the store when another process refreshed them already', async () => {
    const { shelf, source } = setUp(record())
    await source.get()
    shelf.record = record({ accessToken: 'two' })
    expect(await source.refused('one')).toEqual({ next: 'retry' })
    expect(await source.get()).toBe('two')
    expect(shelf.refreshes).toBe(0)
  })

  it('[bridge-one-refresh] are refreshed once for many refusals at once', async () => {
    const { shelf, source } = setUp(record())
    const verdicts = await Promise.all(Array.from({ length: 5 }, () => source.refused('one')))
    expect(verdicts).toEqual(Array(5).fill({ next: 'retry' }))
    expect(shelf.refreshes).toBe(1)
  })

  it('lead to a sign-in when a token that was just refreshed is refused again', async () => {
    const { clock, shelf, source } = setUp(record())
    await source.refused('one')
    expect(await source.refused('new1')).toEqual({ next: 'sign-in' })
    expect(await source.refused('new1')).toEqual({ next: 'sign-in' })
    expect(shelf.refreshes).toBe(1)
    await clock.advance(61_000)
    expect(await source.refused('new1')).toEqual({ next: 'retry' })
  })

  it('[bridge-one-refresh] are renewed once more when the target took one before it refused it, and no more', async () => {
    const { clock, shelf, source } = setUp(record())
    expect(await source.refused('one')).toEqual({ next: 'retry' })
    source.accepted?.('new1')
    await clock.advance(10_000)
    const verdicts = await Promise.all([1, 2, 3].map(() => source.refused('new1')))
    expect(verdicts).toEqual(Array(3).fill({ next: 'retry' }))
    expect(await source.get()).toBe('new2')
    source.accepted?.('new2')
    await clock.advance(10_000)
    expect(await source.refused('new2')).toEqual({ next: 'sign-in' })
    expect(shelf.refreshes).toBe(2)
    await clock.advance(61_000)
    expect(await source.refused('new2')).toEqual({ next: 'retry' })
    expect(shelf.refreshes).toBe(3)
  })

  it('lead to a sign-in when only another token was taken', async () => {
    const { source } = setUp(record())
    await source.refused('one')
    source.accepted?.('one')
    expect(await source.refused('new1')).toEqual({ next: 'sign-in' })
  })

  it('[bridge-refresh-trouble] lead to a sign-in when the refresh token is gone', async () => {
    const { shelf, source } = setUp(record(), gone)
    expect(await source.refused('one')).toEqual({ next: 'sign-in' })
    expect(await source.refused('one')).toEqual({ next: 'sign-in' })
    expect(shelf.refreshes).toBe(1)
    expect(shelf.record?.refreshToken).toBeUndefined()
  })

  it('live to their end when only the refresh token is gone', async () => {
    const { clock, source } = setUp(record(), gone)
    await clock.advance(560_000)
    expect(await source.get()).toBe('one')
    await clock.advance(50_000)
    expect(await source.get()).toBeUndefined()
  })

  it('[bridge-clock-jump] survive a clock that jumps an hour ahead and back', async () => {
    const { clock, shelf, source } = setUp(record({ refreshToken: undefined }))
    await clock.advance(3_600_000)
    expect(await source.get()).toBeUndefined()
    expect(shelf.record?.accessToken).toBe('one')
    const back = createStoredTokenSource({
      clock: createManualClock(),
      store: { load: async () => shelf.record } as unknown as TokenStore,
      binding: BINDING,
      refresh: async (old) => old,
    })
    expect(await back.get()).toBe('one')
  })

  it('are used until they are refused when the server named no end', async () => {
    const { clock, source } = setUp(record({ expiresAt: undefined }))
    await clock.advance(10 * 24 * 3_600_000)
    expect(await source.get()).toBe('one')
  })

  it('[bridge-step-up] are not refreshed for scopes that are missing', async () => {
    const { shelf, source } = setUp(record())
    const challenge = { error: 'insufficient_scope', scope: 'a b' }
    expect(await source.refused('one', challenge)).toEqual({ next: 'step-up', scope: 'a b' })
    shelf.record = record({ accessToken: 'two', scope: 'a b' })
    expect(await source.refused('one', challenge)).toEqual({ next: 'retry' })
    expect(shelf.refreshes).toBe(0)
  })
})
