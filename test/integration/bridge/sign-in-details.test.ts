import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { clock } from '../../helpers/stack.js'
import {
  type ProtectedTarget,
  startProtectedTarget,
  tokenOf,
} from '../../helpers/targets/protected.js'

describe('a sign-in of the bridge', () => {
  let identity: Identity
  let target: ProtectedTarget
  let home: string
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    target = await startProtectedTarget(identity.issuer)
    home = createHome()
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await target.close()
    await identity.close()
  })

  const start = async (args: string[] = [], more: Record<string, string> = {}) => {
    const env = { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path, ...more }
    const bridge = startBridge(target.url, { args, env })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  const requestsTo = (end: string) => identity.requests.filter(({ path }) => path.endsWith(end))

  it('[bridge-binds-first] binds its port before the browser is started, whose first visit is answered', async () => {
    // this browser is back at the callback within milliseconds, and comes only once
    for (let round = 0; round < 3; round++) {
      home = createHome()
      const bridge = await start()
      expect(textOf(await bridge.call('echo', { round }))).toContain(`"round":${round}`)
      await bridge.end()
    }
    expect(identity.counters).toMatchObject({ authorizations: 3, codes: 3 })
  })

  it('[bridge-callback-port] [bridge-candidate-ports] comes back to the port that is given, and registers just that one', async () => {
    const port = await freePort()
    const uri = `http://127.0.0.1:${port}/callback`
    const bridge = await start([], { MCP_DESCOPE_CALLBACK_PORT: String(port) })
    await bridge.call('echo')
    expect(requestsTo('/authorize')[0]?.query['redirect_uri']).toBe(uri)
    expect(requestsTo('/register')[0]?.body).toMatchObject({ redirect_uris: [uri] })
    await bridge.end()
  })

  it('[bridge-paste] goes on with the URL that `login --paste` hands over', async () => {
    const bridge = await start(['--login', 'paste', '--login-wait', '1'])
    const early = await bridge.call('echo')
    expect(textOf(early)).toContain('mcp-descope-proxy login --paste "<url>"')
    const [shown] = await bridge.waitFor('stderr', /http:\S+authorize\?\S+/)
    const redirect = await fetch(shown, { redirect: 'manual' })
    const env = { MCP_DESCOPE_HOME: home }
    const url = redirect.headers.get('location') ?? ''
    const forged = url.replace(/state=[^&]+/, 'state=another')
    expect((await runCli(['login', target.url, '--paste', forged], { env })).status).toBe(2)
    const call = bridge.call('echo', { n: 1 }).catch(() => undefined)
    expect((await runCli(['login', target.url, '--paste', url], { env })).status).toBe(0)
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    await call
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
    await bridge.end()
  })

  it('[bridge-locks] keeps its locks apart from its tokens, and no secret in them', async () => {
    const bridge = await start()
    await bridge.call('echo')
    target.refused.add(tokenOf(target.of('tools/call').at(-1) as never) ?? '')
    await bridge.call('echo')
    expect(identity.counters.refreshes).toBe(1)
    const files = readdirSync(join(home, 'locks'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    expect(files.length).toBeGreaterThan(0)
    for (const secret of identity.issuedSecrets()) expect(files.join()).not.toContain(secret)
    await bridge.end()
  })
})
