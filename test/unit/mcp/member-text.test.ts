import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memberText, memberTexts, objectText, putMembers } from '../../../src/mcp/json-text.js'

describe('putMembers', () => {
  it.each([
    ['{}', '{"a":1}'],
    [' { } ', ' {"a":1 } '],
    ['{"b":2}', '{"a":1,"b":2}'],
    ['{"b":2, "a" : "old"}', '{"b":2, "a" : 1}'],
    ['{"a":1,"a":2}', '{"a":1,"a":1}'],
    ['{"\\u0061":0}', '{"\\u0061":1}'],
    ['{"n":123456789012345678901234567890}', '{"a":1,"n":123456789012345678901234567890}'],
  ])('puts a into %s', (object, expected) => {
    expect(putMembers(object, { a: '1' })).toBe(expected)
  })

  it('changes what it was told to, and nothing else', () => {
    const object = fc.dictionary(fc.string(), fc.jsonValue())
    fc.assert(
      fc.property(object, object, fc.constantFrom(0, 1, 2), (given, members, indent) => {
        const texts = Object.fromEntries(
          Object.entries(members).map(([key, value]) => [key, JSON.stringify(value)]),
        )
        const text = putMembers(JSON.stringify(given, null, indent), texts)
        const expected = { ...given, ...members }
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(expected)))
      }),
    )
  })
})

describe('reading members', () => {
  it.each(['5', 'null', '"text"', '[{"a":1}]', ' true '])('finds none in %s', (text) => {
    expect(memberTexts(text)).toEqual([])
    expect(memberText(text, 'a')).toBeUndefined()
    expect(objectText(text, 'a')).toBe('{}')
  })

  it('gives the text as it was written', () => {
    const text = '{"a": 1.50 ,"b":{"c":[1, 2]}}'
    expect(memberTexts(text)).toEqual([
      ['a', '1.50'],
      ['b', '{"c":[1, 2]}'],
    ])
    expect(memberText(text, 'c')).toBeUndefined()
    expect(objectText(text, 'b')).toBe('{"c":[1, 2]}')
    expect(objectText(text, 'a')).toBe('{}')
  })
})
