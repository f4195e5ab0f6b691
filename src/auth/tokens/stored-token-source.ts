import { createBackoff } from '../../util/async.js'
import type { Clock } from '../../util/runtime.js'
import { isRetryable, OAuthRefusedError, pauseRequestedBy } from '../oauth/failure.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'
import { useProofKey } from '../oauth/proof-keys.js'
import { missingScopes } from '../oauth/scopes.js'
import { INSUFFICIENT_SCOPE, requiresStepUp, type TokenSource } from './token-source.js'
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
  /**
   * Tells whether a target that refused a token still names the issuer and resource of the record.
   * If it names others, no refresh helps. Without this function, a refresh is always tried.
   */
  isStillNamed?: (record: TokenRecord, challenge: BearerChallenge | undefined) => Promise<boolean>
  /** Called once for each token that the target accepted. */
  onAccepted?: (token: string) => void
}

/** Within this time a process notices that another one signed in or out. */
const LOOK_MS = 2_000

/**
 * Tells whether a refresh token is given up: only when the authorization server refused it, not when
 * its answer cannot be read. An unclear refusal counts, as `refresh` has tried it a few times already.
 */
function isRefusedForGood(error: unknown): boolean {
  if (!(error instanceof OAuthRefusedError)) return false
  return !isRetryable(error) || error.refusal.isUnclear === true
}

/**
 * Gives the tokens of a sign-in from the store, refreshed ahead of their end or when they are
 * refused. All processes share one refresh: it happens under a lock, and whoever gets the lock looks
 * into the store first.
 */
