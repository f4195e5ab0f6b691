import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CheckReport } from '../../../../src/diagnose/check.js'
import { gatherSkipped, wrap } from '../../../../src/diagnose/reporters/text.js'

describe('the text', () => {
  it('is broken into lines that fit and lose nothing', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { maxLength: 20 })
    fc.assert(
      fc.property(words, fc.integer({ min: 8, max: 60 }), (list, width) => {
        const lines = wrap(list.join(' '), width)
        expect(lines.every((line) => line.length <= width)).toBe(true)
        expect(lines.join('').replaceAll(' ', '')).toBe(list.join(''))
      }),
    )
  })

  it('puts three or more checks that were skipped for one reason into one', () => {
    const skipped = (id: string, detail = 'why'): CheckReport => {
      return { id, outcome: 'skip', detail, hint: null, ms: 0 }
    }
    const passed: CheckReport = { id: 'z', outcome: 'pass', detail: 'ok', hint: null, ms: 0 }
    const three = [skipped('a'), skipped('b'), skipped('c')]
    expect(gatherSkipped(three, passed).ready.map(({ id }) => id)).toEqual(['3 checks', 'z'])
    expect(gatherSkipped(three.slice(1), passed).ready.map(({ id }) => id)).toEqual(['b', 'c', 'z'])
    expect(gatherSkipped([skipped('a')], skipped('b', 'else'))).toMatchObject({
      ready: [{ id: 'a' }],
      held: [{ id: 'b' }],
    })
    expect(gatherSkipped([], undefined)).toEqual({ ready: [], held: [] })
  })
})
