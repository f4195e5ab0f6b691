import { BoundedMap } from '../../util/bounded-map.js'
import { ProxyError } from '../../util/errors.js'
import type { Clock } from '../../util/runtime.js'
import type { OAuthRefusedError } from '../oauth/failure.js'
import type { CredentialHeaders } from './credential.js'

/** For how long a failure is answered from the cache before another request to the issuer. */
const FAILURE_MS = 2_000

/** If a renewed credential is refused within this time, renewing again will not help. */
const FINAL_MS = 60_000

/** A refusal within this time after a renewal concerns a request that still had the old credential. */
const OVERLAP_MS = 5_000

/** A credential that an authorization server or Descope issued. */
export interface Issued {
  readonly headers: CredentialHeaders
  /** When to get another one, milliseconds since the epoch. */
  readonly renewAt: number
  /** When it ends, where that was told, likewise. */
  readonly endsAt?: number | undefined
}

/** @param renewal The previous credential was refused. */
export type Issue = (renewal: boolean) => Promise<Issued>

export interface CredentialCache {
  /**
   * Returns cached headers at once, or has new ones issued; concurrent calls for a key share one issue.
   *
   * @throws Whatever `issue` throws, for 2 seconds without calling it again.
   */
  get(key: string, issue: Issue): CredentialHeaders | Promise<CredentialHeaders>
  /** Drops refused headers, unless they are fresh; tells whether requesting new ones may help. */
  refused(key: string): boolean
  /** When what is kept for the key ends, where that is known. */
  endsAt(key: string): number | undefined
}

type Entry =
  | (Issued & { kind: 'issued'; until: number; since: number; renewal: boolean })
  | { kind: 'refused'; until: number }
  | { kind: 'failed'; error: unknown; until: number }

/** Creates a cache of issued credentials; the least recently used is dropped first. */
export function createCredentialCache(
  clock: Pick<Clock, 'now'>,
  maxEntries: number,
): CredentialCache {
  const entries = new BoundedMap<string, Entry>(maxEntries)
  const running = new Map<string, Promise<CredentialHeaders>>()

  const start = async (key: string, issue: Issue, renewal: boolean): Promise<CredentialHeaders> => {
    try {
      const issued = await issue(renewal)
      const { headers, renewAt: until } = issued
      entries.set(key, { ...issued, kind: 'issued', until, since: clock.now(), renewal })
      return headers
    } catch (error) {
      entries.set(key, { kind: 'failed', error, until: clock.now() + FAILURE_MS })
      throw error
    } finally {
      running.delete(key)
    }
  }

  return {
    get(key, issue) {
      const entry = entries.touch(key)
      if (entry && clock.now() < entry.until) {
        if (entry.kind === 'failed') throw entry.error
        if (entry.kind === 'issued') return entry.headers
      }
      const current = running.get(key)
      if (current !== undefined) return current
      const started = start(key, issue, entry?.kind === 'refused')
      running.set(key, started)
      return started
    },
    refused(key) {
      const entry = entries.get(key)
      if (entry?.kind === 'issued') {
        const age = clock.now() - entry.since
        if (entry.renewal && age < FINAL_MS) return age < OVERLAP_MS
        entries.set(key, { kind: 'refused', until: Number.NEGATIVE_INFINITY })
        return true
      }
      return entry?.kind === 'refused'
    },
    endsAt(key) {
      const entry = entries.get(key)
      return entry?.kind === 'issued' ? entry.endsAt : undefined
    },
  }
}

/**
 * Makes headers of an access token.
 *
 * @throws {ProxyError} `CREDENTIAL_REFUSED` when it cannot stand in a header.
 */
export function bearerHeaders(token: string): CredentialHeaders {
  if (!/^[!-~]+$/.test(token)) {
    throw new ProxyError('CREDENTIAL_REFUSED', 'The issued access token cannot be sent in a header')
  }
  return Object.freeze({ authorization: `Bearer ${token}` })
}

/**
 * Returns when to renew a token: a tenth of its life before its end, but at most a minute.
 *
 * @param lifeSeconds Without it, five minutes are assumed; more than a day counts as a day.
 */
export function renewalTime(now: number, lifeSeconds = 300): number {
  const lifeMs = Math.min(lifeSeconds, 86_400) * 1000
  return now + lifeMs - Math.min(60_000, lifeMs / 10)
}

/**
 * Turns an authorization server's refusal into the error that the caller gets. A temporary failure
 * is returned unchanged.
 */
export function refusedCredential(error: OAuthRefusedError, hint: string): ProxyError {
  if (error.code === 'ISSUER_UNREACHABLE') return error
  return new ProxyError('CREDENTIAL_REFUSED', error.message, { hint, cause: error })
}

/** Makes the error for a request that carries no verified token where one is needed. */
export function noCaller(what: string): ProxyError {
  return new ProxyError('CREDENTIAL_REFUSED', `${what} needs a signed-in caller`, {
    hint: 'Configure DESCOPE_CONFIG_URL, or another credential for this target.',
  })
}
