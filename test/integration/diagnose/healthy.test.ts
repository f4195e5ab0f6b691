import { afterEach, describe, expect, it } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { check, serveWith } from '../../helpers/check.js'
import { runCli } from '../../helpers/cli.js'
import { startStack } from '../../helpers/stack.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSdkV1Target, startSdkV2Target } from '../../helpers/targets/sdk.js'

const closing: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const SECRET = 'client-secret-7Qx'

const MACHINE = { MCP_DESCOPE_CLIENT_ID: 'machine', MCP_DESCOPE_CLIENT_SECRET: SECRET }

async function recording(options: Parameters<typeof startRecordingTarget>[0] = {}) {
  const target = await startRecordingTarget(options)
  closing.push(target.close)
  return target
}

/** Descope, our own `serve`, and a target behind it. */
async function protectedStack() {
  const clock = createClock()
  const clients = [{ clientId: 'machine', clientSecret: SECRET }]
  const identity = await startIdentity({ clock, clients })
  const target = await recording({ sessions: 'required' })
  const stack = await startStack({ identity, targets: { docs: target.url } })
  closing.push(identity.close, stack.close)
  // what its metadata names, and not the address that it is bound to
  return { identity, stack: { ...stack, url: stack.server.resource }, target }
}

describe('a server behind Descope', () => {
  it('passes with client credentials, and nothing secret is said', async () => {
    const { stack, identity } = await protectedStack()
    const env = { ...MACHINE, CI: 'true' }
    const run = await check(stack.url, ['--call', 'docs_echo {"a":1} expect {"contains":"echo"}'], {
      env,
    })
    expect(run).toMatchObject({ status: 0, stderr: '' })
    expect(run.report).toMatchObject({ ok: true, exitCode: 0, url: stack.url })
    const outcomes = Object.fromEntries(run.report.checks.map(({ id, outcome }) => [id, outcome]))
    expect(outcomes).toMatchObject({
      'reach.tcp': 'pass',
      'auth.challenge': 'pass',
      'auth.prm': 'pass',
      'auth.as-metadata': 'pass',
      'auth.token': 'pass',
      'auth.rejects-no-token': 'pass',
      'auth.rejects-bad-token': 'pass',
      'protocol.legacy': 'pass',
      'protocol.schema': 'pass',
      'tools.list': 'pass',
      'tools.call:docs_echo': 'pass',
    })
    expect(run.of('auth.token')?.detail).toBe('client credentials, aud ok, 10 min left')
    for (const secret of [SECRET, ...identity.issuedSecrets()]) {
      expect(run.stdout).not.toContain(secret)
    }
  })

  it('passes with MCP_DESCOPE_TOKEN, and with the token of a sign-in that is kept', async () => {
    const { stack } = await protectedStack()
    const token = await stack.token()
    const given = await check(stack.url, [], { env: { MCP_DESCOPE_TOKEN: token } })
    expect(given).toMatchObject({ status: 0 })
    expect(given.of('auth.token')?.detail).toMatch(/^MCP_DESCOPE_TOKEN, aud ok/)
    expect(given.stdout).not.toContain(token)

    const env = { MCP_DESCOPE_HOME: `/tmp/kept-${process.pid}-${Date.now()}` }
    await runCli(['login', stack.url, '--with-token', '--store', 'file'], { env, stdin: token })
    const kept = await check(stack.url, ['--store', 'file'], { env })
    expect(kept).toMatchObject({ status: 0 })
    expect(kept.of('auth.token')?.detail).toMatch(/^stored sign-in, aud ok/)
  })

  it('opens no browser, whoever sits there, and exits 3', async () => {
    const { stack } = await protectedStack()
    const env = { BROWSER: '/nonexistent/browser', DISPLAY: ':0' }
    const run = await check(stack.url, [], { env })
    expect(run.status).toBe(3)
    expect(JSON.parse(run.stderr)).toMatchObject({ error: { code: 'SIGN_IN_REQUIRED' } })
    expect(run.report.checks.filter(({ outcome }) => outcome === 'fail')).toHaveLength(1)
    expect(run.of('tools.list')).toMatchObject({
      outcome: 'skip',
      detail: 'not checked, because auth.token failed',
    })
  })

  it('passes where only the challenge says where the metadata is', async () => {
    const clients = [{ clientId: 'machine', clientSecret: SECRET }]
    const identity = await startIdentity({ clock: createClock(), clients })
    const target = await startGuardedTarget(identity, {
      challenge: (origin) => `Bearer resource_metadata="${origin}/.well-known/elsewhere"`,
      metadata: (resource, issuer, path) =>
        path === '/.well-known/elsewhere'
          ? { resource, authorization_servers: [issuer] }
          : undefined,
    })
    closing.push(identity.close, target.close)
    expect(await check(target.url, [], { env: MACHINE })).toMatchObject({ status: 0, stderr: '' })
  })

  it('passes through our own bridge', async () => {
    const { stack } = await protectedStack()
    const run = await check(stack.url, ['--via-stdio', '--call', 'docs_echo'], { env: MACHINE })
    expect(run).toMatchObject({ status: 0 })
    expect(run.of('tools.call:docs_echo')?.outcome).toBe('pass')
  })
})

