import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { editDistance, nearest } from '../../../src/util/text.js'

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
