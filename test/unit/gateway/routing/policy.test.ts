import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ToolPolicyConfig } from '../../../../src/config/target-types.js'
import { createToolPolicy } from '../../../../src/gateway/routing/policy.js'
import { OPEN_TOOLS, principal } from '../support.js'

const policy = (change: Partial<ToolPolicyConfig> = {}) =>
  createToolPolicy({ ...OPEN_TOOLS, ...change })

const ALLOWED = { allowed: true }

const HIDDEN = { allowed: false, hidden: true }

describe('a tool policy', () => {
  it.each<[string, Partial<ToolPolicyConfig>, object]>([
    ['all is allowed', {}, ALLOWED],
    ['nothing is allowed', { allow: [] }, HIDDEN],
    ['another tool is allowed', { allow: ['set_*'] }, HIDDEN],
    ['it is allowed by name', { allow: ['get_user'] }, ALLOWED],
    ['it is allowed by a glob', { allow: ['*_user'] }, ALLOWED],
    ['it is allowed and denied', { allow: ['get_user'], deny: ['get_*'] }, HIDDEN],
    ['it is denied in another case', { deny: ['GET_*'] }, HIDDEN],
    ['it is allowed in another case', { allow: ['GET_*'] }, HIDDEN],
    ['a role is missing for another case', { roles: { GET_USER: ['admin'] } }, HIDDEN],
    ['a role is missing', { roles: { '*': ['admin'] } }, HIDDEN],
    ['one of the roles is there', { roles: { '*': ['admin', 'editor'] } }, ALLOWED],
    ['one of two role rules fails', { roles: { 'get_*': ['editor'], '*_user': ['x'] } }, HIDDEN],
    ['a role rule is empty', { roles: { '*': [] } }, HIDDEN],
    ['a role of other tools is missing', { roles: { 'set_*': ['admin'] } }, ALLOWED],
    ['a permission is missing', { permissions: { '*': ['admin'] } }, HIDDEN],
    ['one of the permissions is there', { permissions: { '*': ['b', 'a'] } }, ALLOWED],
    ['it is another tenant', { tenants: { '*': ['T2'] } }, HIDDEN],
    ['it is the tenant', { tenants: { '*': ['T2', 'T1'] } }, ALLOWED],
    ['the scopes are there', { scopes: { '*': ['read'], get_user: ['users'] } }, ALLOWED],
  ])('decides on a call when %s', (_title, change, decision) => {
    const caller = principal({
      roles: ['editor'],
      permissions: ['a'],
      tenant: 'T1',
      scopes: new Set(['read', 'users']),
    })
    expect(policy(change).decide('get_user', caller)).toMatchObject(decision)
  })

  it('[mcp-authz-r6] names all scopes of the call when one is missing, each once', () => {
    const scopes = { '*': ['read'], 'set_*': ['write', 'read'], other: ['other'] }
    expect(policy({ scopes }).decide('set_x', principal({ scopes: new Set(['read']) }))).toEqual({
      allowed: false,
      hidden: false,
      missingScopes: ['read', 'write'],
      unlisted: false,
      rule: 'tools.scopes "set_*"',
    })
  })

  it('leaves tools out of lists on request when scopes are missing', () => {
    const hiding = policy({ scopes: { '*': ['read'] }, whenScopeMissing: 'hide' })
    expect(hiding.decide('x', principal())).toMatchObject({ hidden: false, unlisted: true })
  })

  it('hides before it asks for scopes, so that hidden tools stay unknown', () => {
    const both = policy({ scopes: { '*': ['read'] }, roles: { '*': ['admin'] } })
    expect(both.decide('x', principal())).toMatchObject(HIDDEN)
  })

  it.each<[Partial<ToolPolicyConfig>]>([
    [{ scopes: { '*': ['read'] } }],
    [{ roles: { '*': ['admin'] } }],
    [{ permissions: { '*': ['x'] } }],
    [{ tenants: { '*': ['T1'] } }],
  ])('gives a caller without a principal nothing that %j guards', (change) => {
    expect(policy(change).decide('x', undefined).allowed).toBe(false)
    expect(policy(change).dependsOnCaller).toBe(true)
  })

  it.each<[Partial<ToolPolicyConfig>, boolean, boolean]>([
    [{}, true, false],
    [{ allow: ['*', 'x'] }, true, false],
    [{ allow: ['x*'] }, false, false],
    [{ deny: ['x'] }, false, false],
    [{ scopes: { x: ['y'] } }, false, true],
  ])(
    'knows of %j whether it is open: %s, and depends on the caller: %s',
    (change, open, depends) => {
      expect(policy(change)).toMatchObject({ isOpen: open, dependsOnCaller: depends })
    },
  )

  it('[mcp-authz-r14] decides by the authorization and the name alone, the same every time', () => {
    const words = fc.subarray(['a', 'ab', 'b', '*', 'a*'])
    const rules = fc.dictionary(fc.constantFrom('*', 'a*', '*b'), words, { noNullPrototype: true })
    const config = fc.record({
      allow: words,
      deny: words,
      scopes: rules,
      roles: rules,
      tenants: rules,
      whenScopeMissing: fc.constantFrom<'list' | 'hide'>('list', 'hide'),
    })
    fc.assert(
      fc.property(config, fc.array(fc.constantFrom('a', 'b', 'ab', 'c')), (given, names) => {
        const caller = () => principal({ scopes: new Set(['a']), roles: ['b'], tenant: 'ab' })
        const shared = createToolPolicy(given)
        for (const name of names) {
          const decision = shared.decide(name, caller())
          expect(decision).toEqual(createToolPolicy(given).decide(name, caller()))
          if (shared.isOpen) expect(decision).toEqual(ALLOWED)
          if (!shared.dependsOnCaller) expect(shared.decide(name, undefined)).toEqual(decision)
        }
      }),
    )
  })
})
