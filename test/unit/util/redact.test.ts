import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, isSecretName } from '../../../src/util/redact.js'

const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x'

describe('redaction', () => {
  it('leaves nothing of any secret, whatever other secrets are part of it', () => {
    const secret = fc.string({
      unit: fc.constantFrom('a', 'b', 'c', 'd', '-'),
      minLength: 4,
      maxLength: 12,
    })
    const around = fc.string({ unit: fc.constantFrom('x', ' ', '"') })
    fc.assert(
      fc.property(fc.array(secret, { minLength: 1, maxLength: 5 }), around, (secrets, text) => {
        const redact = createRedactor(secrets)
        for (const each of secrets) {
          expect(redact(`${text} ${each} ${text}`)).toBe(`${text} [redacted] ${text}`)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('removes a secret from JSON, where some characters look different', () => {
    const secret = 'pass"word\\with\nlines'
    const line = JSON.stringify({ message: `it is ${secret}.` })
    expect(createRedactor([secret])(line)).toBe('{"message":"it is [redacted]."}')
  })

  it('takes characters of patterns and of replacements for what they are', () => {
    expect(createRedactor(['a.c*$&'])('abc a.c*$& $&')).toBe('abc [redacted] $&')
  })

  it('leaves alone what is too short to be a secret, or is none', () => {
    expect(createRedactor(['abc', '', undefined])('abc undefined')).toBe('abc undefined')
  })

  it.each([
    ['a JWT', `token=${JWT};`, 'token=[redacted];'],
    ['a JWT without signature', 'x eyJhbGciOiJub25lIn0.eyJhIjoxfQ.', 'x [redacted]'],
    ['two of them', `${JWT} ${JWT}`, '[redacted] [redacted]'],
    ['a bearer token', 'Authorization: Bearer abcdefgh1234', 'Authorization: Bearer [redacted]'],
    ['a bearer JWT', `bearer ${JWT}`, 'bearer [redacted]'],
    [
      'basic credentials',
      'authorization=BASIC YWxpY2U6c2VjcmV0==',
      'authorization=BASIC [redacted]',
    ],
  ])('removes %s that nobody named', (_title, text, redacted) => {
    expect(createRedactor()(text)).toBe(redacted)
  })

  it.each(['the bearer of bad news', 'Bearer token', 'an eyJ is no token', 'eyJhbGciOiJSUzI1NiJ9'])(
    'keeps text that holds no secret: %s',
    (text) => {
      expect(createRedactor()(text)).toBe(text)
    },
  )

  it('is quick with text that nearly matches', () => {
    const text = `${'eyJ-'.repeat(2_000)} ${'bearer '.repeat(10_000)}`
    const before = performance.now()
    createRedactor(['secret'])(text)
    expect(performance.now() - before).toBeLessThan(500)
  })
})

describe('isSecretName', () => {
  it.each([
    'Authorization',
    'Proxy-Authorization',
    'Cookie',
    'Set-Cookie',
    'token',
    'accessToken',
    'access_token',
    'DESCOPE_MANAGEMENT_KEY',
    'clientSecret',
    'X-API-Key',
    'apiKey',
    'APIKEY',
    'x-apikey',
    'password',
    'code_verifier',
    'SESSION_SECRET',
  ])('knows %s', (name) => {
    expect(isSecretName(name)).toBe(true)
  })

  it.each([
    'name',
    'monkey',
    'tokens_used',
    'keyboard',
    'cookies_allowed',
    'url',
    'Content-Type',
    '',
  ])('lets %j pass', (name) => {
    expect(isSecretName(name)).toBe(false)
  })
})
