import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor, isSecretName } from '../../../src/util/redact.js'
import { growthOf } from '../../helpers/patterns/growth.js'

const JWT = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x'

describe('redaction', () => {
  it('leaves nothing of any secret, whatever other secrets are part of it', () => {
    const secret = fc.string({
      unit: fc.constantFrom('a', 'b', 'c', '1', '-'),
      minLength: 16,
      maxLength: 20,
    })
    const around = fc.string({ unit: fc.constantFrom('x', ' ', '"') })
    fc.assert(
      fc.property(fc.array(secret, { minLength: 1, maxLength: 5 }), around, (secrets, text) => {
        const redact = createRedactor(secrets)
        for (const each of secrets.filter((one) => one.includes('1'))) {
          expect(redact(`${text}${each}${text}`)).toBe(`${text}[redacted]${text}`)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('removes a short secret where it stands as a word', () => {
    const redact = createRedactor(['secret'])
    expect(redact('secret, "secret" token=secret. (secret) x:secret@host')).toBe(
      '[redacted], "[redacted]" token=[redacted]. ([redacted]) x:[redacted]@host',
    )
  })

  it.each(['get_secret', 'secret_2', 'vault.secret', 'my-secret', 'secrets', 'Xsecret'])(
    'leaves the name %s, of which a short secret is a part',
    (name) => {
      expect(createRedactor(['secret'])(`tool=${name} {"tool":"${name}"}`)).toBe(
        `tool=${name} {"tool":"${name}"}`,
      )
    },
  )

  it('leaves a name that is a word, even when somebody took the word as a secret', () => {
    expect(createRedactor(['get_secret', 'delete-everything-now'])('get_secret', true)).toBe(
      'get_secret',
    )
  })

  it('removes a long secret also from a name', () => {
    expect(createRedactor(['sk-4f9a8b7c6d5e4f3a2b1c'])('x_sk-4f9a8b7c6d5e4f3a2b1c_y', true)).toBe(
      'x_[redacted]_y',
    )
  })

  it.each([0, 1, 2, 3, 4])('removes a long secret from Base64, behind %i characters', (count) => {
    const secret = 'p4ss/w0rd+of?the>service'
    const basic = Buffer.from(`${'u'.repeat(count)}:${secret}`).toString('base64')
    for (const text of [basic, basic.replaceAll('/', '_').replaceAll('+', '-')]) {
      const left = createRedactor([secret])(`x ${text} x`)
      expect(left).toContain('[redacted]')
      expect(left.length).toBeLessThan(count + 24)
    }
  })

  it.each([encodeURIComponent, JSON.stringify, (text: string) => new URLSearchParams({ text })])(
    'removes a secret as %s writes it',
    (write) => {
      const secret = 'a b/c"d&e=f+1'
      expect(`${createRedactor([secret])(`${write(secret)}`)}`).not.toMatch(/b.*c.*d.*e/)
    },
  )

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

  it.each([
    ['behind other characters', `token-${JWT} x_${JWT}`, 'token-[redacted] x_[redacted]'],
    ['that is encrypted', 'eyJhbGciOiJSU0EifQ.a-b.c.d.e_f x', '[redacted] x'],
    ['in JSON', `{"a":"${JWT}"}`, '{"a":"[redacted]"}'],
  ])('removes a JWT %s', (_title, text, redacted) => {
    expect(createRedactor()(text)).toBe(redacted)
  })

  it.each([
    ['DPoP abcdefgh1234', 'DPoP [redacted]'],
    ['authorization%3A%20Bearer%20abcdefgh1234', 'authorization%3A%20Bearer [redacted]'],
    ['"authorization":"Basic YWxpY2U6c2VjcmV0MTIz="', '"authorization":"Basic [redacted]"'],
    ['Bearer tokens-1234567', 'Bearer [redacted]'],
    ['Bearer authentication1', 'Bearer [redacted]'],
  ])('removes the credential of %s', (text, redacted) => {
    expect(createRedactor()(text)).toBe(redacted)
  })

  it.each([
    'the bearer of bad news',
    'Bearer token',
    'an eyJ is no token',
    'eyJhbGciOiJSUzI1NiJ9',
    'Bearer resource_metadata="https://mcp.example/.well-known/oauth-protected-resource"',
    'Bearer error="invalid_token", error_description="expired", scope="mcp:tools"',
    'Basic realm="mcp"',
    'Bearer authentication is required. Basic authorization, Bearer tokens.',
  ])('keeps text that holds no secret: %s', (text) => {
    expect(createRedactor()(text)).toBe(text)
  })

  it.each([
    ['a JWT over and over', 'eyJ-'],
    ['a JWT behind points', 'eyJaaaaaaaa.a'],
    ['schemes', 'bearer '],
    ['a scheme and spaces', ' '],
    ['a short secret', 'secret'],
    ['a part of a long one', 'sk-4f9a8b7c6d5e4f3a2b1'],
    ['addresses', 'http://'],
    ['users of an address', '@'],
    ['queries of an address', '?'],
    ['points behind an address', '.'],
  ])('takes linear time on 100 KB of %s', (_title, repeated) => {
    const redact = createRedactor(['secret', 'sk-4f9a8b7c6d5e4f3a2b1c'])
    const write = (length: number) => `bearer http://${repeated.repeat(length / repeated.length)}`
    expect(growthOf(write, redact)).toBeLessThan(3)
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
