import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { TargetInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createHome, startBridge } from '../../helpers/bridge.js'
import {
  BEHAVIOURS,
  type Behaviour,
  PROGRAM,
  PROGRAMS,
  SPOKEN,
} from '../../helpers/hostile/behaviours.js'
import { type Caller, callBridge, callServe } from '../../helpers/hostile/caller.js'
import {
  HOSTILE,
  type Neighbours,
  startNeighbours,
  useNeighbours,
} from '../../helpers/hostile/neighbours.js'
import { clock, startStack } from '../../helpers/stack.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

/** Silent targets are waited for, again and again. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let identity: Identity
let neighbours: Neighbours
let calm: unknown
let calmBridge: unknown
beforeAll(async () => {
  identity = await startIdentity({ clock })
  neighbours = await startNeighbours()
  calm = await withHostile(() => undefined, throughServe)
  calmBridge = await withHostile(() => undefined, throughBridge)
})
afterAll(async () => {
  for (const target of Object.values(neighbours)) await target.close()
  await identity.close()
})

/** Asks the hostile target for something, and waits for none of it. */
function provoke(caller: Caller): void {
  const requests = [
    ['tools/call', { name: `${HOSTILE}_echo`, arguments: {}, _meta: { progressToken: 'mine' } }],
    ['prompts/get', { name: `${HOSTILE}_greet` }],
    ['tools/list', {}],
  ] as const
  for (const [method, params] of requests) caller.request(method, params).catch(() => undefined)
}

/** Starts a target that behaves like this. */
async function startHostile(behave: Behaviour) {
  const hostile = await startRecordingTarget({
    sessions: 'required',
    sse: { eventIds: true },
    listChanged: true,
    prompts: [{ name: 'greet' }],
  })
  behave(hostile, neighbours)
  return hostile
}

/** Two callers at once use the neighbours of a target through `serve`. */
async function throughServe(hostile: TargetInput) {
  const stack = await startStack({
    identity,
    config: { timeouts: { list: 0.8, answer: 4, heartbeat: 0.5 } },
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

async function withHostile<T>(behave: Behaviour, use: (hostile: TargetInput) => Promise<T>) {
  const hostile = await startHostile(behave)
  try {
    return await use({ url: hostile.url })
  } finally {
    await hostile.close()
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
    expect(await withHostile(behave, throughServe)).toEqual(calm)
  })
})

describe('callers of two targets notice nothing of a program beside them that', () => {
  it.each(Object.entries(PROGRAMS))('%s', async (_title, script) => {
    expect(await throughServe(program(script))).toEqual(calm)
  })
})

describe('a host of the bridge notices nothing of a target beside others that answers with', () => {
  it.each(Object.entries(BEHAVIOURS).filter(([title]) => SPOKEN.includes(title)))(
    '%s',
    async (_title, behave) => {
      expect(await withHostile(behave, throughBridge)).toEqual(calmBridge)
    },
  )
})
