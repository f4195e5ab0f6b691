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
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const started: BridgeProcess[] = []

let target: RecordingTarget

let home: string

beforeEach(async () => {
  target = await startRecordingTarget({ sessions: 'required' })
  home = createHome()
})

afterEach(async () => {
  for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
  await target.close()
})

const start = (
  url: string | undefined,
  { args = [], ...env }: { args?: string[] } & Record<string, string | string[]> = {},
) => {
  const bridge = startBridge(url, {
    args,
    env: { MCP_DESCOPE_HOME: home, ...(env as Record<string, string>) },
  })
  started.push(bridge)
  return bridge
}

describe('the tokens of the bridge', () => {
  let stack: Stack
  const open = async (identity = {}, tools = {}) => {
    stack = await startStack({
      targets: { main: { url: target.url, prefix: '', tools } },
      identity,
    })
    return stack.server.resource
  }
  afterEach(() => stack.close())

  it('[bridge-step-up] asks once for the scopes that a tool needs, and calls it when they are granted', async () => {
    const url = await open(
      { scopes: ['mcp:read', 'mcp:write'] },
      { scopes: { echo: ['mcp:write'] } },
    )
    const browser = createBrowser(true)
    const bridge = start(url, { BROWSER: browser.path, args: ['--scope', 'mcp:read'] })
    await bridge.handshake()
    await bridge.request('resources/read', { uri: 'x:y' })
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(browser.urls()).toHaveLength(2)
    expect(new URL(browser.urls()[1] as string).searchParams.get('scope')).toContain('mcp:write')
    expect(target.of('tools/call')).toHaveLength(1)
    await bridge.end()
  })

  it('[bridge-one-refresh] [bridge-refresh-trouble] refreshes a token that ran out, and waits for a server that is in trouble', async () => {
    const url = await open({ ttl: 3 })
    const browser = createBrowser(true)
    const bridge = start(url, { BROWSER: browser.path })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    stack.identity.set({ fail: [{ path: '/token', status: 503, times: 1_000 }] })
    await new Promise((resolve) => setTimeout(resolve, 3_500))
    const late = await bridge.call('echo', { n: 2 })
    expect(late['error']).toMatchObject({ data: { retryable: true } })
    stack.identity.set({ fail: [], ttl: 600 })
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(textOf(await bridge.call('echo', { n: 3 }))).toContain('"n":3')
    expect(browser.urls()).toHaveLength(1)
    await bridge.end()
  })

  it('signs in again in the middle of a session when the sign-in was revoked', async () => {
    const url = await open({ ttl: 2 })
    const browser = createBrowser(true)
    const bridge = start(url, { BROWSER: browser.path })
    await bridge.handshake()
    await bridge.call('echo')
    stack.identity.revokeConsents()
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(textOf(await bridge.call('echo', { again: true }))).toContain('again')
    expect(browser.urls()).toHaveLength(2)
    await bridge.end()
  })

  it('uses MCP_DESCOPE_TOKEN, and says so when it is refused', async () => {
    const url = await open()
    const good = start(url, { MCP_DESCOPE_TOKEN: await stack.token() })
    await good.handshake()
    expect(textOf(await good.call('echo', { n: 1 }))).toContain('"n":1')
    await good.end()

    const bad = start(url, { MCP_DESCOPE_TOKEN: await stack.token({ exp: 1 }) })
    const answer = await bad.request('initialize', { protocolVersion: '2025-06-18' })
    expect(answer['error']).toMatchObject({
      message: expect.stringContaining('The token in MCP_DESCOPE_TOKEN was refused'),
    })
    await bad.end()
  })

  it('signs the client itself in where nobody can be asked', async () => {
    const url = await open({ clients: [{ clientId: 'ci', clientSecret: 'ci-secret-value' }] })
    const bridge = start(url, {
      CI: 'true',
      MCP_DESCOPE_CLIENT_ID: 'ci',
      MCP_DESCOPE_CLIENT_SECRET: 'ci-secret-value',
    })
    const answer = await bridge.handshake()
    expect(answer['result']).toMatchObject({ serverInfo: target.contents.serverInfo })
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })

  it('gives the secret of the client to nobody before the target says where it belongs', async () => {
    const identity = await startIdentity({ clock })
    identity.set({ clients: [{ clientId: 'ci', clientSecret: 'ci-secret-value' }] })
    const path = '/hidden/metadata'
    const guarded = await startGuardedTarget(identity, {
      challenge: (origin) => `Bearer resource_metadata="${origin}/.well-known${path}"`,
      metadata: (resource, issuer, asked) =>
        asked.endsWith(path) ? { resource, authorization_servers: [issuer] } : undefined,
    })
    const bridge = start(guarded.url, {
      CI: 'true',
      MCP_DESCOPE_CLIENT_ID: 'ci',
      MCP_DESCOPE_CLIENT_SECRET: 'ci-secret-value',
    })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    for (const { body, headers } of guarded.requests) {
      expect(JSON.stringify([body, headers])).not.toContain('ci-secret')
    }
    await bridge.end()
    await guarded.close()
    await identity.close()
  })

  it('gives up a target that refuses every token, and opens one tab', async () => {
    const url = await open({ issuer: 'project' })
    stack.identity.set({ aud: 'project' })
    const browser = createBrowser(true)
    const bridge = start(url, { BROWSER: browser.path })
    await bridge.handshake()
    const call = await bridge.call('echo')
    expect(JSON.stringify(call)).toMatch(/refuse/)
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(browser.urls()).toHaveLength(1)
    await bridge.end()
  })
})

