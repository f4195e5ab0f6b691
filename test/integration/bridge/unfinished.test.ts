import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type BridgeProcess, CLIENT, textOf } from '../../helpers/bridge.js'
import { useBridgeUser } from '../../helpers/bridge-user.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { tokenOf } from '../../helpers/targets/protected.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

describe('a bridge in the middle of something', () => {
  const user = useBridgeUser({ sessions: 'required' })

  const endedBy = async (bridge: BridgeProcess, how: 'stdin' | NodeJS.Signals) => {
    if (how === 'stdin') bridge.child.stdin.end()
    else bridge.child.kill(how)
    const { status } = await bridge.ended
    expect(status).toBe(0)
  }
  const tokenRequests = () =>
    user.identity.requests.filter(({ path }) => path.endsWith('/token')).length

  it.each(['stdin', 'SIGTERM', 'SIGHUP'] as const)(
    '[bridge-ends] [bridge-leaves-nothing] ends by %s while a refresh is under way, and leaves no lock',
    async (how) => {
      const bridge = await user.openSignedInBridge()
      user.identity.set({ fail: [{ path: '/token', status: 503, times: 1_000 }] })
      const before = tokenRequests()
      user.target.refused.add(tokenOf(user.target.of('tools/call').at(-1) as never) ?? '')
      bridge.send({ id: 'open', method: 'tools/call', params: { name: 'echo' } })
      await eventually(() => expect(tokenRequests()).toBeGreaterThan(before))
      await endedBy(bridge, how)
      expect(bridge.messages().filter(({ id }) => id === 'open')).toHaveLength(1)

      user.identity.set({ fail: [] })
      const next = user.startBridge()
      // a lock that was left would hold this one up for longer than a call may take
      await next.handshake()
      expect(textOf(await next.call('echo', { n: 1 }))).toContain('"n":1')
      expect(user.identity.counters).toMatchObject({ refreshes: 1, reuses: 0, authorizations: 1 })
      await next.end()
    },
  )

  it.each(['stdin', 'SIGTERM'] as const)(
    '[bridge-ends] ends by %s while it connects anew',
    async (how) => {
      const bridge = await user.openSignedInBridge()
      await user.target.close()
      const call = bridge.call('echo').catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 1_200))
      await endedBy(bridge, how)
      await call
    },
  )

  it('[bridge-ends] ends on SIGBREAK, which Windows sends', async () => {
    const script = `process.on('SIGUSR2', () => process.emit('SIGBREAK', 'SIGBREAK'))`
    const nodeArguments = ['--import', `data:text/javascript,${encodeURIComponent(script)}`]
    const bridge = user.startBridge([], { nodeArguments })
    await bridge.handshake()
    await endedBy(bridge, 'SIGUSR2')
  })

  it('[bridge-says-connected] says "Connected" only after the target answered', async () => {
    const log = join(user.home, 'b.log')
    const first = await user.openSignedInBridge(['--log-level', 'debug', '--log-file', log])
    await first.end()
    let answer = () => {}
    user.target.guard = ({ rpc }) =>
      rpc !== 'initialize'
        ? false
        : new Promise((resolve) => {
            answer = () => resolve(false)
          })
    const count = () => readFileSync(log, 'utf8').split('Connected to').length - 1
    const before = count()
    user.target.clear()
    const bridge = user.startBridge(['--log-level', 'debug', '--log-file', log])
    const initialized = bridge.request('initialize', CLIENT)
    await user.target.until(({ rpc }) => rpc === 'initialize')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(count()).toBe(before)
    answer()
    await initialized
    expect(count()).toBe(before + 1)
    await bridge.end()
  })

  it.each([301, 302, 307, 308])(
    '[bridge-bound-tokens] a redirect (%d) takes no token anywhere',
    async (status) => {
      const elsewhere = await startRecordingTarget()
      const bridge = await user.openSignedInBridge()
      user.target.guard = () => false
      user.target.intercept((_request, response) => {
        response.writeHead(status, { location: elsewhere.url }).end()
        return true
      })
      expect(await bridge.call('echo')).toMatchObject({
        error: { data: { httpStatus: status } },
      })
      expect(elsewhere.requests).toEqual([])
      await bridge.end()
      await elsewhere.close()
    },
  )
})
