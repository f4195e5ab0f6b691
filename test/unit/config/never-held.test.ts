import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../../src/config/load.js'

const read = (target: object) =>
  resolveConfig(
    { targets: { docs: { url: 'https://docs.example/mcp', ...target } } },
    { for: 'report' },
  )

describe('an entry of "access" that no token can meet', () => {
  it.each([
    ['roles', '*'],
    ['tenants', '**'],
    ['permissions', ' admin'],
    ['roles', 'admin\n'],
    ['scopes', 'a b'],
  ])('is warned of: %s %j', (member, entry) => {
    const { warnings } = read({ access: { [member]: ['good', entry] } })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(
      `targets.docs.access.${member} asks for with ${JSON.stringify(entry)}`,
    )
  })

  it.each([
    ['roles', 'Tenant Admin'],
    ['permissions', 'a.*'],
    ['scopes', 'docs:*'],
  ])('is not taken for what a token may hold: %s %j', (member, entry) => {
    expect(read({ access: { [member]: [entry] } }).warnings).toEqual([])
  })
})

it.each(['constructor', 'prototype', '__proto__'])(
  'a target is not promised the claim %s, which is never told',
  (name) => {
    const identity = { method: 'claims', claims: ['sub', name] }
    expect(() => read({ identity })).toThrow(`claims names "${name}", which is never told`)
  },
)
