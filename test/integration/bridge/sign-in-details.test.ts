import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createHome, textOf } from '../../helpers/bridge.js'
import { useBridgeUser } from '../../helpers/bridge-user.js'
import { runCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { tokenOf } from '../../helpers/targets/protected.js'

describe('a sign-in of the bridge', () => {
  const user = useBridgeUser()

  const requestsTo = (end: string) =>
    user.identity.requests.filter(({ path }) => path.endsWith(end))

  it('[bridge-binds-first] binds its port before the browser is started, whose first visit is answered', async () => {
    // this browser is back at the callback within milliseconds, and comes only once
    for (let round = 0; round < 3; round++) {
      const bridge = await user.openBridge([], { env: { MCP_DESCOPE_HOME: createHome() } })
      expect(textOf(await bridge.call('echo', { round }))).toContain(`"round":${round}`)
      await bridge.end()
    }
    expect(user.identity.counters).toMatchObject({ authorizations: 3, codes: 3 })
  })

  it('[bridge-callback-port] [bridge-candidate-ports] comes back to the port that is given, and registers just that one', async () => {
    const port = await freePort()
    const uri = `http://127.0.0.1:${port}/callback`
    const bridge = await user.openBridge([], { env: { MCP_DESCOPE_CALLBACK_PORT: String(port) } })
    await bridge.call('echo')
    expect(requestsTo('/authorize')[0]?.query['redirect_uri']).toBe(uri)
    expect(requestsTo('/register')[0]?.body).toMatchObject({ redirect_uris: [uri] })
    await bridge.end()
  })

  it('[bridge-paste] goes on with the URL that `login --paste` hands over', async () => {
    const bridge = await user.openBridge(['--login', 'paste', '--login-wait', '1'])
    const early = await bridge.call('echo')
    expect(textOf(early)).toContain('mcp-descope-proxy login --paste "<url>"')
    const [shown] = await bridge.waitFor('stderr', /http:\S+authorize\?\S+/)
    const redirect = await fetch(shown, { redirect: 'manual' })
    const env = { MCP_DESCOPE_HOME: user.home }
    const url = redirect.headers.get('location') ?? ''
    const forged = url.replace(/state=[^&]+/, 'state=another')
    expect((await runCli(['login', user.target.url, '--paste', forged], { env })).status).toBe(2)
    const call = bridge.call('echo', { n: 1 }).catch(() => undefined)
    expect((await runCli(['login', user.target.url, '--paste', url], { env })).status).toBe(0)
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    await call
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
    await bridge.end()
  })

  it('[bridge-locks] keeps its locks apart from its tokens, and no secret in them', async () => {
    const bridge = await user.openBridge()
    await bridge.call('echo')
    user.target.refused.add(tokenOf(user.target.of('tools/call').at(-1) as never) ?? '')
    await bridge.call('echo')
    expect(user.identity.counters.refreshes).toBe(1)
    const files = readdirSync(join(user.home, 'locks'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    expect(files.length).toBeGreaterThan(0)
    for (const secret of user.identity.issuedSecrets()) expect(files.join()).not.toContain(secret)
    await bridge.end()
  })
})
