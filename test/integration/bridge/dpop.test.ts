import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createBrowser, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { type Oidc, startOidc } from '../../helpers/oidc-provider.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import type { RecordedRequest } from '../../helpers/targets/record.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'the-secret-of-the-client-of-ci'

let identity: Identity
let target: RecordingTarget
let stack: Stack
let url: string
const userOf = (visits: boolean) => {
  const browser = createBrowser(visits)
  return { browser, env: { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path } }
}
const { env } = userOf(true)

beforeAll(async () => {
  // the token endpoint wants a nonce in each proof, which only a refusal tells
  identity = await startIdentity({
    clock,
    dpopNonce: true,
    clients: [{ clientId: 'ci', clientSecret: SECRET }],
  })
  target = await startRecordingTarget()
  const config = { descope: { dpop: 'require' } } as const
  stack = await startStack({ targets: { target: target.url }, identity, config })
  url = stack.server.resource
})
afterAll(async () => {
  for (const part of [stack, identity, target]) await part.close()
})

const run = (command: string, ...args: string[]) => runCli([command, url, ...args], { env })

async function keptToken(...args: string[]) {
  const { status, stdout } = await run('token', ...args)
  expect(status).toBe(0)
  return stdout.trim()
}

/** Runs `test-target` as somebody who is not signed in, with the given variables. */
async function testTarget(more: Record<string, string>) {
  const { env: fresh } = userOf(false)
  const { stdout } = await runCli(['test-target', url, '--json'], { env: { ...fresh, ...more } })
  const { ok, checks } = JSON.parse(stdout)
  return { ok, token: checks.find(({ id }: { id: string }) => id === 'auth.token') }
}

