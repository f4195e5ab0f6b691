import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMemory } from '../../../src/bridge/offline.js'
import { privateFolder } from '../../helpers/sign-in.js'

describe('createMemory', () => {
  it('finds what another process kept, for the same identity only', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one')
    memory.keep('tools', { tools: [{ name: 'a' }] })
    await memory.save()
    expect(await createMemory(folder, 'one').load()).toEqual({ tools: { tools: [{ name: 'a' }] } })
    expect(await createMemory(folder, 'two').load()).toEqual({})
    expect(statSync(join(folder, 'bridge', 'one.json')).mode & 0o777).toBe(0o600)
  })

  it('writes nothing when nothing is new, and survives a folder that cannot be written', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one')
    await memory.save()
    expect(readdirSync(folder)).toEqual([])
    const nowhere = createMemory('/dev/null/x', 'one')
    nowhere.keep('tools', {})
    await nowhere.save()
    expect(await nowhere.load()).toEqual({ tools: {} })
  })
})
