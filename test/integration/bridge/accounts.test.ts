import { describe, expect, it } from 'vitest'
import { textOf } from '../../helpers/bridge.js'
import { useBridgeUser } from '../../helpers/bridge-user.js'
import { runCli } from '../../helpers/cli.js'
import { tokenOf } from '../../helpers/targets/protected.js'

describe('the identities of the bridge', () => {
  const user = useBridgeUser()

  const subjectOf = (token: string | undefined) =>
    JSON.parse(Buffer.from(token?.split('.')[1] ?? '', 'base64url').toString()).sub
  const requestsTo = (end: string) =>
    user.identity.requests.filter(({ path }) => path.endsWith(end))
  const lastCall = () => user.target.of('tools/call').at(-1) as never

  it('[bridge-accounts] --profile keeps several accounts of one server apart', async () => {
    for (const who of ['dana', 'eve']) {
      user.identity.set({ user: { id: who } })
      const login = await runCli(['login', user.target.url, '--profile', who], { env: user.env })
      expect(login.status).toBe(0)
    }
    const tabs = user.browser.urls().length
    const dana = await user.openBridge(['--profile', 'dana'])
    const eve = await user.openBridge([], { env: { MCP_DESCOPE_PROFILE: 'eve' } })
    await dana.call('echo')
    expect(subjectOf(tokenOf(lastCall()))).toBe('dana')
    await eve.call('echo')
    expect(subjectOf(tokenOf(lastCall()))).toBe('eve')
    expect(user.browser.urls()).toHaveLength(tabs)
    const status = await runCli(['status', '--json'], { env: user.env })
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
      const bridge = await user.openBridge(args, { env: more })
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      user.target.refused.add(tokenOf(lastCall()) ?? '')
      expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
      expect(user.identity.counters.refreshes).toBe(1)
      expect(requestsTo('/authorize')[0]?.query).not.toHaveProperty('resource')
      const sent = requestsTo('/token').map(({ body }) => body)
      expect(sent).toHaveLength(2)
      for (const body of sent) expect(body).not.toHaveProperty('resource')
      await bridge.end()
    },
  )

  it('[bridge-no-resource] login takes --no-resource too, for a server that refuses resources', async () => {
    user.identity.set({ resourceUrl: 'https://another.example/mcp' })
    const refused = await runCli(['login', user.target.url], { env: user.env })
    expect(refused.status).not.toBe(0)
    const login = await runCli(['login', user.target.url, '--no-resource'], { env: user.env })
    expect(login).toMatchObject({ status: 0 })
    const bridge = await user.openBridge()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })

  it('[bridge-client-name] says in User-Agent what it is, and leaves the name of the host alone', async () => {
    const bridge = await user.openBridge()
    await bridge.call('echo')
    await bridge.end()
    for (const { headers, url } of user.target.requests) {
      if (url === '/mcp') expect(headers['user-agent']).toMatch(/^mcp-descope-proxy\/\d/)
    }
    expect(user.target.of('initialize').at(-1)?.message).toMatchObject({
      params: { clientInfo: { name: 'test-host', version: '1.0.0' } },
    })
  })
})