describe('a server that requires DPoP', () => {
  it('is signed in to by the bridge with a key, and called with a proof each time', async () => {
    const bridge = startBridge(url, { env })
    await bridge.handshake()
    for (let times = 1; times <= 3; times++) {
      expect(textOf(await bridge.call('target_echo', { times }))).toContain(`"times":${times}`)
    }
    expect((await bridge.end()).status).toBe(0)
    expect(target.of('tools/call')).toHaveLength(3)
  })

  it('is passed by login, test-target and inspect with the same sign-in', async () => {
    expect((await run('login')).stderr).toContain('Already signed in')
    expect(decodeJwt(await keptToken())['cnf']).toEqual({ jkt: expect.any(String) })
    const { checks, ok } = JSON.parse((await run('test-target', '--json')).stdout)
    expect(ok).toBe(true)
    const challenge = checks.find(({ id }: { id: string }) => id === 'auth.challenge')
    expect(challenge).toMatchObject({ detail: expect.stringMatching(/^401 DPoP, /) })
    expect((await run('inspect')).status).toBe(0)
  })

  it('has a bound token printed with a word on stderr that Bearer is not enough for it', async () => {
    const { status, stdout, stderr } = await run('token')
    expect(status).toBe(0)
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    expect(stderr).toContain('bound to a key')
    expect(stderr).toContain('Bearer')
  })

  it('has its tokens refreshed with the same key, which nobody is shown', async () => {
    const before = await keptToken()
    const after = await keptToken('--min-ttl', '20h')
    expect(after).not.toBe(before)
    expect(decodeJwt(after)['cnf']).toEqual(decodeJwt(before)['cnf'])
    const { stdout, stderr } = await run('status', '--json')
    expect(stdout + stderr).not.toMatch(/proofKey|"d"|P-256/)
  })

  it('is signed out of with a proof at the revocation endpoint, and refused in words', async () => {
    const { env: fresh } = userOf(true)
    const cli = (...args: string[]) => runCli(args, { env: fresh })
    expect(await cli('login', url)).toMatchObject({ status: 0 })
    const before = identity.counters.revocations
    expect((await cli('logout', url)).stdout).toContain('tokens revoked and deleted')
    expect(identity.counters.revocations).toBeGreaterThan(before)
    const sent = identity.requests.filter(({ path }) => path.endsWith('/revoke'))
    expect(sent.some(({ headers }) => headers['authorization']?.startsWith('Bearer '))).toBe(false)

    expect(await cli('login', url)).toMatchObject({ status: 0 })
    identity.set({ fail: [{ path: '/revoke', status: 403, times: 9 }] })
    const refused = await cli('logout', url)
    identity.set({ fail: [] })
    expect(refused.stdout).toMatch(
      /deleted here, not revoked: \S+ refused to revoke them: "HTTP 403"/,
    )
    expect(refused.stdout).toContain('have an administrator remove the consent')
  })

  it('takes client credentials with a key of that process', async () => {
    const client = { MCP_DESCOPE_CLIENT_ID: 'ci', MCP_DESCOPE_CLIENT_SECRET: SECRET }
    expect(await testTarget(client)).toMatchObject({ ok: true, token: { outcome: 'pass' } })
  })

  it.each([
    [{ MCP_DESCOPE_CLIENT_ID: 'ci' }, 'MCP_DESCOPE_CLIENT_SECRET is missing'],
    [{ MCP_DESCOPE_CLIENT_SECRET: SECRET }, 'MCP_DESCOPE_CLIENT_ID is missing'],
  ])('names the half of client credentials that is missing: %o', async (half, missing) => {
    const { token } = await testTarget(half as Record<string, string>)
    expect(token).toMatchObject({ outcome: 'fail', hint: expect.stringContaining(missing) })
    expect(token.hint).toContain('mcp-descope-proxy login')
  })

  it('is inspected from its own configuration with a token that it would take', async () => {
    const { stdout } = await runCli(['inspect', '--json'], {
      env: {
        ...{ MCP_DESCOPE_CLIENT_ID: 'ci', MCP_DESCOPE_CLIENT_SECRET: SECRET, SERVER_URL: url },
        ...{ DESCOPE_CONFIG_URL: identity.configUrl, MCP_DESCOPE_DESCOPE_DPOP: 'require' },
        TARGET_MCP_SERVER_URL: target.url,
      },
      cwd: createFolder({}),
    })
    const { descope } = JSON.parse(stdout)
    const token = descope.find(({ id }: { id: string }) => id === 'descope.token')
    expect(token).toMatchObject({ outcome: 'pass' })
  })

  it('gets no bound token whose key is elsewhere, and says what to do with a Bearer token', async () => {
    const bound = await testTarget({ MCP_DESCOPE_TOKEN: await keptToken() })
    expect(bound).toMatchObject({ ok: false, token: { outcome: 'fail' } })
    expect(bound.token.detail).toContain('bound to a key (cnf) that is not here')
    const { token } = await testTarget({ MCP_DESCOPE_TOKEN: await stack.token() })
    expect(token.hint).toContain('takes tokens that are bound to a key only (DPoP)')
    const pasted = await runCli(['login', url, '--with-token'], {
      ...{ env: userOf(false).env, stdin: await keptToken() },
    })
    expect(pasted.stderr).toContain('bound to a key (cnf) that is not here')
  })

  it('is signed in to with a code, too', async () => {
    const options = { device: true, deviceInterval: 0.2, dpopNonce: true }
    const device = await startIdentity({ clock, ...options })
    const config = { descope: { dpop: 'require' } } as const
    const other = await startStack({ targets: { target: target.url }, identity: device, config })
    const { env: fresh } = userOf(false)
    const login = startCli(['login', other.server.resource, '--login', 'device'], { env: fresh })
    const [code] = await login.waitFor('stderr', /[A-Z]{3}-[A-Z]{3}/)
    expect(device.approveDevice(code)).toBe(true)
    expect((await login.ended).status).toBe(0)
    const { stdout } = await runCli(['token', other.server.resource], { env: fresh })
    expect(decodeJwt(stdout.trim())['cnf']).toEqual({ jkt: expect.any(String) })
    await other.close()
    await device.close()
  })

  it('is not signed in to where the authorization server has no DPoP', async () => {
    const without = await startIdentity({ clock, dpop: 'off' })
    const config = { descope: { dpop: 'require' } } as const
    const other = await startStack({ targets: { target: target.url }, identity: without, config })
    const { env: fresh, browser } = userOf(true)
    const login = await runCli(['login', other.server.resource], { env: fresh })
    expect(login.status).not.toBe(0)
    expect(login.stderr).toContain('takes access tokens with a DPoP proof (ES256) only')
    expect(browser.urls()).toEqual([])
    await other.close()
    await without.close()
  })
})

