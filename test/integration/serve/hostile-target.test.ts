import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TargetInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { BEHAVIOURS, PROGRAM, PROGRAMS } from '../../helpers/hostile/behaviours.js'
import { callServe } from '../../helpers/hostile/caller.js'
import {
  HOSTILE,
  type Neighbours,
  startNeighbours,
  useNeighbours,
} from '../../helpers/hostile/neighbours.js'
import { provoke, withHostile } from '../../helpers/hostile/provoke.js'
import { clock, startStack } from '../../helpers/stack.js'

/** Silent targets are waited for, again and again. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let identity: Identity
let neighbours: Neighbours
let calm: unknown
beforeAll(async () => {
  identity = await startIdentity({ clock })
  neighbours = await startNeighbours()
  calm = await withHostile(() => undefined, neighbours, throughServe)
})
afterAll(async () => {
  for (const target of Object.values(neighbours)) await target.close()
  await identity.close()
})

/** Two callers at once use the neighbours of a target through `serve`. */
async function throughServe(hostile: TargetInput) {
  const stack = await startStack({
    identity,
    config: { timeouts: { list: 0.8, answer: 4, start: 2, heartbeat: 0.5 } },
    targets: {
      [HOSTILE]: hostile,
      lib_git: neighbours.lib_git.url,
      notes: neighbours.notes.url,
    },
  })
  try {
    return await Promise.all(
      ['alice', 'bob'].map(async (sub) =>
        useNeighbours(await callServe(stack, sub), neighbours, provoke),
      ),
    )
  } finally {
    await stack.close()
  }
}

const program = (script: string): TargetInput => ({
  command: process.execPath,
  args: ['-e', `${PROGRAM};${script}`],
})

describe('callers of two targets notice nothing of a third one that answers with', () => {
  it('nothing odd, as far as the rest goes', () => {
    expect(calm).toMatchObject([{ strays: [] }, { strays: [] }])
  })

  it.each(Object.entries(BEHAVIOURS))('%s', async (_title, behave) => {
    expect(await withHostile(behave, neighbours, throughServe)).toEqual(calm)
  })
})

describe('callers of two targets notice nothing of a program beside them that', () => {
  it.each(Object.entries(PROGRAMS))('%s', async (_title, script) => {
    expect(await throughServe(program(script))).toEqual(calm)
  })
})
