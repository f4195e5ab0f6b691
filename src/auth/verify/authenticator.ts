import { hash } from 'node:crypto'
import { BoundedMap } from '../../util/bounded-map.js'
import type { Clock } from '../../util/runtime.js'
import type { Principal } from '../principal.js'
import { boundToKey } from './claims.js'
import { TokenError, toTokenError } from './token-error.js'
import { MAX_TOKEN_LENGTH, type Verifier } from './verify-token.js'

export interface AuthenticatorOptions {
  maxEntries?: number
  /** How long the result of a verification is used, milliseconds. */
  maxAgeMs?: number
}

export interface Authenticator {
  /**
   * Returns the principal of an access token; at once when the token was verified lately.
   *
   * @throws {TokenError} As a rejection only, for whatever goes wrong.
   */
  authenticate(token: string): Principal | Promise<Principal>
  /**
   * Likewise for a token that is bound to a key. The caller of this has to check the proof of the request.
   *
   * @throws {TokenError} As a rejection only; `not_bound` for a token that is Bearer.
   */
  authenticateBound(token: string): Promise<Principal>
}

/**
 * Puts a bounded cache before a verifier. A token is looked up by its SHA-256 and kept until it
 * expires, at most `maxAgeMs`; the least recently used is dropped first. Concurrent requests with
 * one token share one verification. Refusals are not cached: the verifier does its cheap checks
 * first, and the key store limits how often an unknown key is looked up.
 */
export function createAuthenticator(
  verifier: Verifier,
  clock: Pick<Clock, 'now'>,
  { maxEntries = 5_000, maxAgeMs = 60_000 }: AuthenticatorOptions = {},
): Authenticator {
  const verified = new BoundedMap<string, { principal: Principal; until: number }>(maxEntries)
  const running = new Map<string, Promise<Principal>>()

  const verify = async (key: string, token: string): Promise<Principal> => {
    try {
      const principal = await verifier.verify(token)
      const until = Math.min(principal.expiresAt * 1000, clock.now() + maxAgeMs)
      verified.set(key, { principal, until })
      return principal
    } catch (error) {
      throw toTokenError(error)
    } finally {
      running.delete(key)
    }
  }

  function find(token: string): Principal | Promise<Principal> {
    if (token.length > MAX_TOKEN_LENGTH) return verify('', token)
    const key = hash('sha256', token, 'base64')
    const entry = verified.touch(key)
    if (entry && clock.now() < entry.until) return entry.principal
    const current = running.get(key)
    if (current !== undefined) return current
    const started = verify(key, token)
    running.set(key, started)
    return started
  }

  return {
    authenticate(token) {
      const found = find(token)
      if (found instanceof Promise) return found.then(refuseBound)
      return found.keyThumbprint === undefined ? found : Promise.resolve(found).then(refuseBound)
    },
    async authenticateBound(token) {
      const principal = await find(token)
      if (principal.keyThumbprint !== undefined) return principal
      throw new TokenError('not_bound', 'The access token is not bound to a key, as DPoP needs it')
    },
  }
}

/** A principal may be known from a request that proved the key. */
function refuseBound(principal: Principal): Principal {
  if (principal.keyThumbprint === undefined) return principal
  throw boundToKey('send it with the scheme DPoP and a proof')
}
