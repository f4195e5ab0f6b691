import { describe, expect, it } from 'vitest'
import { mergeCapabilities } from '../../../../src/gateway/sessions/capabilities.js'

const GOOD = {
  tools: { listChanged: true },
  resources: { subscribe: true },
  logging: {},
  experimental: { mine: { x: 'any text' } },
}

describe('the capabilities of several targets', () => {
  it.each([
    { tools: { listChanged: 'no' }, resources: { subscribe: 1 } },
    { tools: 'x', logging: true, resources: [], completions: 5 },
    { tools: null, experimental: null, tasks: 'x' },
    { tools: { listChanged: false }, experimental: { mine: 7, yours: 'x' }, extensions: { a: 1 } },
    null,
    'x',
  ])('are not spoilt by %j of one of them, wherever it stands', (bad) => {
    for (const parts of [
      [bad, GOOD],
      [GOOD, bad],
    ]) {
      const merged = mergeCapabilities(parts)
      expect(merged).toMatchObject(GOOD)
      for (const value of Object.values(merged)) {
        expect(value).toBeTypeOf('object')
        for (const [name, member] of Object.entries(value as object)) {
          expect(member).toBeTypeOf(/listChanged|subscribe/.test(name) ? 'boolean' : 'object')
        }
      }
    }
  })
})
