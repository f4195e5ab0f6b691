import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** Bytes of a key: AES-256, HMAC-SHA-256. */
export const KEY_BYTES = 32

const NONCE_BYTES = 12

const TAG_BYTES = 16

/**
 * Derives the key for one purpose from a secret, so that no key serves two purposes.
 *
 * @see [RFC 5869](https://www.rfc-editor.org/rfc/rfc5869) HKDF
 */
export function deriveKey(secret: string | Buffer, purpose: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', purpose, KEY_BYTES))
}

/**
 * Encrypts text with AES-256-GCM.
 *
 * @param context What the text belongs to. It opens with the same context only, so that it cannot
 *   be taken for something else.
 * @returns The nonce, the encrypted text and the tag, in this order.
 */
export function seal(text: string, key: Buffer, context: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

/** Decrypts what {@link seal} made; `undefined` for anything else, another key or another context. */
export function unseal(sealed: Buffer, key: Buffer, context: string): string | undefined {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined
  const { nonce, data, tag } = sealedParts(sealed)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(context)).setAuthTag(tag)
  try {
    return Buffer.concat([decipher.update(data), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

/** Takes apart what {@link seal} made, for formats that keep the parts one by one. */
export function sealedParts(sealed: Buffer): { nonce: Buffer; data: Buffer; tag: Buffer } {
  return {
    nonce: sealed.subarray(0, NONCE_BYTES),
    data: sealed.subarray(NONCE_BYTES, -TAG_BYTES),
    tag: sealed.subarray(-TAG_BYTES),
  }
}
