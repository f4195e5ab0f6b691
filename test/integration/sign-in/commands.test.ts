import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { type Resource, startResource } from '../../helpers/sign-in.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'

/** A program for $BROWSER that opens what it is given. */
function browser(): string {
  const path = join(mkdtempSync(join(tmpdir(), 'browser-')), 'browser')
  writeFileSync(path, `#!${process.execPath}\nfetch(process.argv[2])\n`)
  chmodSync(path, 0o700)
  return path
}

describe('login, status, token and logout', () => {
  let identity: Identity
  let resource: Resource
  let env: Record<string, string>
  let said: string

  beforeEach(async () => {
    identity = await startIdentity({ clock: createClock(), device: true, deviceInterval: 0.2 })
    resource = await startResource(identity.issuer)
    const home = join(mkdtempSync(join(tmpdir(), 'home-')), 'with a space é')
    env = { MCP_DESCOPE_HOME: home, BROWSER: browser() }
    said = ''
  })
  afterEach(async () => {
    await resource.close()
    await identity.close()
  })
  const cli = async (...args: string[]) => {
    const result = await runCli(args, { env })
    said += `${result.stdout}${result.stderr}`
    return result
  }
  const url = () => resource.url.href

  it('[bridge-no-secrets] [bridge-store-place] sign in, show it, print the token and sign out, without ever saying a secret', async () => {
    const login = await cli('login', url(), '--json')
    expect(login).toMatchObject({ status: 0 })
    const report = JSON.parse(login.stdout)
    expect(report).toMatchObject({ url: url(), issuer: identity.issuer, refreshable: true })
    expect(login.stderr).toContain('/authorize?')

    const again = await cli('login', url())
    expect(again.stderr).toContain('Already signed in')
    expect(identity.counters.authorizations).toBe(1)

    const status = await cli('status', '--json')
    const { identities } = JSON.parse(status.stdout)
    expect(identities).toEqual([
      expect.objectContaining({
        target: expect.any(String),
        url: url(),
        subject: expect.any(String),
        scopes: expect.any(Array),
        expiresAt: expect.any(String),
        refreshable: true,
        store: expect.objectContaining({ kind: 'file', reason: expect.any(String) }),
      }),
    ])
    const shown = await cli('status', url())
    expect(shown).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('refreshes by itself'),
    })

    const token = await runCli(['token', url()], { env })
    expect(token).toMatchObject({ status: 0, stderr: '' })
    expect(token.stdout.trim().split('.')).toHaveLength(3)
    const fresh = await runCli(['token', url(), '--min-ttl', '1h'], { env })
    expect(fresh.stdout).not.toBe(token.stdout)

    const logout = await cli('logout', url(), '--json')
    expect(JSON.parse(logout.stdout).signedOut).toEqual([
      expect.objectContaining({ revoked: true }),
    ])
    expect(await cli('token', url())).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('mcp-descope-proxy login'),
    })
    expect(await cli('status', url())).toMatchObject({ status: 3 })

    // The URL that is shown holds the code challenge, which is no secret.
    const talk = said.replace(/code_challenge=[\w-]+/g, '')
    for (const secret of identity.issuedSecrets()) expect(talk).not.toContain(secret)
  }, 60_000)

  it.each([404, 403])('exit 3 where the account is not admitted (%i)', async (badTokenStatus) => {
    const guard = { badTokenStatus, accepts: () => false }
    const target = await startGuardedTarget(identity, guard)
    for (const how of ['Signed in', 'not admit']) {
      const login = await cli('login', target.url)
      expect(login.status).toBe(3)
      expect(login.stderr).toContain(how)
      expect(login.stderr).toContain(`does not admit this account (HTTP ${badTokenStatus}`)
    }
    await target.close()
  })

  it('[bridge-paste] take the URL that was pasted in another process', async () => {
    const waiting = startCli(['login', url(), '--no-browser', '--json'], { env })
    const [, shown = ''] = await waiting.waitFor('stderr', /(http:\S+authorize\?\S+)/)
    const redirect = await fetch(shown, { redirect: 'manual' })
    const pasted = await cli('login', url(), '--paste', redirect.headers.get('location') ?? '')
    expect(pasted).toMatchObject({ status: 0 })
    waiting.child.stdin.end()
    expect(await waiting.ended).toMatchObject({ status: 0 })
  }, 60_000)

  it('show a code where it is wished', async () => {
    const waiting = startCli(['login', url(), '--login', 'device'], { env })
    const [code] = await waiting.waitFor('stderr', /\b[A-Z]{3}-[A-Z]{3}\b/)
    identity.approveDevice(code)
    expect(await waiting.ended).toMatchObject({ status: 0 })
  }, 60_000)

  it('[bridge-no-tab] exit 3 in CI, opening nothing', async () => {
    env = { ...env, CI: 'true' }
    expect(await cli('login', url(), '--json')).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('SIGN_IN_REQUIRED'),
    })
  })

  it('print a token of the client itself in CI', async () => {
    identity.set({ clients: [{ clientId: 'ci', clientSecret: 'ci-secret' }] })
    env = {
      ...env,
      CI: 'true',
      MCP_DESCOPE_CLIENT_ID: 'ci',
      MCP_DESCOPE_CLIENT_SECRET: 'ci-secret',
    }
    const token = await cli('token', url())
    expect(token).toMatchObject({ status: 0, stdout: expect.stringMatching(/^eyJ/) })
  })

  it('keep a token that is given on stdin', async () => {
    const given = await identity.mint()
    const kept = await runCli(['login', url(), '--with-token', '--json'], {
      env,
      stdin: `${given}\n`,
    })
    expect(JSON.parse(kept.stdout)).toMatchObject({ refreshable: false })
    expect((await cli('token', url())).stdout).toBe(`${given}\n`)
  })

  it('[bridge-offline-access] say when to sign in again where there is no refresh token', async () => {
    const given = await identity.mint()
    await runCli(['login', url(), '--with-token'], { env, stdin: `${given}\n` })
    const { stdout } = await cli('status', url())
    expect(stdout).toMatch(/good for \d+ min, no refresh token: then sign in again/)
  })

  it('[bridge-logout] sign out of everything with --all, and of one of several only by name', async () => {
    const tokens = [await identity.mint(), await identity.mint()]
    for (const [index, token] of tokens.entries()) {
      const args = ['login', url(), '--with-token', '--profile', `p${index}`]
      await runCli(args, { env, stdin: `${token}\n` })
    }
    expect(await cli('logout')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--all'),
    })
    expect(JSON.parse((await cli('status', '--json')).stdout).identities).toHaveLength(2)
    expect(JSON.parse((await cli('logout', '--all', '--json')).stdout).signedOut).toHaveLength(2)
    expect(JSON.parse((await cli('status', '--json')).stdout).identities).toEqual([])
  }, 30_000)

  it('[bridge-bound-tokens] give no token to another URL or profile', async () => {
    await cli('login', url())
    expect(await cli('token', `${resource.origin}/other`)).toMatchObject({ status: 3 })
    expect(await cli('token', url(), '--profile', 'work')).toMatchObject({ status: 3 })
  }, 30_000)

  it.each([
    ['login', 'ftp://x'],
    ['token', 'unknown'],
    ['login', 'https://x.example/mcp', '--callback-port', '0'],
    ['login', 'https://x.example/mcp', '--callback-host', '192.0.2.1'],
    ['login', 'https://x.example/mcp', '--login', 'magic'],
    ['status', '--unknown'],
  ])('exit 2 for %s %s %s %s', async (...args) => {
    expect(await cli(...args)).toMatchObject({ status: 2, stdout: '' })
  })

  it('[bridge-candidate-ports] print the redirect URIs that a client has to have registered, asking nobody', async () => {
    const usual = [28682, 28683, 28684, 28685].map((port) => `http://127.0.0.1:${port}/callback`)
    expect(await cli('login', '--print-redirect-uris')).toMatchObject({
      status: 0,
      stdout: `${usual.join('\n')}\n`,
      stderr: '',
    })
    const one = ['--callback-host', '::1', '--callback-port', '4000', '--json']
    const { stdout } = await cli('login', 'https://x.example/mcp', '--print-redirect-uris', ...one)
    expect(JSON.parse(stdout)).toEqual({ redirectUris: ['http://[::1]:4000/callback'] })
    env['MCP_DESCOPE_CALLBACK_HOST'] = 'localhost'
    const byVariable = await cli('login', '--print-redirect-uris')
    expect(byVariable.stdout).toBe(`${usual.join('\n').replaceAll('127.0.0.1', 'localhost')}\n`)
    expect(identity.requests).toEqual([])
  }, 30_000)

  it('exit 4 when the server does not answer', async () => {
    const gone = url()
    await resource.close()
    expect(await cli('login', gone, '--json')).toMatchObject({ status: 4 })
  })
})
