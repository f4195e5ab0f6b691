import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import {
  isObject,
  type JsonObject,
  ownMember,
  setMember,
  stringMember,
  tryParseJson,
} from './json.js'

const MIN_RSA_BITS = 2048

const RSA_ALGORITHMS: ReadonlySet<string> = new Set([
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
])

const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
}

/** A key that signs JWTs, or the public part of one. */
export interface JwtKey {
  /** `undefined` where only the public part was given. */
  readonly privateKey: KeyObject | undefined
  readonly alg: string
  readonly kid: string
  /** As a key set publishes it: nothing of the private key is in it. */
  readonly jwk: Readonly<Record<string, string>>
}

/**
 * Reads a key that signs JWTs: PEM (PKCS #8, PKCS #1 or SEC 1) or a JWK. Line breaks may be written as
 * `\n`, as environment files need it.
 *
 * @param wants Whether the public part is enough.
 * @returns The key, or what is wrong with it, as the end of a sentence; never a part of the key.
 * @see [RFC 7517](https://www.rfc-editor.org/rfc/rfc7517) JSON Web Key
 */
export function readJwtKey(text: string, wants: 'private' | 'public'): JwtKey | string {
  const trimmed = text.trim()
  if (trimmed.startsWith('{')) return readJwk(trimmed, wants)
  if (trimmed.includes('-----BEGIN ')) return readPem(trimmed.replaceAll('\\n', '\n'), wants)
  return 'is neither a PEM text (-----BEGIN PRIVATE KEY-----) nor a JWK'
}

const CLIENT_ALGORITHMS: ReadonlySet<string> = new Set(['ES256', 'RS256'])

/** Says why a client cannot prove itself by a key, as the end of a sentence. */
export function clientKeyProblem({ alg }: JwtKey): string | undefined {
  if (CLIENT_ALGORITHMS.has(alg)) return undefined
  return `is a key for ${alg}, and clients prove themselves by ES256 (EC P-256) or RS256 (RSA)`
}

/** Takes a text apart that holds several keys, one after another: PEM texts, or a JWK. */
export function splitKeys(text: string): string[] {
  const keys: string[] = []
  let from = 0
  for (;;) {
    const begin = text.indexOf('-----BEGIN ', from)
    const end = begin < 0 ? -1 : text.indexOf('-----END ', begin)
    const close = end < 0 ? -1 : text.indexOf('-----', end + 9)
    if (close < 0) break
    keys.push(text.slice(begin, close + 5))
    from = close + 5
  }
  const rest = text.slice(from).trim()
  return rest === '' ? keys : [...keys, rest]
}

function readPem(pem: string, wants: 'private' | 'public'): JwtKey | string {
  if (pem.includes('-----BEGIN CERTIFICATE')) return 'is a certificate, not a key'
  if (pem.includes('ENCRYPTED')) return 'is encrypted with a passphrase, which cannot be asked for'
  if (pem.includes('PUBLIC KEY-----')) {
    if (wants === 'private') return 'is a public key, and only a private key can sign'
    return readKey(() => ({ publicKey: createPublicKey(pem) }), {})
  }
  return readKey(() => ofPrivate(createPrivateKey(pem)), {})
}

function readJwk(text: string, wants: 'private' | 'public'): JwtKey | string {
  const jwk = tryParseJson(text)
  if (!isObject(jwk)) return 'is no JSON, although it begins with "{"'
  if (Array.isArray(jwk['keys'])) return 'is a whole key set, not one JWK'
  const kty = stringMember(jwk, 'kty')
  if (kty === 'oct') return 'is a symmetric key, which nobody else could check'
  if (kty === undefined) return 'is JSON without "kty", and so no JWK'
  const use = jwk['use']
  if (use !== undefined && use !== 'sig')
    return 'is a JWK for encryption ("use"), not for signatures'
  const key = jwk as JsonWebKey
  if (stringMember(jwk, 'd') !== undefined) {
    return readKey(() => ofPrivate(createPrivateKey({ key, format: 'jwk' })), jwk)
  }
  if (wants === 'private') return 'is a public JWK (without "d"), and only a private key can sign'
  return readKey(() => ({ publicKey: createPublicKey({ key, format: 'jwk' }) }), jwk)
}

interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey?: KeyObject
}

const ofPrivate = (privateKey: KeyObject): Pair => ({
  privateKey,
  publicKey: createPublicKey(privateKey),
})

function readKey(read: () => Pair, given: JsonObject): JwtKey | string {
  let pair: Pair
  try {
    pair = read()
  } catch {
    return 'is damaged: it cannot be read as a key'
  }
  const { publicKey, privateKey } = pair
  const named = stringMember(given, 'alg')
  const alg = algorithmOf(publicKey, named)
  if (alg === undefined) {
    return `is a key of another type (${publicKey.asymmetricKeyType}) than EC P-256, RSA and Ed25519`
  }
  const bits = publicKey.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && bits < MIN_RSA_BITS) {
    return `is an RSA key of ${bits} bits, and fewer than ${MIN_RSA_BITS} are too weak`
  }
  if (named !== undefined && named !== alg && !(named === 'Ed25519' && alg === 'EdDSA')) {
    return 'is a JWK whose "alg" does not fit its type'
  }
  if (privateKey !== undefined && !belongTogether(privateKey, publicKey)) {
    return 'is damaged: its private and its public part do not belong together'
  }
  const members = publicMembers(publicKey)
  const kid = stringMember(given, 'kid') || thumbprint(members)
  return { privateKey, alg, kid, jwk: { ...members, kid, alg, use: 'sig' } }
}

function algorithmOf(key: KeyObject, named: string | undefined): string | undefined {
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return named !== undefined && RSA_ALGORITHMS.has(named) ? named : 'RS256'
    case 'ed25519':
      return 'EdDSA'
    case 'ec':
      return ownMember(CURVES, key.asymmetricKeyDetails?.namedCurve ?? '')
    default:
      return undefined
  }
}

/** A JWK may name the public part of another key. */
function belongTogether(privateKey: KeyObject, publicKey: KeyObject): boolean {
  const probe = Buffer.from('probe')
  const digest = privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  try {
    return verify(digest, probe, publicKey, sign(digest, probe, privateKey))
  } catch {
    return false
  }
}

const PUBLIC_MEMBERS = ['crv', 'e', 'kty', 'n', 'x', 'y'] as const

/** An allow-list, in the order of RFC 7638 §3. */
function publicMembers(key: KeyObject): Record<string, string> {
  const jwk = key.export({ format: 'jwk' })
  const members: Record<string, string> = {}
  for (const name of PUBLIC_MEMBERS) {
    const value = stringMember(jwk as JsonObject, name)
    if (value !== undefined) setMember(members, name, value)
  }
  return members
}

/** @see [RFC 7638](https://www.rfc-editor.org/rfc/rfc7638) JSON Web Key (JWK) Thumbprint */
function thumbprint(members: Readonly<Record<string, string>>): string {
  return createHash('sha256').update(JSON.stringify(members)).digest('base64url')
}
