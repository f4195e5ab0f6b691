import { type CryptoKey, importJWK } from 'jose'
import { singleFlight } from '../../util/async.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import { isTransient } from '../../util/failure.js'
import {
  isObject,
  type JsonObject,
  stringMember,
  stringsMember,
  tryParseJson,
} from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import { shownUrl } from '../../util/url-text.js'
import { type FetchedText, requestReply } from '../fetch-json.js'
import { TokenError } from './token-error.js'

/** Older keys are fetched again, in the background, when one is needed. */
const FRESH_MS = 10 * 60_000

/** Older keys are fetched again before one is given out. */
const IDLE_MS = 60 * 60_000

/** Older keys are not used any more. */
const STALE_MS = 24 * 60 * 60_000

/** Between two fetches, whatever needs them. */
const COOLDOWN_MS = 30_000

export type KeysState = 'ok' | 'stale' | 'missing'

export interface KeyStore {
  /**
   * Loads the keys for the first time; does not count as one of the rare fetches.
   *
   * @throws {ProxyError} `ISSUER_UNREACHABLE` or `DISCOVERY_INVALID`.
   */
  load(): Promise<void>
  /**
   * Finds a key; an unknown id leads to a fetch, but at most to one in 30 seconds.
   *
   * @throws {TokenError} `unknown_key`, or `keys_unavailable` when a request to Descope would be needed and
   *   does not answer.
   */
  get(kid: string): Promise<CryptoKey>
  /** `stale`: in use, but the last fetch failed. Reading this starts a fetch when the keys are old. */
  state(): KeysState
}

export interface KeyStoreOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  logger: Logger
  /** Where the keys are now. */
  url: () => string
}

/** Creates a store of the project's public keys that outlives an outage of Descope. */
export function createKeyStore({ runtime, logger, url }: KeyStoreOptions): KeyStore {
  const { clock } = runtime
  let keys: KeySet | undefined
  let loadedAt = 0
  let attemptedAt = Number.NEGATIVE_INFINITY
  let failing = false
  let refreshing: Promise<void> | undefined

  const load = singleFlight(async () => {
    const at = url()
    const reply = await requestReply(runtime, at, { headers: { accept: 'application/json' } })
    keys = await processKeySet(reply, at)
    loadedAt = clock.now()
    failing = false
  })

  const refresh = (): Promise<void> => {
    if (refreshing !== undefined) return refreshing
    if (clock.now() - attemptedAt < COOLDOWN_MS) return Promise.resolve()
    attemptedAt = clock.now()
    refreshing = load()
      .catch((error: unknown) => {
        failing = true
        logger.warn('keys_refresh_failed', `Descope's keys were not fetched: ${messageOf(error)}`)
      })
      .finally(() => {
        refreshing = undefined
      })
    return refreshing
  }

  const age = () => clock.now() - loadedAt
  const usable = () => (keys && age() <= STALE_MS ? keys : undefined)

  return {
    load,
    async get(kid) {
      if (keys && age() > FRESH_MS) {
        const refreshed = refresh()
        if (age() > IDLE_MS) await refreshed
      }
      const known = usable()?.get(kid)
      if (known) return known
      if (keys) await refresh()
      const current = usable()
      const key = current?.get(kid)
      if (key) return key
      if (current && !failing) {
        throw new TokenError('unknown_key', 'The access token is not signed by a current key')
      }
      throw new TokenError('keys_unavailable', 'The signing keys are not available at the moment')
    },
    state() {
      if (!keys) return 'missing'
      if (age() > FRESH_MS) void refresh()
      if (!usable()) return 'missing'
      return failing ? 'stale' : 'ok'
    },
  }
}

/** Public keys by their `kid`. */
type KeySet = ReadonlyMap<string, CryptoKey>

const MAX_KEYS = 100

/**
 * Narrows an answer to the RSA signature keys in it; keys of another kind are left out, and
 * private members are not imported.
 *
 * @throws {ProxyError} `ISSUER_UNREACHABLE` on a 5xx, 408, 425 or 429; `DISCOVERY_INVALID` when there
 *   is no usable key.
 *
 * @see [RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5) JWK Set Format
 */
export async function processKeySet({ status, text }: FetchedText, url: string): Promise<KeySet> {
  const body = text === undefined ? undefined : tryParseJson(text)
  const listed = isObject(body) && Array.isArray(body['keys']) ? body['keys'] : undefined
  if (status !== 200 || !listed) {
    const code = isTransient(status) ? 'ISSUER_UNREACHABLE' : 'DISCOVERY_INVALID'
    throw new ProxyError(code, `${shownUrl(url)} answers ${status} without a key set`, {
      hint: 'Check that DESCOPE_CONFIG_URL names an existing Descope project.',
    })
  }
  const keys = new Map<string, CryptoKey>()
  for (const jwk of listed.slice(0, MAX_KEYS)) {
    const kid = isObject(jwk) && isSigningKey(jwk) ? stringMember(jwk, 'kid') : undefined
    const key = kid && isObject(jwk) ? await importKey(jwk) : undefined
    if (kid && key && !keys.has(kid)) keys.set(kid, key)
  }
  if (keys.size === 0) {
    throw new ProxyError('DISCOVERY_INVALID', `${shownUrl(url)} has no usable RS256 key`)
  }
  return keys
}

function isSigningKey(jwk: JsonObject): boolean {
  const { kty, use, alg, key_ops: operations } = jwk
  return (
    kty === 'RSA' &&
    (use === undefined || use === 'sig') &&
    (alg === undefined || alg === 'RS256') &&
    (operations === undefined || stringsMember(jwk, 'key_ops').includes('verify'))
  )
}

async function importKey(jwk: JsonObject): Promise<CryptoKey | undefined> {
  const n = stringMember(jwk, 'n')
  const e = stringMember(jwk, 'e')
  if (!n || !e) return undefined
  try {
    const key = await importJWK({ kty: 'RSA', n, e }, 'RS256')
    if (key instanceof Uint8Array) return undefined
    const { modulusLength } = key.algorithm as { modulusLength?: number }
    return modulusLength !== undefined && modulusLength >= 2048 ? key : undefined
  } catch {
    return undefined
  }
}
