import { afterAll, describe, expect, it } from 'vitest'
import { textOf } from '../../helpers/bridge.js'
import { startBridgeUser } from '../../helpers/bridge-user.js'
import { keepUntil } from '../../helpers/keep.js'
import { fasterTime, jumpingClock } from '../../helpers/process-time.js'
import { freePort } from '../../helpers/sign-in.js'
import { eventually } from '../../helpers/targets/eventually.js'
import type { ProtectedTarget } from '../../helpers/targets/protected.js'

const HOUR_MS = 3_600_000

const FACTOR = 20

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

const passing = (factor: number) => ({ nodeArguments: fasterTime(factor), timeoutMs: 60_000 })

// most of it is waiting, so all wait together
describe.concurrent('the bridge as time goes by', () => {
  const keep = keepUntil(afterAll)
  // a port each: there are fewer ports to choose from than sign-ins here
  const begin = async (visits = true) => {
    const env = { MCP_DESCOPE_CALLBACK_PORT: String(await freePort()) }
    return keep(await startBridgeUser({ sessions: 'required', visits, env }))
  }
  const getsOf = (target: ProtectedTarget) =>
    target.requests.filter(({ method, url }) => method === 'GET' && url === '/mcp')

  it('[bridge-sleep] [bridge-clock-jump] after a sleep the stream is opened anew once, and the token refreshed without a tab', async () => {
    const user = await begin()
    const { browser, identity, target } = user
    const bridge = await user.openSignedInBridge([], { nodeArguments: jumpingClock(HOUR_MS) })
    const before = getsOf(target).filter(({ headers }) => headers.authorization !== undefined)
    expect(before).toHaveLength(1)
    const [old] = before
    bridge.child.kill('SIGUSR2')
    await eventually(() => expect(old?.aborted).toBe(true))
    await eventually(() => expect(target.getStreams()).toHaveLength(1))
    const answers = await Promise.all([1, 2, 3].map((n) => bridge.call('echo', { n })))
    for (const answer of answers) expect(textOf(answer)).toContain('"n"')
    await pause(1_500)
    expect(getsOf(target)).toHaveLength(2)
    expect(identity.counters).toMatchObject({ refreshes: 1, reuses: 0, authorizations: 1 })
    expect(browser.urls()).toHaveLength(1)
    await bridge.end()
  }, 40_000)

  it('[bridge-silent-target] a target that went silent is found out by two pings, and reached anew', async () => {
    const user = await begin()
    const { target } = user
    const bridge = await user.openSignedInBridge([], passing(FACTOR))
    let silent = true
    target.guard = ({ rpc }) => silent && rpc === 'ping'
    const [old] = getsOf(target)
    await eventually(() => expect(old?.aborted).toBe(true))
    expect(target.of('ping').length).toBeGreaterThanOrEqual(2)
    silent = false
    await eventually(() => expect(target.getStreams()).toHaveLength(1))
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(target.of('initialize').filter(({ headers }) => headers.authorization)).toHaveLength(1)
    await bridge.end()
  }, 40_000)

  it('[bridge-silent-target] a stream on which nothing comes for minutes stays open', async () => {
    const user = await begin()
    const { target } = user
    const bridge = await user.openSignedInBridge([], passing(60))
    await pause((6 * 60_000) / 60)
    expect(getsOf(target)).toHaveLength(1)
    await target.notify('notifications/message', { level: 'info', data: 'late' })
    await bridge.until(({ method }) => method === 'notifications/message')
    await bridge.end()
  }, 40_000)

  it('[bridge-late-sign-in] [bridge-shows-sign-in] a sign-in that takes 180 s still succeeds, and a call does not wait so long', async () => {
    const user = await begin(false)
    const { browser } = user
    const bridge = await user.openBridge([], passing(FACTOR))
    const passed = pause(180_000 / FACTOR)
    expect((await bridge.call('echo'))['result']).toMatchObject({ isError: true })
    await passed
    await fetch(browser.urls()[0] as string)
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(browser.urls()).toHaveLength(1)
    await bridge.end()
  }, 40_000)

  it('[bridge-forgotten-client] after a minute without an answer it says what to do about an error in the browser', async () => {
    const user = await begin(false)
    const bridge = await user.openBridge(['--login-wait', '1'], passing(FACTOR))
    await bridge.call('echo')
    expect(bridge.stderr()).not.toContain('unknown client')
    await bridge.waitFor('stderr', /unknown client.*login --force/)
    await bridge.end()
  }, 40_000)

  it('[bridge-tab-budget] a sign-in that nobody finishes ends after 10 minutes, and opens no tab by itself', async () => {
    const user = await begin(false)
    const { browser } = user
    const bridge = await user.openBridge(['--login-wait', '1'], passing(60))
    await bridge.call('echo')
    await eventually(() => expect(browser.urls()).toHaveLength(1))
    await bridge.waitFor('stderr', /Nobody signed in in time/)
    await pause(2_000)
    expect(browser.urls()).toHaveLength(1)
    expect(await bridge.request('ping')).toMatchObject({ result: {} })
    expect(await bridge.end()).toMatchObject({ status: 0 })
  }, 40_000)
})
