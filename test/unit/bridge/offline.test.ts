import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createMemory, forgetSignIn } from '../../../src/bridge/offline.js'
import { privateFolder } from '../../helpers/sign-in.js'

const as = (who: string) => async () => ({ who, signIns: [`sign-in-of-${who}`] })
const TOOLS = { tools: [{ name: 'a' }] }

describe('createMemory', () => {
  it('finds what another process kept, for the same target and person only', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one', as('dana'))
    memory.keep('tools', TOOLS)
    await memory.save()
    expect(await createMemory(folder, 'one', as('dana')).load()).toEqual({ tools: TOOLS })
    expect(await createMemory(folder, 'one', as('eve')).load()).toEqual({})
    expect(await createMemory(folder, 'two', as('dana')).load()).toEqual({})
    expect(statSync(join(folder, 'bridge', 'one.json')).mode & 0o777).toBe(0o600)
  })

  it('forgets what somebody saw once somebody else or nobody is signed in, and writes none of it', async () => {
    const folder = privateFolder()
    let who = 'dana'
    const memory = createMemory(folder, 'one', () => as(who)())
    memory.keep('tools', TOOLS)
    expect(await memory.load()).toEqual({ tools: TOOLS })
    who = 'nobody'
    await memory.save()
    expect(readdirSync(folder)).toEqual([])
    expect(await memory.load()).toEqual({})
    expect(memory.known).toEqual({})
  })

  it('shows and keeps nothing while nobody can tell who is signed in', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one', () => Promise.reject(new Error('locked')))
    memory.keep('tools', TOOLS)
    await memory.save()
    expect(await memory.load()).toEqual({})
    expect(readdirSync(folder)).toEqual([])
  })

  it('writes nothing when nothing is new, and survives a folder that cannot be written', async () => {
    const folder = privateFolder()
    const memory = createMemory(folder, 'one', as('dana'))
    await memory.save()
    expect(readdirSync(folder)).toEqual([])
    const nowhere = createMemory('/dev/null/x', 'one', as('dana'))
    nowhere.keep('tools', {})
    await nowhere.save()
    expect(await nowhere.load()).toEqual({ tools: {} })
  })
})

describe('forgetSignIn', () => {
  it('deletes what was kept under that sign-in and what names none, and nothing else', async () => {
    const folder = privateFolder()
    for (const who of ['dana', 'eve']) {
      const memory = createMemory(folder, who, as(who))
      memory.keep('tools', TOOLS)
      await memory.save()
    }
    const former = join(folder, 'bridge', 'former.json')
    writeFileSync(former, JSON.stringify({ schema: 1, tools: TOOLS }), { mode: 0o600 })
    await forgetSignIn(folder, 'sign-in-of-dana')
    expect(readdirSync(join(folder, 'bridge'))).toEqual(['eve.json'])
    await forgetSignIn(join(folder, 'nowhere'), 'sign-in-of-eve')
  })
})
