import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lineOf, parseDocument } from '../../../src/config/file.js'
import type { Lines } from '../../../src/config/read-json.js'

describe('parseDocument', () => {
  it('reads JSON with comments and trailing commas', () => {
    const text =
      '\uFEFF// first\n{\n  /* a\n b */ "a": "// no /* comment */",\n  "b": [1, 2,],\n}\n'
    expect(parseDocument('x.json', text)).toMatchObject({
      content: { a: '// no /* comment */', b: [1, 2] },
    })
  })

  it.each([
    ['x.yaml', 'a: 1\nb: [x]', { a: 1, b: ['x'] }],
    ['.rc', 'a: 1', { a: 1 }],
    ['.rc', ' // c\n{"a": 1}', { a: 1 }],
    ['x.yaml', '', {}],
  ])('reads %s with %j', (name, text, content) => {
    expect(parseDocument(name, text)).toMatchObject({ content })
  })

  it.each(['[1]', '1', '{"a": 1', '{a: 1}'])('says why %s is no document', (text) => {
    expect(parseDocument('x.json', text)).toEqual(expect.any(String))
  })

  it('runs no code that YAML could name', () => {
    expect(parseDocument('x.yaml', 'a: !!js/function "function () {}"')).toMatch(/unknown tag/)
  })

  it('leaves $import alone', () => {
    const content = { $import: './x.cjs' }
    expect(parseDocument('x.json', JSON.stringify(content))).toMatchObject({ content })
  })
})

/** The lines of a text that is a document. */
function linesOf(name: string, text: string): Lines {
  const document = parseDocument(name, text)
  if (typeof document === 'string') throw new Error(document)
  return document.lines
}

describe('lineOf', () => {
  const json =
    '{\n  "a": {\n    "b": [\n      {"c": 1},\n      {"c": 2}\n    ],\n    "d\\"": 1\n  }\n}'
  const yaml = '# x\na:\n  b:\n    - c: 1\n  "d": 1\ne: {f: 1}\n'

  it.each([
    [['a'], 2],
    [['a', 'b'], 3],
    [['a', 'd"'], 7],
    [['a', 'x'], 2],
    [['x'], undefined],
  ])('finds %j in JSON on line %s', (path, line) => {
    expect(lineOf(linesOf('x.json', json), path)).toBe(line)
  })

  it.each([
    [['a'], 2],
    [['a', 'b'], 3],
    [['a', 'd'], 5],
    [['e', 'f'], 6],
    [['x'], undefined],
  ])('finds %j in YAML on line %s', (path, line) => {
    expect(lineOf(linesOf('x.yaml', yaml), path)).toBe(line)
  })

  it('finds every member of any JSON', () => {
    const tree = fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()))
    fc.assert(
      fc.property(tree, (content) => {
        const text = JSON.stringify(content, undefined, 2)
        const lines = linesOf('x.json', text)
        for (const [name, inner] of Object.entries(content)) {
          for (const member of Object.keys(inner)) {
            const line = text.split('\n')[(lineOf(lines, [name, member]) ?? 0) - 1]
            expect(line?.trimStart().startsWith(JSON.stringify(member))).toBe(true)
          }
        }
      }),
    )
  })
})
