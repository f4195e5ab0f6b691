import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseChallenges, readBearerChallenge } from '../../../../src/auth/oauth/parse-challenge.js'
import { growthOf } from '../../../helpers/patterns/growth.js'

describe('parseChallenges', () => {
  it.each([
    [null, []],
    ['', []],
    ['Bearer', [['bearer', {}]]],
    ['Bearer realm="x"', [['bearer', { realm: 'x' }]]],
    ['bearer REALM=x', [['bearer', { realm: 'x' }]]],
    [
      'Basic realm="a, b", Bearer scope="c d"',
      [
        ['basic', { realm: 'a, b' }],
        ['bearer', { scope: 'c d' }],
      ],
    ],
    [
      'Negotiate YIIabc==, Bearer error=invalid_token',
      [
        ['negotiate', {}],
        ['bearer', { error: 'invalid_token' }],
      ],
    ],
    [
      'Bearer realm="a \\"quoted\\" b", scope = "x"',
      [['bearer', { realm: 'a "quoted" b', scope: 'x' }]],
    ],
    [', ,Bearer a=1,,b=2', [['bearer', { a: '1', b: '2' }]]],
    ['Bearer scope="one", scope="two"', [['bearer', { scope: 'one' }]]],
    ['Bearer __proto__="x"', [['bearer', { ['__proto__']: 'x' }]]],
    ['Bearer scope="never closed', [['bearer', {}]]],
    [
      'NTLM, Bearer',
      [
        ['ntlm', {}],
        ['bearer', {}],
      ],
    ],
  ])('reads %j', (header, expected) => {
    const found = parseChallenges(header).map(({ scheme, parameters }) => [
      scheme,
      Object.entries(parameters),
    ])
    expect(found.slice(0, expected.length)).toEqual(
      expected.map(([scheme, parameters]) => [scheme, Object.entries(parameters as object)]),
    )
  })
})

describe('parseChallenges with anything', () => {
  it('never throws and never loops', () => {
    const word = fc.constantFrom(
      'Bearer',
      'a',
      '=',
      '"',
      ',',
      ' ',
      '\\',
      'scope="x y"',
      'é',
      '\u0000',
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        expect(Array.isArray(parseChallenges(words.join('')))).toBe(true)
      }),
    )
  })

  it('takes linear time for a header that is long and hostile', () => {
    const quotes = (length: number) => `Bearer ${'a="'.repeat(length / 3)}`
    const escapes = (length: number) => `Bearer a="${'\\'.repeat(length)}`
    for (const write of [quotes, escapes]) {
      expect(growthOf(write, parseChallenges)).toBeLessThan(3)
    }
  })
})

describe('readBearerChallenge', () => {
  it('finds the Bearer challenge behind others', () => {
    const header =
      'Basic realm="x", Bearer error="insufficient_scope", scope="a b", resource_metadata="https://r/.well-known/x"'
    expect(readBearerChallenge(header)).toEqual({
      error: 'insufficient_scope',
      scope: 'a b',
      resourceMetadata: 'https://r/.well-known/x',
    })
  })

  it('prefers the one that names the metadata', () => {
    expect(readBearerChallenge('Bearer realm="a", Bearer resource_metadata="https://m"')).toEqual({
      resourceMetadata: 'https://m',
    })
  })

  it('finds none where there is none', () => {
    expect(readBearerChallenge('Basic realm="x"')).toBeUndefined()
  })
})

describe('a challenge for DPoP', () => {
  const metadata = 'resource_metadata="https://a.example/m"'
  it.each([
    [`Bearer ${metadata}`, { resourceMetadata: 'https://a.example/m' }],
    [
      `Bearer ${metadata}, DPoP algs="ES256", ${metadata}`,
      { resourceMetadata: 'https://a.example/m', proof: 'offered' },
    ],
    [
      `DPoP algs="ES256", ${metadata}`,
      { resourceMetadata: 'https://a.example/m', proof: 'required' },
    ],
    [
      `Bearer ${metadata}, dpop error="invalid_dpop_proof", ${metadata}`,
      { error: 'invalid_dpop_proof', resourceMetadata: 'https://a.example/m', proof: 'offered' },
    ],
    [
      `Bearer error="invalid_token", ${metadata}, DPoP algs="ES256"`,
      { error: 'invalid_token', resourceMetadata: 'https://a.example/m', proof: 'offered' },
    ],
  ])('%s says whether proofs are taken', (header, challenge) => {
    expect(readBearerChallenge(header)).toEqual(challenge)
  })
})
