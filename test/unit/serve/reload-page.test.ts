import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { SETTINGS } from '../../../src/config/settings.js'
import { changedLists, FIXED_SETTINGS } from '../../../src/serve/reload/changes.js'

const PAGE = fileURLToPath(new URL('../../../docs/reload.md', import.meta.url))

it('docs/reload.md names exactly the settings that a running server keeps', () => {
  const page = readFileSync(PAGE, 'utf8')
  const [, list = ''] = /<!-- fixed -->\n([\s\S]*?)\n<!-- \/fixed -->/.exec(page) ?? []
  expect([...list.matchAll(/`([^`]+)`/g)].map(([, key]) => key)).toEqual(FIXED_SETTINGS)
  const keys = SETTINGS.map(({ key }) => key)
  for (const key of FIXED_SETTINGS) expect(keys).toContain(key)
  const named = [...page.matchAll(/`((?:server|session|identity|timeouts|descope)\.\w+)[`:]/g)]
  for (const [, key] of named) expect(keys).toContain(key)
})

it('clients are told of the lists that a changed setting concerns, and of no others', () => {
  const lists = changedLists(['targets.a.tools.deny', 'targets.b (added)', 'targets.c.methods'])
  expect(lists('a')).toEqual(['tools'])
  expect(lists('b')).toEqual(['tools', 'prompts', 'resources'])
  expect(lists('c')).toEqual([])
})
