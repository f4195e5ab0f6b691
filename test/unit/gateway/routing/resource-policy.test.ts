import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ToolPolicyConfig } from '../../../../src/config/target-types.js'
import { createResourcePolicy } from '../../../../src/gateway/routing/resource-policy.js'
import { createGlobMatcher, globsMeet } from '../../../../src/util/text.js'
import { OPEN_TOOLS, principal } from '../support.js'

const policyOf = (change: Partial<ToolPolicyConfig>) =>
  createResourcePolicy({ ...OPEN_TOOLS, ...change })

const SECRET = 'file:///srv/secret/key.txt'

describe('a resource that is denied', () => {
  const { decide } = policyOf({
    deny: ['file:///srv/secret/*', 'note://Müller', 'https://a.example/x', 'db://prod/users'],
  })

  it.each([
    SECRET,
    'FILE:///srv/secret/key.txt',
    'file:///SRV/Secret/KEY.txt',
    'file:///srv/%73ecret/key.txt',
    'file:///srv/secret%2fkey.txt',
    'file:///srv/%2573ecret/key.txt',
    'file:///srv/%u0073ecret/key.txt',
    'file:///srv/open/../secret/key.txt',
    'file:///srv/open/%2e%2e/secret/key.txt',
    'file:///srv/open/%252e%252e/secret/key.txt',
    'file:///srv/open/%c0%ae%c0%ae/secret/key.txt',
    'file:///srv/open/．．/secret/key.txt',
    'file:///srv/open/..;x=1/secret/key.txt',
    'file:///srv/open\\..\\secret\\key.txt',
    'file:///srv/open/../secret/%252e%252e/x',
    'file:///srv/./secret/key.txt',
    'file:///srv//secret/key.txt',
    'file:////srv/secret/key.txt',
    'file:/srv/secret/key.txt',
    'file:srv/secret/key.txt',
    'file://localhost/srv/secret/key.txt',
    'file:///srv/secret./key.txt',
    'file:///srv/secret;v=1/key.txt',
    'file:///srv/secret/key.txt?x',
    'file:///srv/secret/key.txt#x',
    ' file:///srv/secret/key.txt',
    'file:///srv/sec\tret/key.txt',
    'file:///srv/sec%00ret/key.txt',
    'file:///srv/ſecret/key.txt',
    'file:///srv/x/../secret/',
    'note://mu\u0308ller',
    'note://MÜLLER',
    'note://m%C3%BCller',
    'note://m%c3%bcller/',
    'note://x/../müller',
    'https://a.example:443/x',
    'https://user:pass@a.example/x',
    'https://A.EXAMPLE./x',
    'https://a.example/x/.',
    'https://a.example/x?y=/../z',
    'file://127.0.0.1/srv/secret/key.txt',
    'file://any.example/srv/%73ecret/key.txt',
    'db://prod:5432/users',
    'db://prod:/users',
    'db://prod:x/users',
    'DB://me:word@PROD:99999/users',
  ])('is denied as %j, too', (uri) => {
    expect(decide(uri, undefined)).toMatchObject({ allowed: false, hidden: true })
  })

  it.each([
    'file:///srv/secrets.txt',
    'file:///srv/secret',
    'file:///srv/open/key.txt',
    'file:///srv/open/../other',
    'file:///srv/open/%20%zz',
    'note://Müllers',
    'https://a.example/x/y',
    'https://a.example:8443/x',
    'https://b.example/x',
    'db://prod/user',
    'db://prod2:5432/users',
    'db://[::1]:5432/users',
    'file://any.example/srv/open/key.txt',
    '',
    'x',
  ])('says nothing of %j', (uri) => {
    expect(decide(uri, undefined)).toEqual({ allowed: true })
  })

  it('is named by its rule', () => {
    expect(decide(SECRET, undefined)).toMatchObject({
      rule: 'resources.deny "file:///srv/secret/*"',
    })
  })

  it('cannot hide behind length or escapes', () => {
    const nested = `file:///srv/%${'25'.repeat(6)}73ecret/key.txt`
    expect(decide(nested, undefined)).toMatchObject({ hidden: true, rule: 'resources' })
    expect(decide(`note://${'a'.repeat(9_000)}`, undefined)).toMatchObject({ hidden: true })
  })
})

