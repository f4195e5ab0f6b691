import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { createClock } from '../../../src/util/async.js'
import { acquireLock } from '../../../src/util/lock.js'
import { createSystem } from '../../../src/util/system.js'
import { buildProcess } from '../../helpers/processes/build.js'
import { spawnProcess } from '../../helpers/processes/spawn.js'
import { createManualClock } from '../../helpers/runtime.js'
import { privateFolder } from '../../helpers/sign-in.js'

const clock = createClock()

const deps = (folder: string) => ({ clock, system: createSystem(process, clock), folder })

describe('the lock between processes', () => {
  let script = ''
  beforeAll(async () => {
    script = await buildProcess('lock-holder')
  }, 60_000)

  it('lets one process in at a time', async () => {
    const folder = privateFolder()
    const log = join(folder, 'log')
    const rounds = 15
    const processes = Array.from({ length: 4 }, () => spawnProcess(script, { folder, log, rounds }))
    await Promise.all(processes.map((process) => process.next()))
    const lines = readFileSync(log, 'utf8').trim().split('\n')
    expect(lines).toHaveLength(4 * rounds * 2)
    for (let index = 0; index < lines.length; index += 2) {
      expect(lines[index + 1]).toBe(lines[index]?.replace('+', '-'))
    }
  })

  it('[bridge-leaves-nothing] passes at once to the next process when the holder is killed', async () => {
    const folder = privateFolder()
    const holder = spawnProcess(script, { folder, log: join(folder, 'log'), rounds: 1, hold: true })
    expect(await holder.next()).toBe('holding')
    expect(await acquireLock(deps(folder), 'shared', { waitMs: 0 })).toBeUndefined()
    await holder.kill()
    const lease = await acquireLock(deps(folder), 'shared', { waitMs: 0 })
    expect(await lease?.held()).toBe(true)
  })

  it('excludes a second caller of the same process', async () => {
    const folder = privateFolder()
    const first = await acquireLock(deps(folder), 'shared', { waitMs: 0 })
    expect(await acquireLock(deps(folder), 'shared', { waitMs: 0 })).toBeUndefined()
    await first?.release()
    expect(await acquireLock(deps(folder), 'shared', { waitMs: 0 })).toBeDefined()
  })

  it('waits for another caller to release it', async () => {
    const folder = privateFolder()
    const first = await acquireLock(deps(folder), 'shared', { waitMs: 0 })
    const second = acquireLock(deps(folder), 'shared', { waitMs: 5_000 })
    await first?.release()
    expect(await second).toBeDefined()
  })

  it('is not taken for another process that got the same id', async () => {
    const folder = privateFolder()
    const alive = createSystem(process, clock)
    const gone = { ...deps(folder), system: { ...alive, pid: 4_000_000 } }
    await acquireLock(gone, 'shared', { waitMs: 0 })
    const reused = { ...deps(folder), system: { ...alive, isAlive: () => true } }
    // There is no such process, so its start cannot be read and only the lease decides.
    expect(await acquireLock(reused, 'shared', { waitMs: 0 })).toBeUndefined()
    expect(await acquireLock(deps(folder), 'shared', { waitMs: 0 })).toBeDefined()
  })

  it('is taken over from a living holder only when its lease expired', async () => {
    const folder = privateFolder()
    const manual = createManualClock()
    const system = createSystem(process, clock)
    const first = await acquireLock(
      { clock: { ...manual, after: () => () => {} }, system, folder },
      'shared',
      { waitMs: 0 },
    )
    await manual.advance(29_000)
    const later = { clock: manual, system, folder }
    expect(await acquireLock(later, 'shared', { waitMs: 0 })).toBeUndefined()
    await manual.advance(2_000)
    const second = await acquireLock(later, 'shared', { waitMs: 0 })
    expect(await second?.held()).toBe(true)
    expect(await first?.held()).toBe(false)
    await first?.release()
    expect(await second?.held()).toBe(true)
  })
})
