import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createGlobMatcher, editDistance, nearest } from '../../../src/util/text.js'
import { growthOf } from '../../helpers/patterns/growth.js'

describe('nearest', () => {
  it.each([
    ['prot', ['host', 'port', 'path'], 'port'],
    ['hots', ['host', 'port'], 'host'],
    ['PORT', ['port'], 'port'],
    ['zzzz', ['host', 'port'], undefined],
    ['x', [], undefined],
  ])('of %s in %j is %s', (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected)
  })

  it('measures a distance that is 0 for the same word and the same both ways', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, a)).toBe(0)
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
  })
})

const asRegExp = (pattern: string) =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^]*')}$`)

describe('a glob', () => {
  it('matches what the regular expression for it matches', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.', '$'), maxLength: 10 })
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.', '$', '['), maxLength: 6 })
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 3 }), letters, (patterns, text) => {
        const expected = patterns.some((each) => asRegExp(each).test(text))
        expect(createGlobMatcher(patterns)(text)).toBe(expected)
      }),
      { numRuns: 5_000 },
    )
  })

  it.each([
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['get_*', 'get_', true],
    ['get_*', 'forget_x', false],
    ['*_get', 'x_get', true],
    ['a*a', 'a', false],
    ['a*a', 'aa', true],
    ['*a*b*', 'ba', false],
    ['a*b*b', 'ab', false],
    ['get?', 'getx', false],
    ['GET', 'get', false],
    ['a.c', 'abc', false],
    ['**', 'x', true],
    ['a\n*', 'a\nb', true],
  ])('%j matches %j: %s', (pattern, text, matches) => {
    expect(createGlobMatcher([pattern])(text)).toBe(matches)
  })

  it('matches nothing without a pattern', () => {
    expect(createGlobMatcher([])('')).toBe(false)
  })

  it('takes linear time whatever it meets', () => {
    const matches = createGlobMatcher([`${'*a'.repeat(5_000)}*b`])
    expect(matches('a'.repeat(100_000))).toBe(false)
    expect(matches(`${'a'.repeat(100_000)}b`)).toBe(true)
    expect(growthOf((length) => 'a'.repeat(length), matches)).toBeLessThan(3)
  })
})
