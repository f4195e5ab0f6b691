import { describe, expect, it } from 'vitest'
import { chooseScope, missingScopes } from '../../../../src/auth/oauth/scopes.js'

describe('chooseScope', () => {
  const none = { resource: [], server: [] }

  it.each([
    [{ ...none }, undefined],
    [{ ...none, challenged: 'a b' }, 'a b'],
    [{ ...none, challenged: '', resource: ['r'] }, 'r'],
    [{ ...none, resource: ['r', 'openid'] }, 'r'],
    [{ ...none, resource: ['openid'] }, undefined],
    [{ ...none, configured: 'mine', challenged: 'a', resource: ['r'] }, 'mine'],
    [{ ...none, challenged: 'c', previous: 'a b' }, 'a b c'],
    [{ ...none, challenged: 'a', previous: 'a' }, 'a'],
  ])('[mcp-client-scope] chooses from %j', (sources, expected) => {
    expect(chooseScope(sources)).toBe(expected)
  })

  it('[bridge-offline-access] adds offline_access only where the server lists it and a scope is sent', () => {
    const server = ['offline_access']
    expect(chooseScope({ challenged: 'a', resource: [], server })).toBe('a offline_access')
    expect(chooseScope({ resource: [], server })).toBeUndefined()
  })

  it('names the scopes that are missing', () => {
    expect(missingScopes('a b', 'b c')).toEqual(['a'])
    expect(missingScopes(undefined, undefined)).toEqual([])
  })
})
