import type { Clock } from '../util/runtime.js'
import type { BearerChallenge } from './oauth/challenge.js'
import { isRetryable } from './oauth/failure.js'
import { missingScopes } from './oauth/scopes.js'
import { INSUFFICIENT_SCOPE, type TokenSource } from './token-source.js'
import {
  isExpired,
  isFresh,
  type TokenBinding,
  type TokenRecord,
  type TokenStore,
} from './token-store.js'

export interface StoredTokenSourceDeps {
  clock: Clock
  store: TokenStore
  binding: TokenBinding
  /** Gets new tokens; loaded and called only when they are needed. */
  refresh: (record: TokenRecord) => Promise<TokenRecord>
}

/** What happened so long ago says nothing about the token of today. */
const PROOF_SECONDS = 60
/** So often tokens are renewed that the target takes at first and refuses soon after. */
const MAX_RENEWALS = 2
const FIRST_BACKOFF_MS = 1_000
const LONGEST_BACKOFF_MS = 30_000

/** How a token came to be that was got because the one before was refused. */
interface Renewal {
  /** Seconds since the epoch. */
  readonly at: number
  /** Renewals in a row, this one among them. */
  readonly count: number
  accepted: boolean
}

/**
 * Gives the tokens of a sign-in from the store, refreshed ahead of their end or when they are
 * refused. All processes share one refresh: it happens under a lock, and whoever gets the lock looks
 * into the store first.
 */
export function createStoredTokenSource(deps: StoredTokenSourceDeps): TokenSource {
  const { clock, store, binding } = deps
  const running = new Map<string, Promise<TokenRecord | undefined>>()
  const renewals = new Map<string, Renewal>()
  let current: TokenRecord | undefined
  let backoff: { until: number; ms: number; error: unknown } | undefined
  const now = () => clock.now() / 1_000

  /** @param refused The token that must not come back; '' when the current one is only due. */
  const usable = (record: TokenRecord, refused: string) =>
    refused === '' ? isFresh(record, now()) : record.accessToken !== refused

  const renew = (refused: string): Promise<TokenRecord | undefined> =>
    store.exclusively(binding, async () => {
      current = await store.load(binding)
      if (current === undefined || usable(current, refused)) return current
      if (current.refreshToken === undefined) return undefined
      if (backoff !== undefined && clock.now() < backoff.until) throw backoff.error
      return await refreshNow(current, refused)
    })

  const refreshNow = async (
    record: TokenRecord,
    refused: string,
  ): Promise<TokenRecord | undefined> => {
    try {
      const renewed = await deps.refresh(record)
      await store.save(renewed)
      if (refused !== '') {
        const count = (renewals.get(refused)?.count ?? 0) + 1
        renewals.set(renewed.accessToken, { at: now(), count, accepted: false })
      }
      backoff = undefined
      current = renewed
      return renewed
    } catch (error) {
      if (isRetryable(error)) {
        const ms = Math.min((backoff?.ms ?? FIRST_BACKOFF_MS / 2) * 2, LONGEST_BACKOFF_MS)
        backoff = { until: clock.now() + ms, ms, error }
        throw error
      }
      return await giveUpRefreshToken(record)
    }
  }

  /** The refresh token is dead; the access token, if it was not refused, lives to its end. */
  const giveUpRefreshToken = async (record: TokenRecord): Promise<TokenRecord | undefined> => {
    const stored = await store.load(binding)
    if (stored !== undefined && stored.accessToken !== record.accessToken) {
      current = stored
      return stored
    }
    current = { ...record, refreshToken: undefined }
    await store.save(current)
    return undefined
  }

  const renewOnce = (refused: string): Promise<TokenRecord | undefined> => {
    const already = running.get(refused)
    if (already !== undefined) return already
    const run = renew(refused).finally(() => running.delete(refused))
    running.set(refused, run)
    return run
  }

  const get = async (): Promise<string | undefined> => {
    if (current === undefined || !isFresh(current, now())) current = await store.load(binding)
    if (current === undefined) return undefined
    if (isFresh(current, now())) return current.accessToken
    const held = current
    const lastResort = () => (isExpired(held, now()) ? undefined : held.accessToken)
    if (held.refreshToken === undefined) return lastResort()
    try {
      const renewed = await renewOnce('')
      return renewed?.accessToken ?? lastResort()
    } catch (error) {
      const stillGood = lastResort()
      if (stillGood === undefined) throw error
      return stillGood
    }
  }

  const refused = async (token: string, challenge?: BearerChallenge) => {
    const stored = await store.load(binding)
    const other = stored !== undefined && stored.accessToken !== token
    if (challenge?.error === INSUFFICIENT_SCOPE) {
      const enough = missingScopes(challenge.scope, stored?.scope).length === 0
      if (other) current = stored
      if (other && challenge.scope !== undefined && enough) return { next: 'retry' } as const
      return { next: 'step-up', scope: challenge.scope } as const
    }
    if (other) {
      current = stored
      return { next: 'retry' } as const
    }
    for (const [renewed, { at }] of renewals) {
      if (now() - at > PROOF_SECONDS) renewals.delete(renewed)
    }
    const renewal = renewals.get(token)
    const isNoGood = renewal !== undefined && (!renewal.accepted || renewal.count >= MAX_RENEWALS)
    if (isNoGood) return { next: 'sign-in' } as const
    const renewed = await renewOnce(token)
    return renewed === undefined ? ({ next: 'sign-in' } as const) : ({ next: 'retry' } as const)
  }

  const accepted = (token: string) => {
    const renewal = renewals.get(token)
    if (renewal !== undefined) renewal.accepted = true
  }

  return { get, refused, accepted }
}
