import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { createTokenStore } from '../../../src/auth/tokens/store/file-store.js'
import { createSystem } from '../../../src/util/system.js'
import { textOf } from '../../helpers/bridge.js'
import { useBridgeUser } from '../../helpers/bridge-user.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { tokenOf } from '../../helpers/targets/protected.js'

describe('several bridges of one user whose token is refused', () => {
  const user = useBridgeUser({ sessions: 'required' })
  beforeEach(async () => {
    expect(await user.run('login')).toMatchObject({ status: 0 })
  })

  const stored = async () => {
    const system = createSystem(process, clock)
    const deps = { clock, system, platform: 'linux', folder: user.home, choice: 'file' } as const
    const [record] = await createTokenStore(deps).list()
    return record
  }
  const calls = () => user.target.of('tools/call').map(tokenOf)

  it('[bridge-one-refresh] 5 bridges with 5 calls each that all get 401 at once refresh once and answer all', async () => {
    const tabs = user.browser.urls().length
    const bridges = await Promise.all(Array.from({ length: 5 }, () => user.openBridge()))
    const old = (await stored())?.accessToken ?? ''
    const held: (() => void)[] = []
    user.target.guard = ({ rpc }, token, refuse) => {
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
    expect(user.identity.counters).toMatchObject({ refreshes: 1, reuses: 0, authorizations: 1 })
    expect(user.browser.urls()).toHaveLength(tabs)
    expect(new Set(calls()).size).toBe(2)
    expect(calls()).toHaveLength(50)
    await Promise.all(bridges.map((bridge) => bridge.end()))
  }, 60_000)

  it('[bridge-one-refresh] a token that was taken and is refused soon after is refreshed once more, then asked for', async () => {
    const tabs = user.browser.urls().length
    const bridge = await user.openBridge()
    const answers = async (n: number) => {
      user.target.refused.add((await stored())?.accessToken ?? '')
      expect(textOf(await bridge.call('echo', { n }))).toContain(`"n":${n}`)
    }
    await answers(1)
    await answers(2)
    expect(user.identity.counters).toMatchObject({ refreshes: 2, reuses: 0, authorizations: 1 })
    expect(user.browser.urls()).toHaveLength(tabs)
    await answers(3)
    expect(user.identity.counters).toMatchObject({ refreshes: 2, reuses: 0, authorizations: 2 })
    expect(user.browser.urls()).toHaveLength(tabs + 1)
    await bridge.end()
  })

  it('[bridge-rereads-store] takes the token that another process got, and refreshes nothing', async () => {
    const bridge = await user.openBridge()
    const old = (await stored())?.accessToken ?? ''
    const again = await user.run('login', '--force')
    expect(again.status).toBe(0)
    user.target.refused.add(old)
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(calls()).toEqual([old, (await stored())?.accessToken])
    expect(user.identity.counters.refreshes).toBe(0)
    await bridge.end()
  })

  it('[bridge-rereads-store] a late refusal of an old token says nothing about the new one', async () => {
    const bridge = await user.openBridge()
    const old = (await stored())?.accessToken ?? ''
    let refuseLate = () => {}
    user.target.guard = (request, token, refuse) => {
      if (request.rpc !== 'tools/call' || token !== old) return false
      if (request.body.includes('"late"')) refuseLate = refuse
      else refuse()
      return true
    }
    const late = bridge.call('echo', { text: 'late' })
    await user.target.until(({ rpc }) => rpc === 'tools/call')
    expect(textOf(await bridge.call('echo', { text: 'first' }))).toContain('first')
    refuseLate()
    expect(textOf(await late)).toContain('late')
    expect(user.identity.counters).toMatchObject({ refreshes: 1, reuses: 0 })
    await bridge.end()
  })

  it('[bridge-stores-before-use] stores the new pair before the first request that carries it', async () => {
    const bridge = await user.openBridge()
    const old = (await stored())?.accessToken ?? ''
    const atFirstUse: (string | undefined)[] = []
    user.target.guard = async ({ rpc }, token) => {
      if (rpc === 'tools/call' && token !== old)
        atFirstUse.push(token, (await stored())?.accessToken)
      return false
    }
    user.target.refused.add(old)
    await bridge.call('echo')
    expect(atFirstUse[0]).toBeDefined()
    expect(atFirstUse[1]).toBe(atFirstUse[0])
    await bridge.end()
  })

  it('[bridge-stores-before-use] [bridge-leaves-nothing] a bridge that is killed while it refreshes leaves a whole pair and no lock', async () => {
    for (let round = 0; round < 6; round++) {
      // whoever loses what the server gave has to sign in, and no round is to use up another's tabs
      rmSync(join(user.home, 'sign-in'), { recursive: true, force: true })
      const before = await stored()
      user.target.refused.add(before?.accessToken ?? '')
      const bridge = user.startBridge()
      const refreshes = user.identity.counters.refreshes
      bridge.send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-06-18' } })
      await eventually(() => expect(user.identity.counters.refreshes).toBeGreaterThan(refreshes))
      await new Promise((resolve) => setTimeout(resolve, round * 3))
      bridge.child.kill('SIGKILL')
      await bridge.ended
      const after = await stored()
      // what the server gave, as it gave it: the old pair or the new one
      expect(after?.accessToken === before?.accessToken).toBe(
        after?.refreshToken === before?.refreshToken,
      )
      const next = user.startBridge()
      // a lock that was left would hold this one up for longer than a call may take
      await next.handshake()
      expect(textOf(await next.call('echo', { round }))).toContain(`"round":${round}`)
      await next.end()
    }
  }, 60_000)
})
