import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { diffLines, renderDiff } from '../../../src/hosts/diff.js'

const render = (before: string | undefined, after: string) =>
  renderDiff('/a', before, after, { before: (text) => text, after: (text) => text })

describe('renderDiff', () => {
  it('shows a new file', () => {
    expect(render(undefined, 'a\nb\n')).toBe('--- /dev/null\n+++ /a\n@@ -0,0 +1,2 @@\n+a\n+b\n')
  })

  it('shows each change with two lines around it', () => {
    const before = '1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n'
    const after = '1\n2\n3\nx\n5\n6\n7\n8\n9\n10\n11\n'
    expect(render(before, after)).toBe(`--- /a
+++ /a
@@ -2,5 +2,5 @@
 2
 3
-4
+x
 5
 6
@@ -9,2 +9,3 @@
 9
 10
+11
`)
  })

  it('shows only what it may', () => {
    const shown = renderDiff('/a', 'a\nc\n', 'a\nb\n', {
      before: (text) => text.replace(/\w/g, '?'),
      after: (text) => text.replace(/\w/g, '*'),
    })
    expect(shown).toContain('\n *\n-?\n+*\n')
  })
})

describe('diffLines', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', '')).map((lines) => `${lines.join('\n')}\n`)

  it('holds both texts', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = diffLines(before, after)
        const side = (other: string) =>
          lines.filter(({ sign }) => sign !== other).map((line) => `${line.text}\n`)
        expect(side('+').join('')).toBe(before)
        expect(side('-').join('')).toBe(after)
      }),
    )
  })

  it('keeps no line that both have when one text is a part of the other', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.boolean())), (parts) => {
        const after = parts.map(([line]) => `${line}\n`).join('')
        const before = parts.filter(([, stays]) => stays).map(([line]) => `${line}\n`)
        const removed = diffLines(before.join(''), `${after}`).filter(({ sign }) => sign === '-')
        expect(removed.filter(({ text }) => text !== '')).toEqual([])
      }),
    )
  })

  it('takes large texts that differ everywhere as replaced', () => {
    const lines = (mark: string) =>
      Array.from({ length: 3000 }, (_, at) => `${mark}${at}`).join('\n')
    const diff = diffLines(lines('a'), lines('b'))
    expect(diff.map(({ sign }) => sign).join('')).toBe(`${'-'.repeat(3000)}${'+'.repeat(3000)}`)
  })
})
