import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { InitializeResultSchema, ListToolsResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type BridgeProcess,
  CLIENT,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

/** Has the access token refused: it is still kept, and still somebody's. */
function damageToken(home: string): void {
  const [name = ''] = readdirSync(`${home}/tokens`).filter((file) => file.endsWith('.json'))
  const text = readFileSync(`${home}/tokens/${name}`, 'utf8')
  writeFileSync(`${home}/tokens/${name}`, text.replace(/("accessToken": ?"[^"]+)"/, '$1AAAA"'))
}

describe('the bridge to a target that is protected by Descope', () => {
  let target: RecordingTarget
  let stack: Stack
  let home: string
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    target = await startRecordingTarget({ sessions: 'required' })
    stack = await startStack({ targets: { main: { url: target.url, prefix: '' } } })
    home = createHome()
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await stack.close()
    await target.close()
  })

  const start = (browser: string, args: string[] = [], env: Record<string, string> = {}) => {
    const bridge = startBridge(stack.server.resource, {
      args,
      env: { MCP_DESCOPE_HOME: home, BROWSER: browser, ...env },
    })
    started.push(bridge)
    return bridge
  }
  /** Opens the URL that the bridge shows, as the user would. */
  const signIn = async (bridge: BridgeProcess) => {
    const [url] = await bridge.waitFor('stderr', /http:\S+authorize\?\S+/)
    await fetch(url)
  }

  it('[bridge-answers-at-once] [bridge-shows-sign-in] answers while nobody is signed in, and shows where to sign in', async () => {
    const bridge = start(createBrowser(false).path, ['--login-wait', '0.2'])
    await bridge.request('ping')
    const answer = await bridge.handshake()
    expect(answer['result']).toMatchObject({
      protocolVersion: '2025-06-18',
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true },
      },
      serverInfo: { name: expect.any(String), version: expect.any(String) },
    })
    InitializeResultSchema.parse(answer['result'])
    const list = await bridge.request('tools/list')
    ListToolsResultSchema.parse(list['result'])
    expect(list['result']).toMatchObject({
      tools: [{ name: 'login', description: expect.stringMatching(/http\S+authorize\?/) }],
    })
    const call = await bridge.call('echo')
    expect(call['result']).toMatchObject({ isError: true })
    expect(textOf(call)).toMatch(/http\S+authorize\?/)
    expect(await bridge.request('prompts/list')).toMatchObject({ result: { prompts: [] } })
    expect(await bridge.request('resources/read', { uri: 'x:y' })).toMatchObject({
      error: { data: { retryable: true } },
    })

    await signIn(bridge)
    for (const kind of ['tools', 'prompts', 'resources']) {
      await bridge.until(({ method }) => method === `notifications/${kind}/list_changed`)
    }
    const tools = await bridge.request('tools/list')
    expect(tools['result']).toMatchObject({ tools: target.contents.tools })
    expect(textOf(await bridge.call('login'))).toContain('Signed in')
    await bridge.end()
    for (const kind of ['tools', 'prompts', 'resources']) {
      expect(bridge.received(`notifications/${kind}/list_changed`)).toHaveLength(1)
    }
    expect(bridge.messages().filter(({ id }) => id !== undefined)).toHaveLength(8)
  })

  it('[bridge-answers-at-once] answers server/discover too, so that the host falls back to initialize', async () => {
    const bridge = start(createBrowser(false).path)
    await bridge.request('ping')
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'host', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    expect(await bridge.request('server/discover', { _meta })).toMatchObject({
      error: { code: -32601, message: expect.stringContaining('2025-11-25') },
    })
    expect((await bridge.handshake())['result']).toMatchObject({ protocolVersion: '2025-06-18' })
    await bridge.end()
  })

  it('[bridge-shows-sign-in] [bridge-late-sign-in] lets a call wait for the sign-in, and serves on in the same process', async () => {
    const bridge = start(createBrowser(false).path)
    await bridge.handshake()
    const call = bridge.call('echo', { text: 'hello' })
    await signIn(bridge)
    expect(textOf(await call)).toContain('hello')
    expect(await bridge.end()).toMatchObject({ status: 0 })
    expect(target.of('initialize')).toHaveLength(1)
    expect(target.of('tools/call')).toHaveLength(1)
  })

  it('[bridge-transparent] shows nothing of all that when the tokens are good, and remembers the tools', async () => {
    const browser = createBrowser(true)
    const first = start(browser.path)
    await first.handshake()
    await first.call('echo', { text: 'x' })
    await first.request('tools/list')
    await first.end()

    const second = start(browser.path)
    const answer = await second.handshake()
    const message = { jsonrpc: '2.0', id: 1, method: 'initialize', params: CLIENT }
    const own = await readMessage(await stack.post(message))
    expect(answer['result']).toEqual(own.result)
    await second.request('tools/list')
    await second.end()
    expect(second.received('notifications/tools/list_changed')).toHaveLength(0)
    expect(browser.urls()).toHaveLength(1)

    stack.identity.revokeConsents()
    damageToken(home)
    const third = start(createBrowser(false).path)
    const cached = await third.handshake()
    expect(cached['result']).toMatchObject({ serverInfo: target.contents.serverInfo })
    const tools = await third.request('tools/list')
    expect(tools['result']).toMatchObject({ tools: target.contents.tools })
    await third.end()

    const env = { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path }
    stack.identity.set({ user: { id: 'eve' } })
    expect((await runCli(['login', stack.server.resource, '--force'], { env })).status).toBe(0)
    stack.identity.revokeConsents()
    damageToken(home)
    await showsLoginOnly()
    expect((await runCli(['login', stack.server.resource, '--force'], { env })).status).toBe(0)
    const ofEve = start(browser.path)
    await ofEve.handshake()
    await ofEve.request('tools/list')
    await ofEve.end()
    expect(readdirSync(`${home}/bridge`)).toHaveLength(1)
    expect((await runCli(['logout', '--all'], { env })).status).toBe(0)
    expect(readdirSync(`${home}/bridge`)).toEqual([])
    await showsLoginOnly()
  }, 60_000)

  /** Starts a bridge that has nothing to show but its own tool. */
  const showsLoginOnly = async () => {
    const bridge = start(createBrowser(false).path)
    const { result } = await bridge.handshake()
    expect(result).not.toHaveProperty('instructions')
    expect(result).not.toMatchObject({ serverInfo: target.contents.serverInfo })
    const tools = await bridge.request('tools/list')
    expect(tools['result']).toMatchObject({ tools: [{ name: 'login' }] })
    await bridge.end()
  }

  it('[bridge-wait-for-login] makes the host wait for the sign-in when that is wished', async () => {
    const bridge = start(createBrowser(false).path, ['--wait-for-login'])
    const answer = bridge.request('initialize', CLIENT)
    await bridge.waitFor('stderr', /authorize\?/)
    expect(bridge.messages()).toHaveLength(0)
    await signIn(bridge)
    expect(await answer).toMatchObject({ result: { serverInfo: target.contents.serverInfo } })
    bridge.send({ method: 'notifications/initialized' })
    await bridge.end()
    expect(bridge.received('notifications/tools/list_changed')).toHaveLength(0)
  })

  it('[bridge-one-tab] opens one tab for three bridges, and all of them go on', async () => {
    const browser = createBrowser(false)
    const bridges = [start(browser.path), start(browser.path), start(browser.path)]
    await Promise.all(bridges.map((bridge) => bridge.handshake()))
    const calls = bridges.map((bridge) => bridge.call('echo', { text: 'hello' }))
    await signIn(bridges[0] as BridgeProcess)
    for (const answer of await Promise.all(calls)) expect(textOf(answer)).toContain('hello')
    expect(browser.urls()).toHaveLength(1)
    expect(stack.identity.counters.registrations).toBe(1)
    await Promise.all(bridges.map((bridge) => bridge.end()))
  }, 40_000)

  it('[bridge-no-tab] [bridge-tells-host] stays up in CI, opens nothing and says what to do', async () => {
    const browser = createBrowser(true)
    const bridge = start(browser.path, [], { CI: 'true' })
    await bridge.handshake()
    const call = await bridge.call('echo')
    expect(call['result']).toMatchObject({ isError: true })
    expect(textOf(call)).toContain('MCP_DESCOPE_TOKEN')
    expect(browser.urls()).toEqual([])
    await bridge.end()
  })

  it('goes on when somebody signs in by hand in another process', async () => {
    const bridge = start(createBrowser(false).path, [], { CI: 'true' })
    await bridge.handshake()
    await bridge.request('tools/list')
    const { runCli } = await import('../../helpers/cli.js')
    const login = await runCli(['login', stack.server.resource], {
      env: { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path },
    })
    expect(login.status).toBe(0)
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    expect(textOf(await bridge.call('echo', { text: 'hello' }))).toContain('hello')
    await bridge.end()
  })

  it('[bridge-no-secrets] never logs a secret', async () => {
    const log = `${home}/bridge.log`
    const args = ['--log-level', 'debug', '--log-file', log]
    const bridge = start(createBrowser(true).path, args)
    await bridge.handshake()
    await bridge.call('echo', { text: 'x' })
    await bridge.end()
    const { readFile, stat } = await import('node:fs/promises')
    const text = await readFile(log, 'utf8')
    expect((await stat(log)).mode & 0o777).toBe(0o600)
    expect(text).toContain('Connected to')
    for (const secret of stack.identity.issuedSecrets()) expect(text).not.toContain(secret)
    expect(text).not.toMatch(/state=|authorize\?/)
    const talk = bridge.stderr().replace(/code_challenge=[\w-]+/g, '')
    for (const secret of stack.identity.issuedSecrets()) expect(talk).not.toContain(secret)
  })
})
