import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTokenStore } from '../../../src/auth/tokens/store/file-store.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createSystem } from '../../../src/util/system.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ProtectedTarget,
  startProtectedTarget,
  tokenOf,
} from '../../helpers/targets/protected.js'

describe('several bridges of one user whose token is refused', () => {
  let identity: Identity
  let target: ProtectedTarget
  let env: Record<string, string>
  let home: string
  const browser = createBrowser(true)
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    target = await startProtectedTarget(identity.issuer, { sessions: 'required' })
    home = createHome()
    env = { MCP_DESCOPE_HOME: home, BROWSER: browser.path }
    const login = await runCli(['login', target.url], { env })
    expect(login).toMatchObject({ status: 0 })
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await target.close()
    await identity.close()
  })

  const start = async () => {
    const bridge = startBridge(target.url, { env })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  const stored = async () => {
    const system = createSystem(process, clock)
    const deps = { clock, system, platform: 'linux', folder: home, choice: 'file' } as const
    const [record] = await createTokenStore(deps).list()
    return record
  }
  const calls = () => target.of('tools/call').map(tokenOf)

  it('[bridge-one-refresh] 5 bridges with 5 calls each that all get 401 at once refresh once and answer all', async () => {
    const tabs = browser.urls().length
    const bridges = await Promise.all(Array.from({ length: 5 }, start))
    const old = (await stored())?.accessToken ?? ''
    const held: (() => void)[] = []
    target.guard = ({ rpc }, token, refuse) => {
      if (rpc !== 'tools/call' || token !== old) return false
      held.push(refuse)
      // nobody is refused before all have asked
      if (held.length === 25) for (const refuseOne of held) refuseOne()
      return true
    }
    const asked = bridges.flatMap((bridge, number) =>
      Array.from({ length: 5 }, (_, n) => bridge.call('echo', { n: number * 5 + n })),
    )
    const answers = await Promise.all(asked)
    expect(answers.map((answer) => JSON.parse(textOf(answer)).arguments.n)).toEqual(
      Array.from({ length: 25 }, (_, n) => n),
    )
    expect(identity.counters).toMatchObject({ refreshes: 1, reuses: 0, authorizations: 1 })
    expect(browser.urls()).toHaveLength(tabs)
    expect(new Set(calls()).size).toBe(2)
    expect(calls()).toHaveLength(50)
    await Promise.all(bridges.map((bridge) => bridge.end()))
  }, 60_000)

  it('[bridge-one-refresh] a token that was taken and is refused soon after is refreshed once more, then asked for', async () => {
    const tabs = browser.urls().length
    const bridge = await start()
    const answers = async (n: number) => {
      target.refused.add((await stored())?.accessToken ?? '')
      expect(textOf(await bridge.call('echo', { n }))).toContain(`"n":${n}`)
    }
    await answers(1)
    await answers(2)
    expect(identity.counters).toMatchObject({ refreshes: 2, reuses: 0, authorizations: 1 })
    expect(browser.urls()).toHaveLength(tabs)
    await answers(3)
    expect(identity.counters).toMatchObject({ refreshes: 2, reuses: 0, authorizations: 2 })
    expect(browser.urls()).toHaveLength(tabs + 1)
    await bridge.end()
  })

  it('[bridge-rereads-store] takes the token that another process got, and refreshes nothing', async () => {
    const bridge = await start()
    const old = (await stored())?.accessToken ?? ''
    const again = await runCli(['login', target.url, '--force'], { env })
    expect(again.status).toBe(0)
    target.refused.add(old)
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(calls()).toEqual([old, (await stored())?.accessToken])
    expect(identity.counters.refreshes).toBe(0)
    await bridge.end()
  })

  it('[bridge-rereads-store] a late refusal of an old token says nothing about the new one', async () => {
    const bridge = await start()
    const old = (await stored())?.accessToken ?? ''
    let refuseLate = () => {}
    target.guard = (request, token, refuse) => {
      if (request.rpc !== 'tools/call' || token !== old) return false
      if (request.body.includes('"late"')) refuseLate = refuse
      else refuse()
      return true
    }
    const late = bridge.call('echo', { text: 'late' })
    await target.until(({ rpc }) => rpc === 'tools/call')
    expect(textOf(await bridge.call('echo', { text: 'first' }))).toContain('first')
    refuseLate()
    expect(textOf(await late)).toContain('late')
    expect(identity.counters).toMatchObject({ refreshes: 1, reuses: 0 })
    await bridge.end()
  })

  it('[bridge-stores-before-use] stores the new pair before the first request that carries it', async () => {
    const bridge = await start()
    const old = (await stored())?.accessToken ?? ''
    const atFirstUse: (string | undefined)[] = []
    target.guard = async ({ rpc }, token) => {
      if (rpc === 'tools/call' && token !== old)
        atFirstUse.push(token, (await stored())?.accessToken)
      return false
    }
    target.refused.add(old)
    await bridge.call('echo')
    expect(atFirstUse[0]).toBeDefined()
    expect(atFirstUse[1]).toBe(atFirstUse[0])
    await bridge.end()
  })

  it('[bridge-stores-before-use] [bridge-leaves-nothing] a bridge that is killed while it refreshes leaves a whole pair and no lock', async () => {
    for (let round = 0; round < 6; round++) {
      // whoever loses what the server gave has to sign in, and no round is to use up another's tabs
      rmSync(join(home, 'sign-in'), { recursive: true, force: true })
      const before = await stored()
      target.refused.add(before?.accessToken ?? '')
      const bridge = startBridge(target.url, { env })
      started.push(bridge)
      const refreshes = identity.counters.refreshes
      bridge.send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } })
      await eventually(() => expect(identity.counters.refreshes).toBeGreaterThan(refreshes))
      await new Promise((resolve) => setTimeout(resolve, round * 3))
      bridge.child.kill('SIGKILL')
      await bridge.ended
      const after = await stored()
      // what the server gave, as it gave it: the old pair or the new one
      expect(after?.accessToken === before?.accessToken).toBe(
        after?.refreshToken === before?.refreshToken,
      )
      const next = startBridge(target.url, { env })
      started.push(next)
      const began = Date.now()
      await next.handshake()
      expect(textOf(await next.call('echo', { round }))).toContain(`"round":${round}`)
      expect(Date.now() - began).toBeLessThan(5_000)
      await next.end()
    }
  }, 60_000)
})
