import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBrowser, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { type ScriptedIssuer, startScriptedIssuer } from '../../helpers/scripted-issuer.js'
import { type ProtectedTarget, startProtectedTarget } from '../../helpers/targets/protected.js'

const LAN = 'http://mcp.example/mcp'

const CLEAR = /http:\/\/mcp\.example\/mcp is plain http to another machine.*--allow-http/s

const URLS = [LAN, 'http://10.9.8.7:8000/mcp', 'http://127.example.com/mcp', 'HTTP://mcp.example/']

let home: string

beforeEach(() => {
  home = createHome()
})

const env = (more: Record<string, string> = {}) => ({ MCP_DESCOPE_HOME: home, ...more })

describe('plain http to another machine', () => {
  it.each(URLS)('is no place to sign in: login %s', async (url) => {
    const { status, stderr } = await runCli(['login', url], { env: env() })
    expect(status).toBe(2)
    expect(stderr).toMatch(/plain http to another machine/)
    expect(stderr).toContain('--allow-http')
  })

  it.each(URLS)('is no place for a bridge: stdio %s', async (url) => {
    const { status, stderr, stdout } = await runCli(['stdio', url], { env: env() })
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
    expect(stderr).toMatch(/plain http to another machine/)
  })

  it('is no place for a token on stdin', async () => {
    const { status, stderr } = await runCli(['login', LAN, '--with-token'], {
      env: env(),
      stdin: 'a-token-of-mine',
    })
    expect(status).toBe(2)
    expect(stderr).toMatch(CLEAR)
  })

  it.each([
    ['MCP_DESCOPE_TOKEN', { MCP_DESCOPE_TOKEN: 'secret-token' }, []],
    ['TARGET_TOKEN', { TARGET_TOKEN: 'secret-token' }, []],
    ['a header', {}, ['--header', 'X-Api-Key: secret-token']],
    ['a client', { MCP_DESCOPE_CLIENT_ID: 'c', MCP_DESCOPE_CLIENT_SECRET: 'secret-token' }, []],
  ])('is nothing that test-target and inspect send %s to', async (_, variables, args) => {
    for (const command of ['test-target', 'inspect']) {
      const result = await runCli([command, LAN, ...args], { env: env(variables) })
      expect(result.status).toBe(2)
      expect(result.stderr).toMatch(CLEAR)
    }
  })

  it('is a configured target that a bridge refuses, whatever its credential', async () => {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    chmodSync(home, 0o700)
    const config = join(home, 'config.json')
    const credential = { type: 'bearer', token: 'secret-token' }
    writeFileSync(config, JSON.stringify({ targets: { lan: { url: LAN, credential } } }), {
      mode: 0o600,
    })
    const { status, stderr } = await runCli(['stdio', 'lan', '--config', config], { env: env() })
    expect(status).toBe(2)
    expect(stderr).toMatch(CLEAR)
    const validated = await runCli(['config', 'validate', config], { env: env() })
    expect(validated.stdout + validated.stderr).toContain(
      'The credential of target "lan" goes over plain http',
    )
  })

  it.each([
    [['--allow-http'], {}],
    [[], { MCP_DESCOPE_ALLOW_HTTP: 'true' }],
  ])('is what somebody may allow: %j %j', async (args, variables) => {
    const { status, stderr } = await runCli(['login', LAN, ...args], {
      env: env({ ...variables, CI: 'true' }),
    })
    // nobody is there to be asked
    expect(status).toBe(4)
    expect(stderr).not.toContain('plain http')
  })

  it.each(['https://mcp.example/mcp', 'http://localhost:9/mcp', 'http://[::1]:9/mcp'])(
    'is not %s',
    async (url) => {
      const { stderr } = await runCli(['login', url, '--no-browser'], {
        env: env({ CI: 'true' }),
      })
      expect(stderr).not.toContain('--allow-http')
    },
  )
})

const address = Object.values(networkInterfaces())
  .flat()
  .find((found) => found?.family === 'IPv4' && !found.internal)?.address

describe.skipIf(address === undefined)('a server on this machine under its other address', () => {
  let issuer: ScriptedIssuer
  let target: ProtectedTarget
  beforeEach(async () => {
    issuer = await startScriptedIssuer()
    target = await startProtectedTarget(issuer.issuer)
  })
  afterEach(async () => {
    await issuer.close()
    await target.close()
  })

  it('that is https or on loopback may not name a token endpoint on plain http', async () => {
    issuer.metadata['token_endpoint'] = `http://${address}:9/token`
    const browser = createBrowser(true)
    const { status, stderr } = await runCli(['login', target.url], {
      env: env({ BROWSER: browser.path }),
    })
    expect(status).not.toBe(0)
    expect(stderr).toMatch(/"token_endpoint" does not use https/)
    expect(browser.urls()).toEqual([])
    expect(issuer.tokenRequests).toEqual([])
  })

  it('is bridged to as before on loopback', async () => {
    const browser = createBrowser(true)
    const bridge = startBridge(target.url, { env: env({ BROWSER: browser.path }) })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })
})

if (address === undefined) console.warn('skipped: servers under another address of this machine')
