import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { isObject, stringMember } from '../../../util/json.js'

/** Bytes of an AES-256 key. */
export const KEY_BYTES = 32

/** Text that only the holder of the key can read. */
export interface Sealed {
  readonly iv: string
  readonly data: string
  readonly tag: string
}

/**
 * Encrypts text with AES-256-GCM.
 *
 * @param context Has to be the same when it is opened; keeps a file from being taken for another.
 */
export function seal(text: string, key: Buffer, context: string): Sealed {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(context))
  const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return {
    iv: iv.toString('base64'),
    data: data.toString('base64'),
    tag: cipher.getAuthTag().toString('base64'),
  }
}

/** Decrypts what `seal` made; `undefined` when the key or the context is another one. */
export function unseal(sealed: unknown, key: Buffer, context: string): string | undefined {
  if (!isObject(sealed)) return undefined
  const bytes = (member: string) => Buffer.from(stringMember(sealed, member) ?? '', 'base64')
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes('iv'), { authTagLength: 16 })
      .setAAD(Buffer.from(context))
      .setAuthTag(bytes('tag'))
    return Buffer.concat([decipher.update(bytes('data')), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}
