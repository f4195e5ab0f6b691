import { createPrivateKey, hash, type KeyObject, randomUUID, sign } from 'node:crypto'
import type * as OAuth from 'oauth4webapi'
import { BoundedMap } from '../../util/bounded-map.js'
import { ProxyError } from '../../util/errors.js'
import { isObject, stringMember, tryParseJson } from '../../util/json.js'
import { readUnverifiedClaims } from '../verify/claims.js'

/** How we sign proofs; every server that knows DPoP takes it. */
export const PROOF_ALGORITHM = 'ES256'

/** Many more than one user has sign-ins. */
const MAX_KEYS = 200

interface ProofKey {
  readonly privateKey: KeyObject
  /** The public one, as proofs name it. */
  readonly jwk: { kty: string; crv: string; x: string; y: string }
}

/** The keys of access tokens that are in use in this process, by token. */
const inUse = new BoundedMap<string, ProofKey>(MAX_KEYS)

/** What oauth4webapi remembers of each key: the nonces of the authorization servers. */
const handles = new BoundedMap<string, Promise<OAuth.DPoPHandle>>(MAX_KEYS)

/** Makes a key for one sign-in, a private JWK, to be kept with its tokens. */
export async function newProofKey(): Promise<string> {
  const { subtle } = globalThis.crypto
  const pair = await subtle.generateKey(EC, true, ['sign', 'verify'])
  return JSON.stringify(await subtle.exportKey('jwk', pair.privateKey))
}

const EC = { name: 'ECDSA', namedCurve: 'P-256' }

/** Gives what proves a key at a token endpoint; the same for the same key. */
export function tokenEndpointProofs(oauth: typeof OAuth, key: string): Promise<OAuth.DPoPHandle> {
  const known = handles.touch(key)
  if (known !== undefined) return known
  const handle = importPair(key).then((pair) => oauth.DPoP({}, pair))
  handles.set(key, handle)
  return handle
}

async function importPair(key: string): Promise<OAuth.CryptoKeyPair> {
  const { subtle } = globalThis.crypto
  const { jwk } = readProofKey(key)
  const { d } = JSON.parse(key)
  const privateKey = await subtle.importKey('jwk', { ...jwk, d }, EC, false, ['sign'])
  return { privateKey, publicKey: await subtle.importKey('jwk', jwk, EC, true, ['verify']) }
}

/** @throws {ProxyError} `SIGN_IN_FAILED` when it is none of ours. */
function readProofKey(text: string): ProofKey {
  const value = tryParseJson(text)
  const [kty, crv, x, y, d] = ['kty', 'crv', 'x', 'y', 'd'].map((name) =>
    isObject(value) ? stringMember(value, name) : undefined,
  )
  if (kty && crv && x && y && d) {
    const jwk = { kty, crv, x, y }
    try {
      return { jwk, privateKey: createPrivateKey({ key: { ...jwk, d }, format: 'jwk' }) }
    } catch {
      // told below, without the key
    }
  }
  throw new ProxyError('SIGN_IN_FAILED', 'The key that the access token is bound to is damaged', {
    hint: 'Sign in again: `mcp-descope-proxy login --force`.',
  })
}

/** Has the key of a token at hand while the token is used. */
export function useProofKey(token: string, key: string): void {
  if (inUse.touch(token) === undefined) inUse.set(token, readProofKey(key))
}

let lastUnbound: string | undefined

/**
 * Gives the header by which a request carries an access token. One that is bound to a key is never sent
 * as Bearer; its proof is added where the request is sent, by {@link proveRequest}.
 *
 * @throws {ProxyError} `CREDENTIAL_REFUSED` when the key of a bound token is not here.
 */
export function accessHeaders(token: string): { authorization: string } {
  if (inUse.has(token)) return { authorization: `DPoP ${token}` }
  if (token !== lastUnbound) {
    if (readUnverifiedClaims(token)['cnf'] !== undefined) throw keyIsMissing()
    lastUnbound = token
  }
  return { authorization: `Bearer ${token}` }
}

/** The error for a token that is bound to a key of somebody else. */
export function keyIsMissing(): ProxyError {
  const what = 'The access token is bound to a key (cnf) that is not here, so nobody would take it'
  return new ProxyError('CREDENTIAL_REFUSED', what, {
    hint: 'Sign in here (`mcp-descope-proxy login`), or get a token without a DPoP proof.',
  })
}

/** A request that carries a bound token. */
export interface RequestToProve {
  readonly token: string
  readonly method: string
  readonly url: URL
  /** That the server gave last. */
  readonly nonce: string | undefined
  /** Milliseconds since the epoch. */
  readonly now: number
}

/**
 * Signs the proof for one request.
 *
 * @throws {ProxyError} `CREDENTIAL_REFUSED` when the key is not here.
 * @see [RFC 9449 §4.2](https://www.rfc-editor.org/rfc/rfc9449#section-4.2) DPoP Proof JWT Syntax
 */
export function proveRequest({ token, method, url, nonce, now }: RequestToProve): string {
  const key = inUse.get(token)
  if (key === undefined) throw keyIsMissing()
  const claims = {
    ...{ jti: randomUUID(), htm: method, htu: url.origin + url.pathname },
    ...{ iat: Math.floor(now / 1000), ath: hash('sha256', token, 'base64url'), nonce },
  }
  const head = { typ: 'dpop+jwt', alg: PROOF_ALGORITHM, jwk: key.jwk }
  const text = [head, claims].map((part) => encode(JSON.stringify(part))).join('.')
  const { privateKey } = key
  const signature = sign('sha256', Buffer.from(text), {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
  })
  return `${text}.${signature.toString('base64url')}`
}

const encode = (text: string) => Buffer.from(text).toString('base64url')
