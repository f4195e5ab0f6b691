import { describe, expect, it } from 'vitest'
import { isRetrySafe } from '../../../../src/usecases/run-bridge/targets.js'

describe('mayRepeat', () => {
  it.each([
    ['tools/list', true],
    ['resources/read', true],
    ['prompts/get', true],
    ['ping', true],
    ['initialize', true],
    ['tools/call', false],
    ['logging/setLevel', false],
    ['notifications/cancelled', false],
  ])('[bridge-lost-session] says of %s %j', (method, expected) => {
    expect(isRetrySafe({ method: 'POST', body: JSON.stringify({ method }) })).toBe(expected)
  })

  it('is never sure of what it cannot read', () => {
    expect(isRetrySafe({ method: 'POST', body: 'x' })).toBe(false)
    expect(isRetrySafe({ method: 'GET' })).toBe(true)
  })
})
