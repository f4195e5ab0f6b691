import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { scanMembers, skipSpace } from '../../../src/mcp/json-text.js'
import { objectText } from './json-text.js'

const DEEP = { maxDepth: 128 }

describe('scanMembers', () => {
  it('finds each member with its key and its place, whatever surrounds them', () => {
    fc.assert(
      fc.property(
        objectText,
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
      fc.property(objectText, ({ text }) => {
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
  ])('takes %s', (_title, text) => {
    expect(scanMembers(text, 0, DEEP)).toHaveLength(Object.keys(JSON.parse(text)).length)
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
