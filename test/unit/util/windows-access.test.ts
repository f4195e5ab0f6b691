import { describe, expect, it } from 'vitest'
import { restrictToOwner } from '../../../src/util/windows-access.js'

describe('restrictToOwner', () => {
  const commandsOf = async (isGranted: boolean) => {
    const commands: string[][] = []
    await restrictToOwner('C:\\Users\\dana é\\x', 'dana', async (command, args) => {
      commands.push([command, ...args])
      return isGranted
    })
    return commands
  }
  const GRANT = ['icacls', 'C:\\Users\\dana é\\x', '/grant:r', 'dana:(OI)(CI)F', '/q']

  it('AC11.1 gives a folder to its owner, then takes it from everybody else', async () => {
    expect(await commandsOf(true)).toEqual([
      GRANT,
      ['icacls', 'C:\\Users\\dana é\\x', '/inheritance:r', '/q'],
    ])
  })

  it('AC11.1 takes it from nobody when it could not be given', async () => {
    expect(await commandsOf(false)).toEqual([GRANT])
  })

  it('AC11.1 goes on where there is no such program', async () => {
    await expect(restrictToOwner('/nowhere', 'dana')).resolves.toBeUndefined()
  })
})