describe('a resource that is allowed', () => {
  const { decide } = policyOf({ allow: ['file:///open/*', 'note://a/../b'] })

  it.each(['file:///open/a', 'file:///open/a%20b', 'file:///open/./a', 'note://a/../b'])(
    'is allowed as it is written: %j',
    (uri) => {
      expect(decide(uri, undefined)).toEqual({ allowed: true })
    },
  )

  it.each([
    'FILE:///open/a',
    'file:///Open/a',
    'file:/open/a',
    'file:///o%70en/a',
    'file:///open/../etc/passwd',
    'file:///open/%2e%2e/etc/passwd',
    'file:///open/%252E%252e/etc/passwd',
    'file:///open/．．/etc/passwd',
    'file:///open/..\\..\\etc/passwd',
    'file:///open/a/../../open/../etc',
    'file:///open/x/..%2f..%2fetc',
    '',
  ])('is not allowed as %j', (uri) => {
    expect(decide(uri, undefined)).toMatchObject({ allowed: false, rule: 'resources.allow' })
  })

  it('is nothing with an empty list', () => {
    const none = policyOf({ allow: [] })
    expect(none.decide('x', undefined).allowed).toBe(false)
    expect(none.decideTemplate('{+x}', undefined).allowed).toBe(false)
  })
})

describe('a resource that needs scopes, roles or a tenant', () => {
  const policy = policyOf({
    scopes: { 'note://*': ['read'], 'note://secret/*': ['secret'] },
    roles: { 'note://boss/*': ['boss'] },
    tenants: { 'note://t1/*': ['T1'] },
    permissions: { 'note://p/*': ['p'] },
  })

  it('asks for all scopes of the URI in one go, however it is written', () => {
    expect(policy.decide('NOTE://x/../secret/1', principal())).toMatchObject({
      hidden: false,
      missingScopes: ['read', 'secret'],
    })
  })

  it.each([
    ['note://boss/1', { roles: ['boss'] }],
    ['note://t1/1', { tenant: 'T1' }],
    ['note://p/1', { permissions: ['p'] }],
  ])('is hidden unless the caller has what it takes: %s', (uri, held) => {
    const scopes = new Set(['read'])
    expect(policy.decide(uri, principal({ scopes }))).toMatchObject({ hidden: true })
    expect(policy.decide(uri, undefined)).toMatchObject({ hidden: true })
    expect(policy.decide(uri, principal({ scopes, ...held })).allowed).toBe(true)
  })
})

describe('a template', () => {
  const policy = policyOf({
    allow: ['note://*', 'file:///open/*'],
    deny: ['note://secret/*', 'note://*/private'],
    roles: { 'note://boss/*': ['boss'] },
  })

  it.each([
    ['note://{folder}/{id}', true],
    ['note://public/{id}', true],
    ['note://secret/{id}', false],
    ['NOTE://secret/{id}', false],
    ['note://x/../secret/{id}', false],
    ['note://%73ecret/{id}', false],
    ['note://boss/{id}', false],
    ['note://{folder}/private', false],
    ['file:///{+path}', true],
    ['file:///etc/{name}', false],
    ['file:///open/../etc/{name}', false],
    ['{+uri}', true],
    ['urn:{x}', false],
    ['note://secret/1', false],
    ['note://secret/{', false],
  ])('%s is there while one of its URIs may be: %s', (template, isThere) => {
    expect(policy.decideTemplate(template, principal()).allowed).toBe(isThere)
  })

  it('is decided with the values that are known', () => {
    const of = (known: object) =>
      policy.decideTemplate('note://{folder}/{id}', principal(), { ...known }).allowed
    expect(of({ folder: 'secret' })).toBe(false)
    expect(of({ folder: 'public' })).toBe(true)
    expect(of({ folder: 'public', id: 'private' })).toBe(false)
  })

  it.each([
    ['note://{folder}/{id}', {}, false],
    ['note://{folder}/{id}', { folder: 'public' }, false],
    ['note://{folder}/{id}', { folder: 'public', id: '1' }, true],
    ['note://{folder}/{id}', { folder: 'secret', id: '1' }, false],
    ['note://public/x{?id}', {}, false],
    ['note://public/x{?id}', { id: '1' }, true],
    ['file:///open/{+path}', { path: 'a/b' }, true],
    ['file:///open/{+path}', { path: '../etc' }, false],
    ['file:///open/{path}', { path: '../etc' }, false],
  ])('%s with %j leads to listed resources alone: %s', (template, known, isWhole) => {
    expect(policy.isWhollyListed(template, principal(), known)).toBe(isWhole)
  })
})

describe('two globs', () => {
  const glob = fc
    .array(fc.constantFrom('a', 'b', '*'), { maxLength: 5 })
    .map((signs) => signs.join(''))

  it('meet exactly where some text fits both', () => {
    const texts = ['']
    for (let at = 0; (texts[at]?.length ?? 9) < 8; at++)
      texts.push(`${texts[at]}a`, `${texts[at]}b`)
    fc.assert(
      fc.property(glob, glob, (one, other) => {
        const [fitsOne, fitsOther] = [createGlobMatcher([one]), createGlobMatcher([other])]
        const isMet = texts.some((text) => fitsOne(text) && fitsOther(text))
        expect(globsMeet(one, other)).toBe(isMet)
      }),
    )
  })
})