export function createStoredTokenSource(deps: StoredTokenSourceDeps): TokenSource {
  const { clock, store, binding } = deps
  const running = new Map<string, Promise<TokenRecord | undefined>>()
  const now = () => clock.now() / 1_000
  const renewals = createRenewals(now)
  let current: TokenRecord | undefined
  let lastLook = Number.NEGATIVE_INFINITY
  let lastAccepted: string | undefined
  const backoff = createBackoff(1_000, 30_000, Math.random)
  let failed: { until: number; error: unknown } | undefined

  /** @param refused The token that must not come back; '' when the current one is only due. */
  const usable = (record: TokenRecord, refused: string) =>
    refused === '' ? isFresh(record, now()) : record.accessToken !== refused

  const look = async () => {
    current = await store.load(binding)
    lastLook = clock.now()
    return current
  }

  /** @param challenge Of the target's refusal; `due` when the token was not refused. */
  const renew = (refused: string, challenge: BearerChallenge | 'due' | undefined) =>
    store.exclusively(binding, async () => {
      await look()
      if (current === undefined || usable(current, refused)) return current
      if (current.refreshToken === undefined) return undefined
      const { isStillNamed } = deps
      if (challenge !== 'due' && isStillNamed && !(await isStillNamed(current, challenge))) {
        return undefined
      }
      if (failed !== undefined && clock.now() < failed.until) throw failed.error
      return await refreshNow(current, refused)
    })

  const refreshNow = async (record: TokenRecord, refused: string) => {
    try {
      const renewed = await deps.refresh(record)
      await store.save(renewed)
      if (refused !== '') renewals.add(renewed.accessToken, refused)
      failed = undefined
      backoff.reset()
      current = renewed
      return renewed
    } catch (error) {
      if (!isRefusedForGood(error)) {
        const pause = Math.max(pauseRequestedBy(error, clock.now()), backoff.next())
        failed = { until: clock.now() + pause, error }
        throw error
      }
      return await giveUpRefreshToken(record)
    }
  }

  /** Drops the refresh token. The access token is used until it expires, unless it was refused. */
  const giveUpRefreshToken = async (record: TokenRecord) => {
    const stored = await store.load(binding)
    if (stored !== undefined && stored.accessToken !== record.accessToken) {
      current = stored
      return stored
    }
    current = { ...record, refreshToken: undefined }
    await store.save(current)
    return undefined
  }

  /** Stores whether the target refuses this token, for other processes; not if there is a newer token. */
  const mark = (token: string, refused: true | undefined) =>
    store.exclusively(binding, async () => {
      const stored = await look()
      if (stored?.accessToken !== token || stored.refused === refused) return
      current = { ...stored, refused }
      await store.save(current)
    })

  const renewOnce = (refused: string, challenge: BearerChallenge | 'due' | undefined) => {
    const already = running.get(refused)
    if (already !== undefined) return already
    const run = renew(refused, challenge).finally(() => running.delete(refused))
    running.set(refused, run)
    return run
  }

  const find = async (): Promise<TokenRecord | undefined> => {
    const isOld = Math.abs(clock.now() - lastLook) >= LOOK_MS
    if (isOld || current === undefined || !isFresh(current, now())) await look()
    if (current === undefined) return undefined
    if (isFresh(current, now())) return current
    const held = current
    const lastResort = () => (isExpired(held, now()) ? undefined : held)
    if (held.refreshToken === undefined) return lastResort()
    try {
      const renewed = await renewOnce('', 'due')
      return renewed ?? lastResort()
    } catch (error) {
      const stillGood = lastResort()
      if (stillGood === undefined) throw error
      return stillGood
    }
  }

  const get = async (): Promise<string | undefined> => {
    const record = await find()
    if (record?.proofKey !== undefined) useProofKey(record.accessToken, record.proofKey)
    return record?.accessToken
  }

  const refused = async (token: string, challenge?: BearerChallenge) => {
    const stored = await look()
    if (stored === undefined) return { next: 'sign-in' } as const
    const other = stored.accessToken !== token
    if (requiresStepUp(challenge) && !other) {
      return { next: 'step-up', scope: challenge?.scope } as const
    }
    if (challenge?.error === INSUFFICIENT_SCOPE) {
      const enough = missingScopes(challenge.scope, stored.scope).length === 0
      if (other && challenge.scope !== undefined && enough) return { next: 'retry' } as const
      return { next: 'step-up', scope: challenge.scope } as const
    }
    if (other) return { next: 'retry' } as const
    const renewed = renewals.isInVain(token) ? undefined : await renewOnce(token, challenge)
    if (renewed !== undefined) return { next: 'retry' } as const
    await mark(token, true)
    return { next: 'sign-in' } as const
  }

  const accepted = (token: string) => {
    renewals.accept(token)
    if (token === lastAccepted) return
    lastAccepted = token
    deps.onAccepted?.(token)
    const isWrong = current?.accessToken === token && current.refused === true
    if (isWrong) void mark(token, undefined).catch(() => undefined)
  }

  const renewAhead = async (token: string) => void (await renewOnce(token, 'due'))

  const lookAgain = () => {
    lastLook = Number.NEGATIVE_INFINITY
  }

  return { get, refused, accepted, lookAgain, renew: renewAhead }
}

/** Renewals that are older than this are forgotten. */
const PROOF_SECONDS = 60

/** How often a token is renewed when the target accepts each new one first, and refuses it soon after. */
const MAX_RENEWALS = 2

/** Remembers tokens that replaced a refused one. @param now Seconds since the epoch. */
function createRenewals(now: () => number) {
  const renewals = new Map<string, { at: number; count: number; accepted: boolean }>()
  return {
    add(token: string, before: string) {
      const count = (renewals.get(before)?.count ?? 0) + 1
      renewals.set(token, { at: now(), count, accepted: false })
    },
    accept(token: string) {
      const renewal = renewals.get(token)
      if (renewal !== undefined) renewal.accepted = true
    },
    /** Tells whether one more renewal would not help: this new token is refused as well. */
    isInVain(token: string) {
      for (const [renewed, { at }] of renewals) {
        if (now() - at > PROOF_SECONDS) renewals.delete(renewed)
      }
      const renewal = renewals.get(token)
      return renewal !== undefined && (!renewal.accepted || renewal.count >= MAX_RENEWALS)
    },
  }
}
