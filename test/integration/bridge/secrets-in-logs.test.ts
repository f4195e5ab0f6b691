import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { IdentityInput } from '../../../src/demo/identity/index.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

/** What a client sends to the token endpoint and nobody else may see. */
const POSTED_SECRETS = ['code', 'code_verifier', 'refresh_token', 'device_code', 'client_secret']

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('the log of the bridge', () => {
  let target: RecordingTarget
  let stack: Stack
  let home: string
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    target = await startRecordingTarget({ sessions: 'required' })
    home = createHome()
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await stack.close()
    await target.close()
  })

  const open = async (identity: IdentityInput) => {
    const tools = { scopes: { echo: ['mcp:write'] } }
    stack = await startStack({
      targets: { main: { url: target.url, prefix: '', tools } },
      identity: { scopes: ['mcp:read', 'mcp:write'], ...identity },
    })
  }
  const start = async (args: string[], env: Record<string, string>) => {
    const bridge = startBridge(stack.server.resource, {
      args: ['--log-level', 'debug', '--log-file', join(home, 'logs', 'b.log'), ...args],
      env: { MCP_DESCOPE_HOME: home, ...env },
    })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  /** All that was written anywhere for people to read. */
  const logText = () => {
    const folder = join(home, 'logs')
    return readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('')
  }
  const states = () =>
    stack.identity.requests.flatMap(({ query }) => query['state'] ?? []) as string[]
  const expectNoSecret = (bridges: BridgeProcess[], more: string[] = []) => {
    const posted = stack.identity.requests.flatMap(({ body }) =>
      POSTED_SECRETS.flatMap((member) => (body as Record<string, unknown>)?.[member] ?? []),
    ) as string[]
    const secrets = [...stack.identity.issuedSecrets(), ...posted, ...more]
    expect(secrets.length).toBeGreaterThan(4)
    expect(posted.length).toBeGreaterThan(more.length > 1 ? -1 : 1)
    const log = logText()
    expect(log).toContain('Connected to')
    for (const secret of [...secrets, ...states()]) expect(log).not.toContain(secret)
    expect(log).not.toMatch(/authorize\?|code_challenge|device_code/)
    for (const bridge of bridges) {
      // the URL that a person has to open holds `state` and a challenge, and nothing else of ours
      const talk = bridge.stderr().replace(/http\S+authorize\?\S+/g, '')
      for (const secret of [...secrets, ...states()]) expect(talk).not.toContain(secret)
    }
  }

  it('[bridge-no-secrets] holds no secret of a sign-in, a refresh, a failure and a step-up', async () => {
    await open({ ttl: 2 })
    const bridge = await start(['--scope', 'mcp:read'], { BROWSER: createBrowser(true).path })
    await bridge.request('resources/read', { uri: 'x:y' })
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    stack.identity.set({ fail: [{ path: '/token', status: 503, times: 50 }] })
    await pause(2_200)
    const failed = await bridge.request('tools/list')
    expect(failed['error']).toMatchObject({ data: { retryable: true } })
    stack.identity.set({ fail: [], ttl: 60 })
    await pause(2_200)
    expect(await bridge.request('tools/list')).toHaveProperty('result')
    expect(stack.identity.counters.refreshes).toBeGreaterThan(0)
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(stack.identity.counters.codes).toBe(2)
    stack.identity.revokeConsents()
    await target.close()
    await bridge.call('echo')
    await bridge.end()
    expectNoSecret([bridge])
    expect(states()).toHaveLength(2)
  }, 40_000)

  it('[bridge-no-secrets] holds no secret of a client with a secret that signs in with a code', async () => {
    const clients = [{ clientId: 'ours', clientSecret: 'the-secret-of-our-client' }]
    await open({ clients, device: true, deviceInterval: 0.2 })
    const bridge = await start(['--login', 'device'], {
      MCP_DESCOPE_CLIENT_ID: 'ours',
      MCP_DESCOPE_CLIENT_SECRET: 'the-secret-of-our-client',
    })
    const call = bridge.request('resources/read', { uri: 'x:y' }).catch(() => undefined)
    const [, url = ''] = await bridge.waitFor('stderr', /open\s+(http\S+)/)
    await pause(500)
    await fetch(url)
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    await call
    expect(stack.identity.counters.devicePolls).toBeGreaterThan(1)
    await bridge.end()
    expectNoSecret([bridge], ['the-secret-of-our-client'])
  })

  it('[bridge-no-secrets] holds no secret of a sign-in that was declined, nor of what was given by hand', async () => {
    await open({ approval: 'deny' })
    const browser = createBrowser(true)
    const declined = await start([], { BROWSER: browser.path })
    await declined.call('echo')
    await declined.end()
    const header = 'X-Api-Key: $' + '{KEY}'
    const token = await stack.token({ scope: 'mcp:write mcp:read' })
    const given = await start(['--header', header], {
      KEY: 'the-key-of-the-user',
      MCP_DESCOPE_TOKEN: token,
    })
    await given.call('echo')
    await given.end()
    const refused = await stack.token({ exp: Math.floor(clock.now() / 1_000) - 60 })
    const env = { MCP_DESCOPE_TOKEN: refused, MCP_DESCOPE_LOGIN_WAIT: '1' }
    const bad = startBridge(stack.server.resource, { env: { MCP_DESCOPE_HOME: home, ...env } })
    started.push(bad)
    await bad.request('initialize', { protocolVersion: '2025-06-18' })
    await bad.end()
    expectNoSecret([declined, given, bad], ['the-key-of-the-user', token, refused])
  })
})
