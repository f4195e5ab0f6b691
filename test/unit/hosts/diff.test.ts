import { applyPatch } from 'diff'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { renderDiff } from '../../../src/hosts/diff.js'

const render = (before: string | undefined, after: string) =>
  renderDiff('/a', before, after, { before: (text) => text, after: (text) => text })

const linesWith = (sign: '-' | '+', diff: string) =>
  diff
    .split('\n')
    .slice(2)
    .filter((line) => line.startsWith(sign))

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

  it.each([
    ['the line breaks differ', 'a\r\nb\r\n', 'a\nb\n'],
    ['the last line break is missing', 'a\nb', 'a\nb\n'],
  ])('counts lines as equal where %s', (_what, before, after) => {
    expect(render(before, `${after}c\n`)).toBe('--- /a\n+++ /a\n@@ -1,2 +1,3 @@\n a\n b\n+c\n')
  })

  const text = fc.array(fc.constantFrom('a', 'b', 'c', '')).map((lines) => `${lines.join('\n')}\n`)

  it('makes the one text of the other', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        expect(applyPatch(before, render(before, after))).toBe(after)
      }),
    )
  })

  it('keeps no line that both have when one text is a part of the other', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b'), fc.boolean())), (parts) => {
        const after = parts.map(([line]) => `${line}\n`).join('')
        const before = parts.filter(([, stays]) => stays).map(([line]) => `${line}\n`)
        expect(linesWith('-', render(before.join(''), after))).toEqual([])
      }),
    )
  })

  it('takes large texts that differ everywhere as replaced', () => {
    const lines = (mark: string) =>
      Array.from({ length: 3000 }, (_, at) => `${mark}${at}`).join('\n')
    const diff = render(lines('a'), lines('b'))
    expect(diff).toContain('\n@@ -1,3000 +1,3000 @@\n-a0\n')
    expect(diff).toContain('\n-a2999\n+b0\n')
    expect(linesWith('+', diff)).toHaveLength(3000)
  })
})
