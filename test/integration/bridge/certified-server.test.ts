import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { type Oidc, startOidc } from '../../helpers/oidc-provider.js'
import {
  type ProtectedTarget,
  startProtectedTarget,
  tokenOf,
} from '../../helpers/targets/protected.js'

const claimsOf = (token: string | undefined) =>
  JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString())

describe('the bridge and a certified authorization server', () => {
  let oidc: Oidc
  let target: ProtectedTarget
  let env: Record<string, string>
  let browser: ReturnType<typeof createBrowser>
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    target = await startProtectedTarget('', { sessions: 'required' })
    oidc = await startOidc(target.url)
    target.issuer = oidc.issuer
    target.scopes = ['mcp:use']
    browser = createBrowser(false)
    env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await target.close()
    await oidc.close()
  })

  const start = async (args: string[] = [], more: Record<string, string> = {}) => {
    const bridge = startBridge(target.url, { args, env: { ...env, ...more } })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  /** Agrees to everything in the tab that the bridge opened. */
  const agree = async () => {
    await expect.poll(() => browser.urls().length, { timeout: 5_000 }).toBe(1)
    const page = await oidc.agree(browser.urls()[0] as string)
    expect(await page.text()).toContain('dana')
  }
  const lastToken = () => tokenOf(target.of('tools/call').at(-1) as never)

  it('[bridge-shows-sign-in] [bridge-keeps-registration] registers, signs in with PKCE and a resource, and calls', async () => {
    const bridge = await start()
    const call = bridge.call('echo', { n: 1 })
    await agree()
    expect(textOf(await call)).toContain('"n":1')
    expect(claimsOf(lastToken())).toMatchObject({ aud: target.url, sub: 'dana', scope: 'mcp:use' })
    expect(oidc.counts).toMatchObject({ registrations: 1, refreshes: 0 })
    await bridge.end()
  })

  it('[bridge-one-refresh] refreshes with rotation, again and again, one start after the other', async () => {
    const first = await start()
    const call = first.call('echo', { n: 0 })
    await agree()
    await call
    await first.end()
    for (let n = 1; n <= 3; n++) {
      const next = await start()
      target.refused.add(lastToken() ?? '')
      expect(textOf(await next.call('echo', { n }))).toContain(`"n":${n}`)
      await next.end()
    }
    expect(oidc.counts).toMatchObject({ registrations: 1, refreshes: 3 })
    expect(browser.urls()).toHaveLength(1)
  })

  it('[bridge-one-refresh] 5 bridges that are refused at once refresh once', async () => {
    const first = await start()
    const call = first.call('echo')
    await agree()
    await call
    const bridges = [first, ...(await Promise.all(Array.from({ length: 4 }, () => start())))]
    target.refused.add(lastToken() ?? '')
    const answers = await Promise.all(
      bridges.flatMap((bridge) => [1, 2, 3, 4, 5].map((n) => bridge.call('echo', { n }))),
    )
    for (const answer of answers) expect(textOf(answer)).toContain('"n"')
    expect(answers).toHaveLength(25)
    expect(oidc.counts.refreshes).toBe(1)
    expect(browser.urls()).toHaveLength(1)
    await Promise.all(bridges.map((bridge) => bridge.end()))
  }, 40_000)

  it('[bridge-sign-in-method] uses a code over SSH, and shows it to the model too', async () => {
    const ssh = { BROWSER: '', SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }
    const bridge = await start(['--login-wait', '1'], ssh)
    let url: string | undefined
    // a call that waited its second in vain comes back before the server has given a code
    for (let n = 0; n < 10 && url === undefined; n++) {
      const early = await bridge.call('echo')
      expect(early['result']).toMatchObject({ isError: true })
      url = /open (\S+) on any device, enter the code \S+, then/.exec(textOf(early))?.[1]
    }
    const changed = bridge.until(
      ({ method }) => method === 'notifications/tools/list_changed',
      15_000,
    )
    await Promise.all([oidc.enterCode(url ?? ''), changed])
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(claimsOf(lastToken()).aud).toBe(target.url)
    await bridge.end()
  }, 40_000)

  it('[bridge-refresh-trouble] asks for a new sign-in when the refresh token is refused, and only then', async () => {
    const bridge = await start()
    const call = bridge.call('echo', { n: 0 })
    await agree()
    await call
    const again = await start()
    // a grant that is gone
    await oidc.forgetGrants()
    target.refused.add(lastToken() ?? '')
    const late = again.call('echo', { n: 1 })
    await expect.poll(() => browser.urls().length, { timeout: 5_000 }).toBe(2)
    await oidc.agree(browser.urls()[1] as string)
    expect(textOf(await late)).toContain('"n":1')
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
    await Promise.all([bridge.end(), again.end()])
  })
})
