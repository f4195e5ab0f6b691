import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { call } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'

let identity: Identity
let target: RecordingTarget
let folder: string
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget({ sessions: 'required' })
  folder = await mkdtemp(join(tmpdir(), 'serve-'))
})
afterAll(async () => {
  await identity.close()
  await target.close()
  await rm(folder, { recursive: true, force: true })
})

const seed = (): Record<string, string> => ({
  DESCOPE_CONFIG_URL: identity.configUrl,
  TARGET_MCP_SERVER_URL: target.url,
  TARGET_TOKEN: 'token-of-the-target',
})

async function startServe(env: Record<string, string>, ...flags: string[]) {
  const cli = startCli(['serve', '--port', '0', '--log-format', 'json', ...flags], {
    env,
    cwd: folder,
  })
  const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  const { port } = new URL(url)
  const token = await identity.mint({ aud: env['SERVER_URL'] ?? `http://localhost:${port}/mcp` })
  return { ...cli, url, origin: new URL(url).origin, headers: { authorization: `Bearer ${token}` } }
}

describe('serve', () => {
  it("runs with the seed's variables alone, relays a call, and keeps every secret", async () => {
    const serve = await startServe({
      ...seed(),
      SESSION_SECRET: SECRET,
      MCP_DESCOPE_LOG_LEVEL: 'debug',
    })
    const params = { name: 'target_echo', arguments: { note: 'canary-argument' } }
    const answer = await call(serve.url, 'tools/call', params, { headers: serve.headers })
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('canary-argument')
    expect(target.of('tools/call').at(-1)?.headers.authorization).toBe('Bearer token-of-the-target')
    await call(serve.url, 'tools/call', params, {
      headers: { authorization: 'Bearer bad.token.x' },
    })
    serve.child.kill('SIGTERM')
    const { status, stdout, stderr } = await serve.ended
    expect(status).toBe(0)
    expect(stdout).toBe('')
    const { authorization } = serve.headers
    for (const canary of [
      'token-of-the-target',
      SECRET,
      authorization.slice(7),
      'canary-argument',
    ]) {
      expect(stderr).not.toContain(canary)
    }
  })

  it('refuses to start without DESCOPE_CONFIG_URL and says what to do', async () => {
    const { DESCOPE_CONFIG_URL: _, ...env } = seed()
    const { status, stdout, stderr } = await runCli(['serve'], { env, cwd: folder })
    expect(status).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain('set DESCOPE_CONFIG_URL')
  })

  it('refuses a discovery URL that leads to something else', async () => {
    const page = createServer((_, response) => response.end('<html>Welcome</html>'))
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve))
    const { port } = page.address() as AddressInfo
    const url = identity.configUrl.replace(identity.url, `http://127.0.0.1:${port}`)
    const env = { ...seed(), DESCOPE_CONFIG_URL: url, PORT: '0' }
    const { status, stderr } = await runCli(['serve'], { env, cwd: folder })
    page.close()
    expect(status).toBe(2)
    expect(stderr).toMatch(/error: .+\nhint: /)
  })

  it('names the busy port and what to do', async () => {
    const { port } = new URL(target.url)
    const { status, stderr } = await runCli(['serve', '--port', port], { env: seed(), cwd: folder })
    expect(status).toBe(1)
    expect(stderr).toContain(`Cannot listen on 127.0.0.1:${port}: another program listens there`)
    expect(stderr).toContain('--port')
  })

  it('names a malformed file, an unknown key and an unknown flag', async () => {
    const file = join(folder, 'broken.json')
    await writeFile(file, '{ "server": { "prot": 1 } }')
    const unknownKey = await runCli(['serve', '--config', file], { env: seed(), cwd: folder })
    expect(unknownKey.status).toBe(2)
    expect(unknownKey.stderr).toMatch(/server\.prot.*port/s)
    await writeFile(file, '{ "server": ')
    const malformed = await runCli(['serve', '--config', file], { env: seed(), cwd: folder })
    expect(malformed.status).toBe(2)
    expect(malformed.stderr).toContain('broken.json')
    const flag = await runCli(['serve', '--prot', '1'], { env: seed(), cwd: folder })
    expect(flag.status).toBe(2)
    expect(flag.stderr).toContain('--port')
  })

  it('stays up while Descope is unreachable, is not ready, and recovers', async () => {
    const first = await startIdentity({ clock })
    const port = Number(new URL(first.url).port)
    const { projectId, serverId, configUrl } = first
    const publicUrl = 'http://localhost:8123'
    const token = await first.mint({ aud: `${publicUrl}/mcp` })
    await first.close()
    const env = { ...seed(), DESCOPE_CONFIG_URL: configUrl, SERVER_URL: publicUrl }
    const serve = await startServe(env)
    expect(serve.stderr()).toContain('descope_unreachable')
    const ready = await fetch(`${serve.origin}/readyz`)
    expect(ready.status).toBe(503)
    expect(await ready.json()).toMatchObject({ ready: false, keys: 'missing' })
    const headers = { authorization: `Bearer ${token}` }
    const refused = await call(serve.url, 'ping', {}, { headers })
    expect(refused.status).toBe(503)
    expect(refused.headers['retry-after']).toBeDefined()
    const again = await startIdentity({ clock, port, projectId, serverId })
    await eventually(async () => {
      expect((await fetch(`${serve.origin}/readyz`)).status).toBe(200)
    })
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
    await again.close()
  })

  it('finishes a running call on SIGTERM, ends streams, and refuses new requests', async () => {
    const serve = await startServe({ ...seed(), SESSION_SECRET: SECRET })
    target.on('tools/call', async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_500))
      return { content: [{ type: 'text', text: 'late' }] }
    })
    const clientInfo = { name: 'c', version: '1' }
    const hello = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
    const opened = await call(serve.url, 'initialize', hello, { headers: serve.headers })
    const headers = { ...serve.headers, 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    const stream = await fetch(serve.url, { headers: { ...headers, accept: 'text/event-stream' } })
    expect(stream.status).toBe(200)
    const running = call(serve.url, 'tools/call', { name: 'target_echo' }, { headers })
    await target.until(({ rpc, aborted }) => rpc === 'tools/call' && !aborted)
    await new Promise((resolve) => setTimeout(resolve, 300))
    serve.child.kill('SIGTERM')
    await eventually(async () => {
      expect((await fetch(`${serve.origin}/readyz`)).status).toBe(503)
    })
    expect((await call(serve.url, 'ping', {}, { headers })).status).toBe(503)
    expect(await stream.text()).not.toContain('error')
    expect((await running).body).toContain('late')
    expect((await serve.ended).status).toBe(0)
  })

  it('serves from several workers with one secret, and refuses to without', async () => {
    const flags = ['--workers', '2', '--metrics-port', '0']
    const refused = await runCli(['serve', ...flags], { env: seed(), cwd: folder })
    expect(refused.status).toBe(2)
    expect(refused.stderr).toContain('SESSION_SECRET')
    const serve = await startServe({ ...seed(), SESSION_SECRET: SECRET }, '--workers', '2')
    expect(serve.stderr().match(/"event":"listening"/g)).toHaveLength(1)
    const clientInfo = { name: 'c', version: '1' }
    const hello = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
    const opened = await call(serve.url, 'initialize', hello, { headers: serve.headers })
    const headers = { ...serve.headers, 'mcp-session-id': String(opened.headers['mcp-session-id']) }
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => call(serve.url, 'tools/list', {}, { headers })),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })

  it.each([
    ['one process', []],
    ['several workers', ['--workers', '2']],
  ])('names an IPv6 address as a URL does, from %s', async (_title, flags) => {
    const env = { ...seed(), SESSION_SECRET: SECRET }
    const serve = await startServe(env, '--host', '::1', ...flags)
    expect(serve.url).toMatch(/^http:\/\/\[::1\]:\d+\/mcp$/)
    expect((await fetch(`${serve.origin}/healthz`)).status).toBe(200)
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })

  it('ends all workers with one message when they cannot listen', async () => {
    const { port } = new URL(target.url)
    const env = { ...seed(), SESSION_SECRET: SECRET }
    const flags = ['--workers', '2', '--port', port]
    const { status, stderr } = await runCli(['serve', ...flags], { env, cwd: folder })
    expect(status).toBe(1)
    expect(stderr).toContain('another program listens there')
    expect(stderr).not.toContain('another takes its place')
  })

  it('says once that several workers were led to something else', async () => {
    const page = createServer((_, response) => response.end('<html>Welcome</html>'))
    await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve))
    const { port } = page.address() as AddressInfo
    const url = identity.configUrl.replace(identity.url, `http://127.0.0.1:${port}`)
    const env = { ...seed(), DESCOPE_CONFIG_URL: url, PORT: '0', SESSION_SECRET: SECRET }
    const { status, stderr } = await runCli(['serve', '--workers', '2'], { env, cwd: folder })
    page.close()
    expect(status).toBe(2)
    expect(stderr.match(/^error: /gm)).toHaveLength(1)
  })

  it.runIf(process.platform === 'linux')('replaces a worker that dies', async () => {
    const serve = await startServe({ ...seed(), SESSION_SECRET: SECRET }, '--workers', '2')
    const children = await readFile(
      `/proc/${serve.child.pid}/task/${serve.child.pid}/children`,
      'utf8',
    )
    const [first] = children.trim().split(' ')
    process.kill(Number(first), 'SIGKILL')
    await serve.waitFor('stderr', /"event":"worker_died"/)
    const answers = await Promise.all(
      Array.from({ length: 8 }, () =>
        call(serve.url, 'tools/list', {}, { headers: serve.headers }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })

  it.each([
    ['one process', []],
    ['several workers', ['--workers', '2']],
  ])('counts requests of %s on a port of their own', async (_title, flags) => {
    const port = String(await freePort())
    const env = { ...seed(), SESSION_SECRET: SECRET }
    const serve = await startServe(env, '--metrics-port', port, ...flags)
    for (let i = 0; i < 6; i++) {
      await call(serve.url, 'tools/list', {}, { headers: serve.headers })
    }
    await call(serve.url, 'ping', {}, { headers: { authorization: 'Bearer bad.token.x' } })
    expect((await fetch(`${serve.origin}/metrics`)).status).toBe(401)
    const response = await fetch(`http://127.0.0.1:${port}/metrics`)
    expect(response.headers.get('content-type')).toContain('text/plain')
    const text = await response.text()
    expect(text).toMatch(
      /mcp_proxy_requests_total\{method="tools\/list",target="target",status="200"\} 6/,
    )
    expect(text).toMatch(/mcp_proxy_refusals_total\{reason="malformed"\} 1/)
    expect((await fetch(`http://127.0.0.1:${port}/mcp`)).status).toBe(404)
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })

  it.each([
    ['one process', []],
    ['several workers', ['--workers', '2']],
  ])('names a busy metrics port of %s', async (_title, flags) => {
    const { port } = new URL(target.url)
    const env = { ...seed(), SESSION_SECRET: SECRET, PORT: '0' }
    const given = ['serve', '--metrics-port', port, ...flags]
    const { status, stderr } = await runCli(given, { env, cwd: folder })
    expect(status).toBe(1)
    expect(stderr).toContain(`Cannot listen on 127.0.0.1:${port}: another program listens there`)
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('does not wait at its end for connections that never asked anything', async () => {
    const serve = await startServe(seed())
    const silent = connect(Number(new URL(serve.url).port), '127.0.0.1')
    await new Promise((resolve) => silent.once('connect', resolve))
    const closed = new Promise((resolve) => silent.once('close', resolve))
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
    await closed
  })

  it('starts while its target is down, and works once that is up', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/mcp`
    const serve = await startServe({ ...seed(), TARGET_MCP_SERVER_URL: url })
    const ask = async () => {
      const answer = await call(serve.url, 'tools/list', {}, { headers: serve.headers })
      expect(answer.status).toBe(200)
      return JSON.parse(answer.body)
    }
    expect((await ask()).error.data.cause).toBe('unreachable')
    expect((await fetch(`${serve.origin}/readyz`)).status).toBe(200)
    const late = await startRecordingTarget({ port })
    expect((await ask()).result.tools[0].name).toBe('target_echo')
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
    await late.close()
  })

  it('limits requests per subject, and tells when to come again', async () => {
    const env = { ...seed(), MCP_DESCOPE_LIMITS_REQUESTS_PER_MINUTE: '3' }
    const serve = await startServe(env)
    const ask = (headers: Record<string, string>) => call(serve.url, 'tools/list', {}, { headers })
    for (let i = 0; i < 3; i++) expect((await ask(serve.headers)).status).toBe(200)
    const refused = await ask(serve.headers)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60)
    const aud = `http://localhost:${new URL(serve.url).port}/mcp`
    const other = await identity.mint({ aud, sub: 'Uanother' })
    expect((await ask({ authorization: `Bearer ${other}` })).status).toBe(200)
    serve.child.kill('SIGTERM')
    expect((await serve.ended).status).toBe(0)
  })
})