describe('an open server', () => {
  it('passes, asks for nothing twice, and ends its session', async () => {
    const target = await recording({ sessions: 'required' })
    const run = await check(target.url)
    expect(run).toMatchObject({ status: 0, stderr: '' })
    expect(run.report.protocolVersion).toBe('2025-11-25')
    for (const method of ['server/discover', 'initialize', 'tools/list']) {
      expect(target.of(method)).toHaveLength(1)
    }
    expect(target.sessions.size).toBe(0)
  })

  it('is not asked for TLS because it refuses a request', async () => {
    let broken = 0
    const target = await serveWith((_request, response) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{}')
    })
    target.server.on('clientError', () => {
      broken += 1
    })
    closing.push(target.close)
    const run = await check(target.url)
    expect(run.of('reach.tls')?.detail).toBe('plain http')
    expect(broken).toBe(0)
  })

  it.each([
    ['SDK 1', () => startSdkV1Target(), 'protocol.legacy'],
    ['SDK 2', () => startSdkV2Target(), 'protocol.modern'],
    ['SDK 2, modern only', () => startSdkV2Target({ legacy: 'reject' }), 'protocol.modern'],
  ] as const)('of %s passes', async (_name, start, id) => {
    const target = await start()
    closing.push(target.close)
    const run = await check(target.url)
    expect(run.report.checks.filter(({ outcome }) => outcome === 'fail')).toEqual([])
    expect(run.of(id)?.outcome).toBe('pass')
    expect(run.status).toBe(0)
  })

  it('of 2026-07-28 gets every header that it wants', async () => {
    const inputSchema = {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
    }
    const target = await startModernRecordingTarget({ tools: [{ name: 'look', inputSchema }] })
    closing.push(target.close)
    const run = await check(target.url, ['--call', 'look {"region":"süd"}', '--budget', 'p95=2000'])
    expect(run.of('tools.call:look')?.outcome).toBe('pass')
    expect(run.of('budget.p95')?.outcome).toBe('pass')
    expect(run.report.protocolVersion).toBe('2026-07-28')
    expect(target.violations.filter((rule) => !rule.startsWith('initialize'))).toEqual([])
  })

  it('is spoken to through the bridge, headers and all', async () => {
    const target = await recording()
    const args = ['--via-stdio', '--header', 'X-Tenant: acme', '--only', 'tools.list']
    const run = await check(target.url, args)
    expect(run).toMatchObject({ status: 0 })
    // one by us, to see whether it is open, and one by the bridge
    expect(target.of('initialize')).toHaveLength(2)
    const [list] = target.of('tools/list')
    expect(list?.headers).toMatchObject({ 'x-tenant': 'acme' })
    expect(run.report.checks.map(({ id }) => id)).toEqual(['tools.list'])
  })
})

describe('a server with a static token', () => {
  const startWithToken = async (token: string, name = 'authorization') => {
    const target = await recording()
    const value = name === 'authorization' ? `Bearer ${token}` : token
    target.intercept((request, response) => {
      if (request.headers[name] === value) return false
      response.writeHead(401).end()
      return true
    })
    return target
  }

  it.each([
    ['TARGET_TOKEN', [], { TARGET_TOKEN: 'static-token-55' }, 'authorization'],
    ['--header', ['--header', `X-Api-Key: $\{MY_KEY}`], { MY_KEY: 'static-token-55' }, 'x-api-key'],
  ] as const)('passes with %s', async (label, args, env, name) => {
    const target = await startWithToken('static-token-55', name)
    for (const more of [[], ['--via-stdio']]) {
      const run = await check(target.url, [...args, ...more], { env })
      expect(run).toMatchObject({ status: 0 })
      expect(run.of('auth.challenge')?.outcome).toBe('pass')
      expect(run.of('auth.token')?.detail).toContain(label)
      expect(run.of('auth.rejects-bad-token')?.outcome).toBe('pass')
      expect(run.stdout + run.stderr).not.toContain('static-token-55')
    }
  })

  it('passes with the credential that is configured, and by its name', async () => {
    const target = await startWithToken('static-token-55')
    const env = { TARGET_MCP_SERVER_URL: target.url, TARGET_TOKEN: 'static-token-55' }
    const run = await check('target', [], { env })
    expect(run).toMatchObject({ status: 0 })
    expect(run.report).toMatchObject({ target: 'target', url: target.url })
  })

  it('does not send TARGET_TOKEN to another place than TARGET_MCP_SERVER_URL', async () => {
    const target = await startWithToken('static-token-55')
    const env = { TARGET_MCP_SERVER_URL: 'https://x.example/mcp', TARGET_TOKEN: 'static-token-55' }
    const run = await check(target.url, [], { env })
    expect(run.status).toBe(3)
    expect(target.requests.some(({ headers }) => headers.authorization?.includes('static'))).toBe(
      false,
    )
  })
})
