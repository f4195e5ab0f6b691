import { generateKeyPair, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { exportJWK, type JWK } from 'jose'
import { randomId } from './records.js'

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: JWK
}

/** The project's keys: one signs, all of `published` are in the key set. */
export interface KeyRing {
  current: SigningKey
  published: SigningKey[]
}

const generate = promisify(generateKeyPair)

/** Creates an RSA key of 2048 bits under a `kid` that no other key has. */
export async function createSigningKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generate('rsa', { modulusLength: 2048 })
  const kid = `SK${randomId()}`
  return { kid, privateKey, publicKey, jwk: jwkOf(kid, await exportJWK(publicKey)) }
}

/** Makes the entry of a key in the key set, in the shape of Descope's. */
export function jwkOf(kid: string, { e, n }: JWK): JWK {
  return { alg: 'RS256', e, kid, kty: 'RSA', n, use: 'sig' } as JWK
}

/** Creates a ring with one key. */
export async function createKeyRing(): Promise<KeyRing> {
  const key = await createSigningKey()
  return { current: key, published: [key] }
}

/**
 * Signs with a new key from now on.
 *
 * @param keepPrevious Whether the older keys stay in the key set, so that their tokens stay good.
 */
export async function rotateKeys(ring: KeyRing, keepPrevious: boolean): Promise<void> {
  const key = await createSigningKey()
  ring.current = key
  ring.published = keepPrevious ? [key, ...ring.published] : [key]
}
