import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { parseCall } from '../../../src/cli/check-options.js'

describe('parseCall', () => {
  it.each([
    ['search', {}, false, undefined],
    [' search {"q":"a b"} ', { q: 'a b' }, false, undefined],
    ['search {"q":1} expect {"contains":"x"}', { q: 1 }, false, 'x'],
    ['search expect {"isError":true}', {}, true, undefined],
    ['search {"q":"what I expect {"}', { q: 'what I expect {' }, false, undefined],
    ['search {"q":"expect"} expect {"contains":"expect"}', { q: 'expect' }, false, 'expect'],
  ])('reads %s', (text, args, isError, contains) => {
    expect(parseCall(text)).toEqual({ tool: 'search', arguments: args, isError, contains })
  })

  it.each([
    '',
    'search [1]',
    'search {"q":',
    'search {} expect {"isError":"yes"}',
    'search {} expect {"jsonpath":"$"}',
    'search {} expect',
  ])('refuses %s', (text) => {
    expect(() => parseCall(text)).toThrow(InvalidArgumentError)
  })
})