describe('a server that accepts DPoP', () => {
  it.each([
    ['accept', { jkt: expect.any(String) }],
    ['off', undefined],
  ] as const)('gets bound tokens where Descope issues them: dpop %s there', async (dpop, cnf) => {
    const descope = await startIdentity({ clock, dpop })
    const config = { descope: { dpop: 'accept' } } as const
    const other = await startStack({ targets: { target: target.url }, identity: descope, config })
    const { env: fresh } = userOf(true)
    const bridge = startBridge(other.server.resource, { env: fresh })
    await bridge.handshake()
    expect(textOf(await bridge.call('target_echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
    const { stdout } = await runCli(['token', other.server.resource], { env: fresh })
    expect(decodeJwt(stdout.trim())['cnf']).toEqual(cnf)
    await other.close()
    await descope.close()
  })
})

describe('a server of others that requires DPoP, behind a certified authorization server', () => {
  let oidc: Oidc
  let guarded: RecordingTarget
  const nonces = new Set<string>()
  let proofs = 0

  beforeAll(async () => {
    guarded = await startRecordingTarget()
    oidc = await startOidc(guarded.url)
    const metadata = new URL('/.well-known/oauth-protected-resource/mcp', guarded.url).href
    guarded.intercept(async (request, response) => {
      if (request.url.startsWith('/.well-known/')) {
        response.setHeader('content-type', 'application/json').end(
          JSON.stringify({
            ...{ resource: guarded.url, authorization_servers: [oidc.issuer] },
            ...{ scopes_supported: ['mcp:use'], dpop_bound_access_tokens_required: true },
          }),
        )
        return true
      }
      const problem = await problemOf(request)
      if (problem === undefined) return false
      const nonce = `nonce-${nonces.size}`
      nonces.add(nonce)
      const challenge = `DPoP error="${problem}", resource_metadata="${metadata}"`
      response.writeHead(401, { 'www-authenticate': challenge, 'dpop-nonce': nonce }).end()
      return true
    })
  })
  afterAll(async () => {
    await guarded.close()
    await oidc.close()
  })

  /** Lets another implementation check token and proof; the newest nonce must be in it. */
  async function problemOf({ headers, method }: RecordedRequest): Promise<string | undefined> {
    if (headers.authorization === undefined) return 'invalid_token'
    const given = new Request(guarded.url, { method, headers: headers as Record<string, string> })
    const as = { issuer: oidc.issuer, jwks_uri: `${oidc.issuer}/jwks` }
    const options = { [oauth.allowInsecureRequests]: true, requireDPoP: true }
    await oauth.validateJwtAccessToken(as, given, guarded.url, options)
    proofs++
    const { nonce } = decodeJwt<{ nonce?: string }>(String(headers['dpop']))
    return nonce === [...nonces].at(-1) ? undefined : 'use_dpop_nonce'
  }

  it('is signed in to, refreshed and called, with its nonce in the proofs', async () => {
    const { env: fresh, browser } = userOf(false)
    const bridge = startBridge(guarded.url, { env: fresh })
    await bridge.handshake()
    const call = bridge.call('echo', { n: 1 })
    await expect.poll(() => browser.urls().length, { timeout: 5_000 }).toBe(1)
    await oidc.agree(browser.urls()[0] as string)
    expect(textOf(await call)).toContain('"n":1')
    const known = nonces.size
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
    expect(nonces.size).toBe(known)
    expect(proofs).toBeGreaterThan(2)
    await bridge.end()
    const renewed = await runCli(['token', guarded.url, '--min-ttl', '20h'], { env: fresh })
    expect(decodeJwt(renewed.stdout.trim())['cnf']).toEqual({ jkt: expect.any(String) })
    expect(oidc.counts.refreshes).toBe(1)
  })
})
