import { describe, expect, it } from 'vitest'
import { readValueFromText } from '../../../src/config/layers.js'

describe('text from flags and variables', () => {
  it.each([
    ['port', '80', 80],
    ['seconds', '0.5', 0.5],
    ['port', '0x50', '0x50'],
    ['boolean', 'YES', true],
    ['boolean', '0', false],
    ['boolean', 'maybe', 'maybe'],
    ['texts', 'a, b  c,', ['a', 'b', 'c']],
    ['text', ' a ', ' a '],
  ] as const)('of the kind %s turns "%s" into %j', (kind, text, value) => {
    expect(readValueFromText({ kind }, text)).toEqual(value)
  })
})
