import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import {
  type FastMcp,
  type FastMcpMode,
  installFastMcp,
  startFastMcp,
} from '../../helpers/fastmcp.js'

const folder = await installFastMcp()

const MODES: [FastMcpMode, string][] = [
  ['bound', 'that binds clients to the scopes that they registered'],
  ['default', 'with default scopes'],
  ['proxy', "behind FastMCP's OAuthProxy"],
]

describe.skipIf(folder === undefined).each(MODES)(
  "the MCP Python SDK's authorization server (%s), %s",
  { timeout: 60_000 },
  (mode) => {
    let server: FastMcp
    let browser: ReturnType<typeof createBrowser>
    let env: Record<string, string>
    const started: BridgeProcess[] = []

    beforeEach(async () => {
      server = await startFastMcp(folder as string, mode)
      browser = createBrowser(true)
      env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
    }, 60_000)
    afterEach(async () => {
      for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
      await server.close()
    })

    const login = (...args: string[]) =>
      runCli(['login', server.url, ...args], { env, timeoutMs: 30_000 })
    const start = async () => {
      const bridge = startBridge(server.url, { env, timeoutMs: 50_000 })
      started.push(bridge)
      await bridge.handshake()
      return bridge
    }

    it('signs somebody in by `login`, as a client that it registers once', async () => {
      const first = await login()
      expect(first).toMatchObject({ status: 0, stderr: expect.stringContaining('Signed in') })
      const again = await login('--force')
      expect(again).toMatchObject({ status: 0, stderr: expect.stringContaining('Signed in') })
      expect(await server.counts()).toMatchObject({
        registrations: 1,
        methods: [mode === 'proxy' ? 'none' : 'client_secret_post'],
      })
    })

    it('is signed in to by the bridge, called, and refreshed without another sign-in', async () => {
      const bridge = await start()
      expect(textOf(await bridge.call('add', { text: 'one' }))).toBe('added one with notes:read')
      await server.forgetAccessTokens()
      expect(textOf(await bridge.call('add', { text: 'two' }))).toBe('added two with notes:read')
      await bridge.end()
      expect(await server.counts()).toMatchObject({ registrations: 1, refreshes: 1 })
      expect(browser.urls()).toHaveLength(1)
    })

    it('is asked for more scopes as a client that is registered for them', async () => {
      const bridge = await start()
      expect(textOf(await bridge.call('add', { text: 'one' }))).toBe('added one with notes:read')
      await server.requireWriting()
      const answer = await bridge.call('add', { text: 'two' })
      expect(textOf(answer)).toBe('added two with notes:read notes:write')
      await bridge.end()
      const { registrations, scopes } = await server.counts()
      expect(registrations).toBe(2)
      expect(scopes.at(-1)).toBe('notes:read notes:write')
      expect(browser.urls()).toHaveLength(2)
    })
  },
)
