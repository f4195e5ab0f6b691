import { describe, expect, it } from 'vitest'
import { restrictToOwner } from '../../../src/util/private-files.js'

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

  it('[bridge-store-private] gives a folder to its owner, then takes it from everybody else', async () => {
    expect(await commandsOf(true)).toEqual([
      GRANT,
      ['icacls', 'C:\\Users\\dana é\\x', '/inheritance:r', '/q'],
    ])
  })

  it('[bridge-store-private] takes it from nobody when it could not be given', async () => {
    expect(await commandsOf(false)).toEqual([GRANT])
  })

  it('[bridge-store-private] goes on where there is no such program', async () => {
    await expect(restrictToOwner('/nowhere', 'dana')).resolves.toBeUndefined()
  })
})
