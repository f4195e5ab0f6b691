import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TargetInput } from '../../../src/config/types.js'
import { createHome, startBridge } from '../../helpers/bridge.js'
import { BEHAVIOURS, SPOKEN } from '../../helpers/hostile/behaviours.js'
import { callBridge } from '../../helpers/hostile/caller.js'
import {
  HOSTILE,
  type Neighbours,
  startNeighbours,
  useNeighbours,
} from '../../helpers/hostile/neighbours.js'
import { provoke, withHostile } from '../../helpers/hostile/provoke.js'

/** Silent targets are waited for, again and again. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let neighbours: Neighbours
let calm: unknown
beforeAll(async () => {
  neighbours = await startNeighbours()
  calm = await withHostile(() => undefined, neighbours, throughBridge)
})
afterAll(async () => {
  for (const target of Object.values(neighbours)) await target.close()
})

/** One host uses them through the bridge. */
async function throughBridge(hostile: TargetInput) {
  const home = createHome()
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const { lib_git: git, notes } = neighbours
  const targets = { [HOSTILE]: hostile, lib_git: { url: git.url }, notes: { url: notes.url } }
  writeFileSync(
    join(home, 'config.json'),
    JSON.stringify({ targets, timeouts: { list: 0.8, answer: 4 } }),
  )
  const bridge = startBridge(undefined, { env: { MCP_DESCOPE_HOME: home } })
  try {
    return await useNeighbours(callBridge(bridge), neighbours, provoke)
  } finally {
    bridge.child.kill('SIGKILL')
  }
}

describe('a host of the bridge notices nothing of a target beside others that answers with', () => {
  it('nothing odd, as far as the rest goes', () => {
    expect(calm).toMatchObject({ strays: [] })
  })

  it.each(Object.entries(BEHAVIOURS).filter(([title]) => SPOKEN.includes(title)))(
    '%s',
    async (_title, behave) => {
      expect(await withHostile(behave, neighbours, throughBridge)).toEqual(calm)
    },
  )
})
