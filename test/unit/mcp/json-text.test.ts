import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  elementsAt,
  findMember,
  memberText,
  memberTexts,
  objectText,
  putMembers,
  readString,
  replaceAt,
  replaceParts,
  scanMembers,
  skipSpace,
  withoutMember,
} from '../../../src/mcp/json-text.js'
import { parseMessageText } from '../../../src/mcp/message.js'
import { stringText, valueText, objectText as writtenObject } from './json-text.js'

const DEEP = 128

describe('scanMembers', () => {
  it('finds each member with its key and its place, whatever surrounds them', () => {
    fc.assert(
      fc.property(
        writtenObject,
        fc.constantFrom('', ' ', '{"a":"}"}'),
        ({ text, members }, before) => {
          const found = scanMembers(before + text, before.length, DEEP)
          expect(found).toEqual(
            members.map(({ key, start, end }) => ({
              key,
              start: start + before.length,
              end: end + before.length,
            })),
          )
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('finds what JSON.parse finds, the last of two equal keys included', () => {
    fc.assert(
      fc.property(writtenObject, ({ text }) => {
        const parsed: Record<string, unknown> = JSON.parse(text)
        const last = new Map(
          scanMembers(text, 0, DEEP)?.map(({ key, start, end }) => [key, text.slice(start, end)]),
        )
        expect([...last.keys()].sort()).toEqual(Object.keys(parsed).sort())
        for (const [key, value] of last) expect(JSON.parse(value)).toEqual(parsed[key])
      }),
      { numRuns: 1_000 },
    )
  })

  it('reads an escaped key as what it means', () => {
    const text = '{"n\\u0061me":1,"name":2,"\\u007b\\"":3}'
    expect(scanMembers(text, 0, DEEP)?.map(({ key }) => key)).toEqual(['name', 'name', '{"'])
  })

  it.each([
    { depth: 128, open: '[', close: ']', known: true },
    { depth: 129, open: '[', close: ']', known: false },
    { depth: 128, open: '{"x":', close: '}', known: true },
    { depth: 129, open: '{"x":', close: '}', known: false },
  ])('counts the object itself: $open to depth $depth is read: $known', (row) => {
    const { depth, open, close, known } = row
    const value =
      open.repeat(depth - 1) + 'null'.repeat(Number(open !== '[')) + close.repeat(depth - 1)
    const text = `{"params":${value}}`
    JSON.parse(text)
    expect(scanMembers(text, 0, DEEP) !== undefined).toBe(known)
  })

  it.each([
    ['100,000 members', `{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":${i}`).join()}}`],
    ['2 MB of backslashes', `{"a":"${'\\\\'.repeat(1_000_000)}"}`],
    ['a million escaped quotes', `{"a":"${'\\"'.repeat(1_000_000)}"}`],
    ['a million brackets in a string', `{"a":"${'[{'.repeat(500_000)}"}`],
    ['2 MB of white space', `{${' '.repeat(2_000_000)}"a":1}`],
  ])('takes %s in a moment', (_title, text) => {
    const before = performance.now()
    expect(scanMembers(text, 0, DEEP)).toHaveLength(Object.keys(JSON.parse(text)).length)
    expect(performance.now() - before).toBeLessThan(2_000)
  })
})

describe('skipSpace', () => {
  it('skips the white space of JSON and no other', () => {
    expect(skipSpace(' \t\r\nx', 0)).toBe(4)
    expect(skipSpace('\u00a0x', 0)).toBe(0)
    expect(skipSpace('\ufeff{', 0)).toBe(0)
    expect(skipSpace('a  b', 1)).toBe(3)
  })
})

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

describe('findMember', () => {
  const found = (text: string, ...path: string[]) => {
    const member = findMember(text, 0, ...path)
    return member && text.slice(member.start, member.end)
  }

  it('follows the names to a member at any depth, over white space', () => {
    expect(found(' { "a" : {"b":{ "c": [1] } } }', 'a', 'b', 'c')).toBe('[1]')
  })

  it('takes the last of members with one name, as JSON.parse does, on the way too', () => {
    expect(found('{"a":{"b":1},"a":{"b":2,"b":3}}', 'a', 'b')).toBe('3')
    expect(memberText('{"a":1,"\\u0061":2}', 'a')).toBe('2')
  })

  it.each(['{"a":[{"b":1}]}', '{"a":"b"}', '{"a":null}', '{}', '[]', '7'])(
    'finds nothing below what is no object: %s',
    (text) => expect(found(text, 'a', 'b')).toBeUndefined(),
  )

  it('finds a member behind a value nested 100,000 deep', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    expect(found(`{"x":${deep},"a":{"y":${deep},"b":1}}`, 'a', 'b')).toBe('1')
  })
})

describe('elementsAt', () => {
  it('lists the elements of an array as they are written', () => {
    fc.assert(
      fc.property(fc.array(valueText), (values) => {
        const text = ` {"a":{"list": [ ${values.join(' , ')} ]}}`
        const places = elementsAt(text, 0, 'a', 'list')
        expect(places.map(({ start, end }) => text.slice(start, end))).toEqual(values)
      }),
    )
  })

  it.each(['{"list":{"0":1}}', '{"list":"[1]"}', '{}', '[1]'])('lists none in %s', (text) => {
    expect(elementsAt(text, 0, 'list')).toEqual([])
  })
})

describe('readString', () => {
  it('reads a string as JSON.parse does, and no other value', () => {
    const text = '{"a":"\\u0041\\"","b":1}'
    expect(readString(text, findMember(text, 0, 'a'))).toBe('A"')
    expect(readString(text, findMember(text, 0, 'b'))).toBeUndefined()
    expect(readString(text, undefined)).toBeUndefined()
  })
})

const call = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`

describe('replaceParts', () => {
  it('changes the values that it is given and no other byte', () => {
    fc.assert(
      fc.property(stringText, valueText, valueText, (name, value, to) => {
        const text = call(` { "arguments" : ${value} , "name":${name} } `)
        const span = parseMessageText(text).spans.get('name')
        const result = replaceParts(text, span ? [{ ...span, text: to }] : [])
        expect(result).toBe(call(` { "arguments" : ${value} , "name":${to} } `))
        expect(JSON.parse(result).params.name).toEqual(JSON.parse(to))
      }),
    )
  })

  it('changes several values in any order', () => {
    const text = call('{"name":"a","x":1}')
    const { spans } = parseMessageText(text)
    const edits = ['name', 'id'].map((key) => {
      const span = spans.get(key)
      if (span === undefined) throw new Error(`no ${key}`)
      return { ...span, text: key === 'id' ? '42' : '"longer"' }
    })
    const expected = call('{"name":"longer","x":1}').replace('"id":1', '"id":42')
    expect(replaceParts(text, edits)).toBe(expected)
    expect(replaceParts(text, edits.toReversed())).toBe(expected)
    expect(replaceParts(text, [])).toBe(text)
  })
})

describe('replaceAt', () => {
  it('replaces a value where the member is, and leaves the text alone where it is not', () => {
    expect(replaceAt('{"a":{"b" : 1.0},"c":1e400}', ['a', 'b'], '"x"')).toBe(
      '{"a":{"b" : "x"},"c":1e400}',
    )
    expect(replaceAt('{"a":1}', ['a', 'b'], '2')).toBe('{"a":1}')
  })
})

describe('withoutMember', () => {
  it('takes every member of a name out and keeps the others as they are written', () => {
    expect(withoutMember('{"a":1,"b": 1.50,"a":2}', 'a')).toBe('{"b":1.50}')
    expect(withoutMember('{"a":1}', 'a')).toBe('{}')
  })
})
