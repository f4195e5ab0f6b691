import { hash } from 'node:crypto'
import { calculateJwkThumbprint, compactVerify, importJWK, type JWK } from 'jose'
import { BoundedMap } from '../../util/bounded-map.js'
import { bareObject, isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import { isLoopback } from '../../util/private-addresses.js'
import type { Clock } from '../../util/runtime.js'
import type { Replays } from './replays.js'
import { quoteForLog, TokenError } from './token-error.js'

/** Whether access tokens are taken with a proof of their key, as Bearer, or both. */
export type DpopMode = 'off' | 'accept' | 'require'

/** For proofs of requests; what comes first is what most clients have. */
export const PROOF_ALGORITHMS: readonly string[] = [
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
  ...['PS256', 'PS384', 'PS512', 'RS256', 'RS384', 'RS512'],
]

/** Longer proofs are refused before anything of them is parsed; characters, all of them ASCII. */
const MAX_PROOF_LENGTH = 8_192

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** How old a proof may be, and how far ahead of ours its client's clock, seconds. */
const PROOF_AGE = 60
const SKEW = 5

/** Of an RSA key in base64url: 4096 bits, and an exponent of 48; with more, a check would take too long. */
const MAX_MODULUS = 684
const MAX_EXPONENT = 8

const MAX_KEYS = 1_000

/** The request that a proof is for. */
export interface ProvenRequest {
  method: string
  /** The URL of it, as clients see it. */
  url: string
  accessToken: string
  /** Of the key that the token is bound to. */
  keyThumbprint: string
}

export type ProofVerifier = (proof: string, request: ProvenRequest) => Promise<void>

/**
 * Creates the check of DPoP proofs. What costs little is checked first, so that nothing is verified for a
 * key that no access token names.
 *
 * @returns A function that throws a {@link TokenError} for a proof that is not good for the request, or
 *   was used before.
 * @see [RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3) Checking DPoP Proofs
 */
export function createProofVerifier(clock: Pick<Clock, 'now'>, replays: Replays): ProofVerifier {
  const keys = new BoundedMap<string, Awaited<ReturnType<typeof importJWK>>>(MAX_KEYS)

  const keyFor = async (jwk: JWK, alg: string, thumbprint: string) => {
    const name = `${thumbprint} ${alg}`
    const known = keys.touch(name)
    if (known !== undefined) return known
    const key = await importJWK(jwk, alg)
    keys.set(name, key)
    return key
  }

  return async (proof, request) => {
    const { alg, jwk, claims } = parseProof(proof)
    checkProofClaims(claims, clock.now() / 1000, request)
    const { keyThumbprint } = request
    if ((await calculateJwkThumbprint(jwk)) !== keyThumbprint) {
      const what = 'The DPoP proof is of another key than the one that the access token is bound to'
      throw new TokenError('wrong_key', what)
    }
    try {
      await compactVerify(proof, await keyFor(jwk, alg, keyThumbprint), { algorithms: [alg] })
    } catch (error) {
      throw invalid('its signature is wrong', { cause: error })
    }
    switch (await replays.use(keyThumbprint, String(claims['jti']))) {
      case 'first':
        return
      case 'again':
        throw new TokenError('proof_replayed', 'The DPoP proof was used before')
      case 'full':
        throw new TokenError('proofs_full', 'Too many DPoP proofs were used lately')
    }
  }
}

/** Decodes a proof and checks its header. Nothing in it is verified yet. */
function parseProof(proof: string): { alg: string; jwk: JWK; claims: JsonObject } {
  if (proof.length > MAX_PROOF_LENGTH) throw invalid('it is too long')
  if (!COMPACT_JWS.test(proof)) throw invalid('it is not one JWT')
  const [header, claims] = proof
    .split('.', 2)
    .map((part) => tryParseJson(Buffer.from(part, 'base64url').toString('utf8')))
  if (!isObject(header) || !isObject(claims)) throw invalid('it is not one JWT')
  // without a prototype, so that no inherited member counts
  const { typ, alg, jwk, crit } = bareObject(header)
  if (typ !== 'dpop+jwt') throw invalid('its "typ" is not dpop+jwt')
  if (typeof alg !== 'string' || !PROOF_ALGORITHMS.includes(alg)) {
    const details = { receivedAlgorithm: quoteForLog(alg) }
    throw invalid(`its algorithm is none of ${PROOF_ALGORITHMS.join(', ')}`, { details })
  }
  if (crit !== undefined) throw invalid('it needs an unsupported extension')
  if (!isObject(jwk)) throw invalid('it names no key (jwk)')
  return { alg, jwk: publicKey(bareObject(jwk)), claims: bareObject(claims) }
}

/** What no public key has. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** The members of a public key, by its type (RFC 7638 §3.2). */
const PUBLIC_MEMBERS = new Map([
  ['EC', ['kty', 'crv', 'x', 'y']],
  ['OKP', ['kty', 'crv', 'x']],
  ['RSA', ['kty', 'n', 'e']],
])

/** Keeps what makes the key, so that nothing else in it has a meaning. */
function publicKey(jwk: JsonObject): JWK {
  if (PRIVATE_MEMBERS.some((name) => ownMember(jwk, name) !== undefined))
    throw invalid('its key is not a public one')
  const names = PUBLIC_MEMBERS.get(String(jwk['kty']))
  if (names === undefined) throw invalid('its key is of an unknown type')
  const members = names.map((name) => [name, ownMember(jwk, name)] as const)
  const isShort = (name: string, value: string) =>
    value.length <= (name === 'e' ? MAX_EXPONENT : MAX_MODULUS)
  if (!members.every(([name, value]) => typeof value === 'string' && isShort(name, value))) {
    throw invalid('its key is none that can be used')
  }
  return Object.fromEntries(members) as JWK
}

function checkProofClaims(claims: JsonObject, now: number, request: ProvenRequest): void {
  const { htm, htu, iat, exp, nbf, ath, jti } = claims
  if (htm !== request.method) throw invalid(`it is not for the method ${request.method} (htm)`)
  if (!isSameUrl(htu, request.url)) {
    const details = { receivedUrl: quoteForLog(typeof htu === 'string' ? bareUrl(htu) : htu) }
    throw invalid(`it is not for ${request.url} (htu)`, { details })
  }
  if (typeof iat !== 'number' || !Number.isFinite(iat)) throw invalid('it has no time (iat)')
  if (iat > now + SKEW) throw invalid("its time is in the future (iat): check the client's clock")
  if (iat < now - PROOF_AGE - SKEW) throw invalid(`it is older than ${PROOF_AGE} seconds (iat)`)
  const hasEnded = exp !== undefined && !(typeof exp === 'number' && exp + SKEW > now)
  const isEarly = nbf !== undefined && !(typeof nbf === 'number' && nbf - SKEW <= now)
  if (hasEnded || isEarly) throw invalid('it is not valid now (exp, nbf)')
  if (ath === undefined) throw invalid('it names no access token (ath)')
  if (ath !== hash('sha256', request.accessToken, 'base64url')) {
    throw invalid('it is for another access token (ath)')
  }
  if (typeof jti !== 'string' || jti === '') throw invalid('it has no id (jti)')
}

function invalid(why: string, options?: ConstructorParameters<typeof TokenError>[2]): TokenError {
  return new TokenError('proof_invalid', `The DPoP proof is refused: ${why}`, options)
}

const bareUrl = (url: string) => url.split(/[?#]/, 1)[0]

/**
 * Compares `htu` with the URL of a request: without query and fragment, normalised, and with a slash at
 * the end or without, as the endpoint is served at both. All names of this machine are the same.
 *
 * @see [RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3) Checking DPoP Proofs
 */
function isSameUrl(htu: unknown, url: string): boolean {
  return typeof htu === 'string' && (htu === url || normalised(htu) === normalised(url))
}

function normalised(text: string): string | undefined {
  if (!/^https?:\/\/[^\s\\]+$/i.test(text) || !URL.canParse(text)) return undefined
  const { protocol, username, password, hostname, port, pathname } = new URL(text)
  if (username !== '' || password !== '') return undefined
  const host = isLoopback(hostname) ? 'localhost' : hostname
  const path = pathname.replace(/%[0-9a-f]{2}/gi, decodeUnreserved).replace(/\/$/, '')
  return `${protocol}//${host}:${port}${path}`
}

/** @see [RFC 3986 §6.2.2](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2) Syntax-Based Normalization */
function decodeUnreserved(escaped: string): string {
  const character = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
  return /[\w.~-]/.test(character) ? character : escaped.toUpperCase()
}
