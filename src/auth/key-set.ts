import { type CryptoKey, importJWK } from 'jose'
import { ProxyError } from '../util/errors.js'
import {
  isObject,
  type JsonObject,
  stringMember,
  stringsMember,
  tryParseJson,
} from '../util/json.js'
import { shownUrl } from '../util/url-text.js'
import { type HttpReply, isTransient } from './http-reply.js'

/** Public keys by their `kid`. */
export type KeySet = ReadonlyMap<string, CryptoKey>

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
export async function processKeySet({ status, text }: HttpReply, url: string): Promise<KeySet> {
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
