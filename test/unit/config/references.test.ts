// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how users write a reference
import { describe, expect, it } from 'vitest'
import { expandVariables, hasReference, isFileReference } from '../../../src/config/references.js'

const VARIABLES: Record<string, string> = { A: 'one', EMPTY: '', NESTED: '${A}' }
const expand = (text: string) => expandVariables(text, (name) => VARIABLES[name])

describe('expandVariables', () => {
  it.each([
    ['${A}', 'one'],
    ['x-${A}-${A}', 'x-one-one'],
    ['${B:-two}', 'two'],
    ['${A:-two}', 'one'],
    ['${EMPTY:-two}', 'two'],
    ['${EMPTY}', ''],
    ['${B:-}', ''],
    ['$${A}', '${A}'],
    ['${NESTED}', '${A}'],
    ['$A {A} $', '$A {A} $'],
  ])('turns %s into %s', (text, expected) => {
    expect(expand(text)).toMatchObject({ text: expected })
    expect(expand(text).problem).toBeUndefined()
  })

  it.each(['${B}', '${', '${}', '${a-b}', '${A'])('refuses %s', (text) => {
    expect(expand(text).problem).toBeDefined()
  })

  it('tells which values it put in', () => {
    expect(expand('${A} ${B:-two}').parts).toEqual(['one'])
  })
})

describe('hasReference', () => {
  it.each([
    ['${A}', true],
    ['x${A:-b}', true],
    ['$${A}', false],
    ['$A', false],
  ])('of %s is %s', (text, expected) => {
    expect(hasReference(text)).toBe(expected)
  })
})

describe('isFileReference', () => {
  it.each([
    ['@/run/secrets/key', true],
    ['@./key', true],
    ['@../key', true],
    ['@~/key', true],
    ['@C:\\keys\\key', true],
    ['@key', false],
    ['user@/x', false],
  ])('of %s is %s', (text, expected) => {
    expect(isFileReference(text)).toBe(expected)
  })
})
