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
import { clock } from '../../helpers/stack.js'
import {
  type ProtectedTarget,
  startProtectedTarget,
  tokenOf,
} from '../../helpers/targets/protected.js'

describe('the identities of the bridge', () => {
  let identity: Identity
  let target: ProtectedTarget
  let env: Record<string, string>
  const browser = createBrowser(true)
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    target = await startProtectedTarget(identity.issuer)
    env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await target.close()
    await identity.close()
  })

  const start = async (args: string[] = [], more: Record<string, string> = {}) => {
    const bridge = startBridge(target.url, { args, env: { ...env, ...more } })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  const subjectOf = (token: string | undefined) =>
    JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString()).sub
  const requestsTo = (end: string) => identity.requests.filter(({ path }) => path.endsWith(end))
  const lastCall = () => target.of('tools/call').at(-1) as never

  it('[bridge-accounts] --profile keeps several accounts of one server apart', async () => {
    for (const who of ['dana', 'eve']) {
      identity.set({ user: { id: who } })
      const login = await runCli(['login', target.url, '--profile', who], { env })
      expect(login.status).toBe(0)
    }
    const tabs = browser.urls().length
    const dana = await start(['--profile', 'dana'])
    const eve = await start([], { MCP_DESCOPE_PROFILE: 'eve' })
    await dana.call('echo')
    expect(subjectOf(tokenOf(lastCall()))).toBe('dana')
    await eve.call('echo')
    expect(subjectOf(tokenOf(lastCall()))).toBe('eve')
    expect(browser.urls()).toHaveLength(tabs)
    const status = await runCli(['status', '--json'], { env })
    const { identities } = JSON.parse(status.stdout) as { identities: { subject: string }[] }
    expect(identities.map(({ subject }) => subject).sort()).toEqual(['dana', 'eve'])
    await Promise.all([dana.end(), eve.end()])
  })

  it.each([
    { what: 'the flag', args: ['--no-resource'], more: {} },
    { what: 'the variable', args: [], more: { MCP_DESCOPE_NO_RESOURCE: '1' } },
  ])(
    '[bridge-no-resource] with $what no resource is named, at sign-in nor at a refresh',
    async ({ args, more }) => {
      const bridge = await start(args, more)
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      target.refused.add(tokenOf(lastCall()) ?? '')
      expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
      expect(identity.counters.refreshes).toBe(1)
      expect(requestsTo('/authorize')[0]?.query).not.toHaveProperty('resource')
      const sent = requestsTo('/token').map(({ body }) => body)
      expect(sent).toHaveLength(2)
      for (const body of sent) expect(body).not.toHaveProperty('resource')
      await bridge.end()
    },
  )

  it('[bridge-no-resource] login takes --no-resource too, for a server that refuses resources', async () => {
    identity.set({ resourceUrl: 'https://another.example/mcp' })
    const refused = await runCli(['login', target.url], { env })
    expect(refused.status).not.toBe(0)
    const login = await runCli(['login', target.url, '--no-resource'], { env })
    expect(login).toMatchObject({ status: 0 })
    const bridge = await start()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })

  it('[bridge-client-name] says in User-Agent what it is, and leaves the name of the host alone', async () => {
    const bridge = await start()
    await bridge.call('echo')
    await bridge.end()
    for (const { headers, url } of target.requests) {
      if (url === '/mcp') expect(headers['user-agent']).toMatch(/^mcp-descope-proxy\/\d/)
    }
    expect(target.of('initialize').at(-1)?.message).toMatchObject({
      params: { clientInfo: { name: 'test-host', version: '1.0.0' } },
    })
  })
})
