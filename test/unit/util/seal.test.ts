import { describe, expect, it } from 'vitest'
import { deriveKey, KEY_BYTES, seal, sealedParts, unseal } from '../../../src/util/seal.js'

const KEY = deriveKey('a secret of at least 32 characters', 'one purpose')

const TEXT = 'Grüße 😀'

describe('seal', () => {
  it('is opened with the same key and context', () => {
    expect(unseal(seal(TEXT, KEY, 'here'), KEY, 'here')).toBe(TEXT)
    expect(unseal(seal('', KEY, 'here'), KEY, 'here')).toBe('')
  })

  it('is opened with no other key, derived for another purpose or from another secret', () => {
    const sealed = seal(TEXT, KEY, 'here')
    const others = [
      deriveKey('a secret of at least 32 characters', 'another purpose'),
      deriveKey('another secret of at least 32 characters', 'one purpose'),
    ]
    for (const key of others) expect(unseal(sealed, key, 'here')).toBeUndefined()
  })

  it('is not opened in another context', () => {
    expect(unseal(seal(TEXT, KEY, 'here'), KEY, 'there')).toBeUndefined()
  })

  it('is not opened when a byte was changed or is missing', () => {
    const sealed = seal(TEXT, KEY, 'here')
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(unseal(changed, KEY, 'here')).toBeUndefined()
      expect(unseal(sealed.subarray(0, at), KEY, 'here')).toBeUndefined()
      expect(unseal(sealed.subarray(at + 1), KEY, 'here')).toBeUndefined()
    }
  })

  it('has another nonce each time', () => {
    const nonces = Array.from({ length: 100 }, () => sealedParts(seal(TEXT, KEY, 'here')).nonce)
    expect(new Set(nonces.map((nonce) => nonce.toString('hex'))).size).toBe(100)
  })
})

describe('deriveKey', () => {
  it('is HKDF-SHA-256 without salt', () => {
    expect(KEY).toHaveLength(KEY_BYTES)
    expect(deriveKey('fixed-vector-secret-of-32-bytes!', 'mcp-descope-proxy session v1')).toEqual(
      Buffer.from('6f75a6ab0119520a8849035396b80eee900d2d4fd6d26ae8dd79082273d54583', 'hex'),
    )
  })
})
