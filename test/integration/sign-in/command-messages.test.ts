import { writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
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
import { runCli, startCli } from '../../helpers/cli.js'
import { privateFolder } from '../../helpers/sign-in.js'
import { clock, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type ProtectedTarget, startProtectedTarget } from '../../helpers/targets/protected.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

/** What the commands say of a sign-in is so. */
describe('the commands of a sign-in', () => {
  let identity: Identity
  let target: ProtectedTarget
  let env: Record<string, string>
  const browser = createBrowser(true)
  const started: BridgeProcess[] = []
  const closing: (() => unknown)[] = []

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    target = await startProtectedTarget(identity.issuer, { sessions: 'required' })
    env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    for (const close of closing.splice(0)) await close()
    await target.close()
    await identity.close()
  })

  const start = (url = target.url, more: Record<string, string> = {}, args: string[] = []) => {
    const bridge = startBridge(url, { env: { ...env, ...more }, args })
    started.push(bridge)
    return bridge
  }
  const login = (...args: string[]) => runCli(['login', target.url, ...args], { env })
  const token = async () => (await runCli(['token', target.url], { env })).stdout.trim()
  const serveText = async (status: number, type: string, body: string) => {
    const server: Server = createServer((_, response) => {
      response.writeHead(status, { 'content-type': type }).end(body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(
      () => server.closeAllConnections(),
      () => server.close(),
    )
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it.each([
    [422, { error_code: 'refresh_token_not_found', msg: 'Invalid Refresh Token' }],
    [400, 'no'],
    [403, '<html>gone</html>'],
  ])('lead to a new sign-in after a refresh is refused with %i and %j', async (status, body) => {
    await login()
    const old = await token()
    target.refused.add(old)
    identity.set({ fail: [{ path: '/token', status, body, times: 3 }] })
    const again = await login()
    expect(again).toMatchObject({ status: 0, stderr: expect.not.stringContaining('Already') })
    expect(await token()).not.toBe(old)
    expect(identity.counters.authorizations).toBe(2)
  })

  it('keep the refresh token when the server is in trouble, and refresh when it is not', async () => {
    await login()
    const old = await token()
    target.refused.add(old)
    for (const status of [503, 429]) {
      identity.set({ fail: [{ path: '/token', status, times: 99 }] })
      const bridge = start()
      const answer = await bridge.request('initialize', { protocolVersion: '2025-06-18' })
      expect(answer).toBeDefined()
      await bridge.end()
    }
    identity.set({ fail: [] })
    expect((await login()).stderr).toContain('Already signed in')
    expect(identity.counters).toMatchObject({ refreshes: 1, authorizations: 1 })
  })

  it('never print a token that the target refused for good', async () => {
    await login()
    target.guard = (_request, _token, refuse) => {
      refuse()
      return true
    }
    const bridge = start()
    await bridge.handshake()
    await bridge.call('echo')
    await bridge.end()
    const printed = await runCli(['token', target.url], { env })
    expect(printed).toMatchObject({ status: 3, stdout: '' })
    const status = await runCli(['status', target.url, '--json'], { env })
    expect(status.status).toBe(3)
    expect(JSON.parse(status.stdout).identities[0]).toMatchObject({ refused: true })
  })

  it.each([0, -5, 'soon', null])(
    'take a lifetime of %j for one that is not known',
    async (life) => {
      const grant = { access_token: 'opaque-token', token_type: 'bearer', expires_in: life }
      identity.set({ fail: [{ path: '/token', status: 200, body: grant, times: 9 }] })
      const bridge = start()
      await bridge.handshake()
      const tabs = browser.urls().length
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
      expect(browser.urls().length - tabs).toBeLessThanOrEqual(1)
      await bridge.end()
    },
  )

  it('notice within seconds that somebody signed out', async () => {
    await login()
    const bridge = start(target.url, { BROWSER: '/bin/false', MCP_DESCOPE_LOGIN_WAIT: '1' })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect((await runCli(['logout', target.url], { env })).status).toBe(0)
    await new Promise((resolve) => setTimeout(resolve, 3_500))
    const sent = target.of('tools/call').length
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('Sign in to')
    const late = target.of('tools/call').slice(sent)
    expect(late.every(({ headers }) => headers.authorization === undefined)).toBe(true)
    await bridge.end()
  })

  it('answer a call with the link at once after a sign-in that was denied', async () => {
    const nobody = createBrowser(false)
    const bridge = start(target.url, { BROWSER: nobody.path }, ['--login-wait', '600'])
    await bridge.handshake()
    const first = bridge.call('echo')
    await eventually(() => expect(nobody.urls()).toHaveLength(1))
    const asked = new URL(nobody.urls()[0] as string).searchParams
    const back = new URL(asked.get('redirect_uri') as string)
    back.search = `?error=access_denied&state=${asked.get('state')}`
    const page = await fetch(back)
    expect(await page.text()).toContain('go back to the program')
    expect(textOf(await first)).toContain('access_denied')
    expect(textOf(await bridge.call('echo'))).toMatch(/Sign in to .* at http/)
    expect(nobody.urls()).toHaveLength(1)
    await bridge.end()
  })

  it('find the sign-in that a pasted URL belongs to by its state', async () => {
    const waiting = startCli(['login', target.url, '--login', 'paste'], { env })
    const [, url = ''] = await waiting.waitFor('stderr', /(http\S+authorize\S*)/)
    const answer = await fetch(url, { redirect: 'manual' })
    const end = answer.headers.get('location') ?? ''
    const pasted = await runCli(['login', '--paste', `"${end}"`], { env })
    expect(pasted).toMatchObject({ status: 0, stderr: expect.stringContaining('Signed in') })
    expect((await waiting.ended).status).toBe(0)
    const late = await runCli(['login', '--paste', end], { env })
    expect(late).toMatchObject({ status: 2, stderr: expect.stringContaining('No sign-in waits') })
  })

  it('never ask to paste into the stdin of a bridge', async () => {
    const bridge = start(target.url, {}, ['--login', 'paste', '--login-wait', '1'])
    await bridge.handshake()
    // the first call may end before there is a link
    await bridge.call('echo')
    await bridge.waitFor('stderr', /login --paste "<url>"/)
    expect(textOf(await bridge.call('echo'))).toContain('login --paste "<url>"')
    expect(bridge.stderr()).not.toMatch(/press Enter/i)
    await bridge.end()
  })

  it('say of an open server that there is nothing to sign in to', async () => {
    const open = await startRecordingTarget({})
    closing.push(() => open.close())
    const found = await runCli(['login', open.url], { env })
    expect(found).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('is open to everybody'),
    })
  })

  it('say of a server with a static token that nobody signs in to it', async () => {
    const origin = await serveText(401, 'text/plain', 'no')
    const found = await runCli(['login', `${origin}/mcp`], { env })
    expect(found).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('requires a credential'),
    })
    expect(found.stderr).not.toContain('Registering')
  })

  it('guess the endpoint of somebody who named the front page', async () => {
    const origin = await serveText(200, 'text/html', '<html><title>Acme</title>')
    const meant = `Did you mean ${origin}/mcp?`
    for (const command of [
      ['login', origin],
      ['test-target', origin],
    ]) {
      const found = await runCli(command, { env })
      expect(found.stdout + found.stderr).toContain(meant)
      expect(found.status).not.toBe(0)
    }
    const bridge = start(origin)
    const answer = await bridge.request('initialize', { protocolVersion: '2025-06-18' })
    expect(JSON.stringify(answer)).toContain(meant)
    const stack = await startStack({ targets: { main: target.url }, identity })
    closing.push(() => stack.close())
    const posted = await fetch(stack.origin, { method: 'POST', body: '{}' })
    expect(posted.status).toBe(405)
    expect(await posted.text()).toContain(`Did you mean ${stack.server.resource}?`)
  })

  it.each(['login', 'stdio', 'add cursor', 'inspect', 'test-target'])(
    'guess the URL of somebody who left out its scheme at %s',
    async (command) => {
      const found = await runCli([...command.split(' '), 'mcp.example.com/mcp'], { env })
      expect(found).toMatchObject({ status: 2 })
      expect(found.stderr).toContain('Did you mean https://mcp.example.com/mcp?')
    },
  )

  const COMMANDS = 'login logout status token stdio inspect test-target'.split(' ')
  it.each([...COMMANDS, 'add cursor', 'add codex --dry-run'])(
    'name the folder when MCP_DESCOPE_HOME is a file, at %s',
    async (command) => {
      const file = join(privateFolder(), 'file')
      writeFileSync(file, '')
      for (const home of [file, join(file, 'below')]) {
        const found = await runCli([...command.split(' '), target.url], {
          env: { ...env, MCP_DESCOPE_HOME: home },
        })
        expect(found).toMatchObject({ status: 2, stderr: expect.stringContaining(home) })
        expect(found.stderr).toMatch(/not a folder|is no folder/)
        expect(found.stderr).toContain('Set MCP_DESCOPE_HOME')
        expect(found.stderr).not.toContain('mistake in the program')
      }
    },
  )

  it.skipIf(process.platform !== 'linux')(
    'name the folder when MCP_DESCOPE_HOME cannot be made, before anybody signs in',
    async () => {
      const home = '/proc/nobody-can-make-this'
      const own = { ...env, MCP_DESCOPE_HOME: home }
      const login = await runCli(['login', target.url], { env: own })
      expect(login).toMatchObject({ status: 2, stdout: '' })
      expect(login.stderr).toMatch(
        /^error: Cannot create the folder \/proc\/nobody.+\nhint: .+MCP_DESCOPE_HOME/m,
      )
      const bridge = start(target.url, { MCP_DESCOPE_HOME: home })
      await bridge.handshake()
      const text = textOf(await bridge.call('echo'))
      expect(text).toContain(home)
      expect(text).toContain('Set MCP_DESCOPE_HOME')
      await bridge.end()
      expect(identity.counters.authorizations).toBe(0)
      for (const command of ['status', 'inspect', 'test-target', 'add cursor']) {
        const found = await runCli([...command.split(' '), target.url], { env: own })
        expect(found.stdout + found.stderr).not.toContain('mistake in the program')
      }
    },
  )

  it('is no matter to serve, which keeps nothing there', async () => {
    const file = join(privateFolder(), 'file')
    writeFileSync(file, '')
    const args = ['serve', '--insecure-no-auth', '--port', '0', '--target', target.url]
    const served = startCli(args, { env: { MCP_DESCOPE_HOME: file } })
    await served.waitFor('stderr', /Listening on/)
    served.child.kill('SIGTERM')
    expect(await served.ended).toMatchObject({ status: 0 })
  })

  it.each(['status', 'logout'])('say on stderr that there is nothing to %s', async (command) => {
    const found = await runCli([command], { env: { ...env, MCP_DESCOPE_HOME: privateFolder() } })
    expect(found).toMatchObject({ status: 0, stdout: '' })
    expect(found.stderr).toMatch(/^Nobody (is|was) signed in/)
  })
})