describe('a target with a credential of its own, behind a sign-in at Descope', () => {
  let identity: Identity
  beforeEach(async () => {
    identity = await startIdentity({ clock })
  })
  afterEach(() => identity.close())

  const environment = () => ({
    DESCOPE_CONFIG_URL: identity.configUrl,
    TARGET_MCP_SERVER_URL: target.url,
    TARGET_TOKEN: 'the-token-of-the-target',
  })

  it('gets nothing before somebody signed in, and then its own token only', async () => {
    const browser = createBrowser(false)
    const bridge = start(undefined, { ...environment(), BROWSER: browser.path })
    await bridge.handshake()
    expect(await bridge.request('tools/list')).toMatchObject({
      result: { tools: [{ name: 'login' }] },
    })
    expect(target.requests).toHaveLength(0)
    const call = bridge.call('echo', { n: 1 })
    const [url] = await bridge.waitFor('stderr', /http:\S+authorize\?\S+/)
    await fetch(url)
    expect(textOf(await call)).toContain('"n":1')
    for (const { headers } of target.requests) {
      expect(headers.authorization).toBe('Bearer the-token-of-the-target')
    }
    await bridge.end()
  })

  it('gets nothing for a token that was made for somebody else', async () => {
    const token = await identity.mint({ aud: ['another'], azp: 'another' })
    const bridge = start(undefined, {
      ...environment(),
      MCP_DESCOPE_CLIENT_ID: 'ours',
      MCP_DESCOPE_TOKEN: token,
    })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo'))).toContain('was refused')
    expect(target.requests).toHaveLength(0)

    const ours = await identity.mint({ aud: ['another'], azp: 'ours' })
    const good = start(undefined, {
      ...environment(),
      MCP_DESCOPE_CLIENT_ID: 'ours',
      MCP_DESCOPE_TOKEN: ours,
    })
    await good.handshake()
    expect(textOf(await good.call('echo', { n: 2 }))).toContain('"n":2')
    await Promise.all([bridge.end(), good.end()])
  })

  it('with SERVER_URL, wants tokens that are made for that resource', async () => {
    const publicUrl = { SERVER_URL: 'https://mcp.example.com' }
    const wrong = await identity.mint({ aud: ['ours'], azp: 'ours' })
    const id = { MCP_DESCOPE_CLIENT_ID: 'ours' }
    const bad = start(undefined, {
      ...environment(),
      ...publicUrl,
      ...id,
      MCP_DESCOPE_TOKEN: wrong,
    })
    await bad.handshake()
    expect(textOf(await bad.call('echo'))).toContain('was refused')
    const right = await identity.mint({ aud: ['https://mcp.example.com/mcp'] })
    const good = start(undefined, {
      ...environment(),
      ...publicUrl,
      ...id,
      MCP_DESCOPE_TOKEN: right,
    })
    await good.handshake()
    expect(textOf(await good.call('echo', { n: 2 }))).toContain('"n":2')
    await Promise.all([bad.end(), good.end()])
  })
})

describe('what the bridge keeps', () => {
  it('holds no secret and is for its owner only', async () => {
    const stack = await startStack({ targets: { main: { url: target.url, prefix: '' } } })
    const bridge = start(stack.server.resource, { BROWSER: createBrowser(true).path })
    await bridge.handshake()
    await bridge.call('echo')
    await bridge.request('tools/list')
    await bridge.end()
    const folder = join(home, 'bridge')
    const text = readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join()
    expect(text).toContain('echo')
    for (const secret of stack.identity.issuedSecrets()) expect(text).not.toContain(secret)
    await stack.close()
  })
})
