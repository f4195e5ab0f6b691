import { existsSync, readFileSync, renameSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createProxy } from '../../../src/index.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { clock } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const KEY = 'a-key-of-the-audit-trail-of-more-than-32-bytes'

let identity: Identity
let target: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget({ tools: [tool('read')] })
})
afterAll(async () => {
  for (const part of [target, identity]) await part.close()
})

const env = () => ({
  DESCOPE_CONFIG_URL: identity.configUrl,
  TARGET_MCP_SERVER_URL: target.url,
  SESSION_SECRET: 'a-session-secret-of-more-than-32-bytes',
  PORT: '0',
})

async function serve(variables: Record<string, string>, ...flags: string[]) {
  const cli = startCli(['serve', '--log-format', 'json', ...flags], {
    env: { ...env(), ...variables },
    timeoutMs: 60_000,
  })
  const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  const token = await identity.mint({ aud: [url.replace('127.0.0.1', 'localhost')] })
  const call = async () => {
    const response = await fetch(url, {
      method: 'POST',
      // a connection each, so that all workers get some
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${token}`,
        connection: 'close',
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'target_read' },
      }),
    })
    expect(response.status).toBe(200)
    await response.text()
  }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    cli.child.kill(signal)
    return cli.ended
  }
  return { cli, call, stop }
}

const calls = (path: string) =>
  existsSync(path) ? readFileSync(path, 'utf8').split('"event":"call"').length - 1 : 0

const verify = (args: string[], variables: Record<string, string> = {}) =>
  runCli(['audit', 'verify', '--json', ...args], { env: variables })

describe('the audit file', () => {
  it('of two workers is opened anew on SIGHUP, and is verified over rotation and restart', async () => {
    const path = join(createFolder(), 'audit.jsonl')
    const keyed = { MCP_DESCOPE_AUDIT_KEY: KEY }
    const first = await serve({ ...keyed, MCP_DESCOPE_AUDIT_FILE: path }, '--workers', '2')
    for (let i = 0; i < 8; i++) await first.call()
    await expect.poll(() => calls(path), { timeout: 10_000 }).toBe(8)
    renameSync(path, `${path}.1`)
    first.cli.child.kill('SIGHUP')
    await expect.poll(() => existsSync(path), { timeout: 10_000 }).toBe(true)
    for (let i = 0; i < 4; i++) await first.call()
    await expect.poll(() => calls(path), { timeout: 10_000 }).toBe(4)
    expect(await first.stop()).toMatchObject({ status: 0 })
    const second = await serve({ ...keyed, MCP_DESCOPE_AUDIT_FILE: path })
    await second.call()
    expect(await second.stop()).toMatchObject({ status: 0 })

    const whole = await verify([`${path}.1`, path], keyed)
    expect(JSON.parse(whole.stdout)).toMatchObject({ ok: true, records: 13 + 3 + 3, problems: [] })
    expect(whole.status).toBe(0)
    // the second file alone begins in the middle, unless the heads of the first are known
    const part = await verify([path], keyed)
    expect(part.status).toBe(1)
    const old = JSON.parse((await verify([`${path}.1`], keyed)).stdout)
    const heads = old.writers.map(({ head }: { head: string }) => head)
    const known = await verify([path, ...heads.flatMap((head: string) => ['--after', head])], keyed)
    expect(known).toMatchObject({ status: 0 })
    expect((await verify([`${path}.1`, path])).status).toBe(1)
    const text = await runCli(['audit', 'verify', path], { env: keyed })
    expect(text.stdout).toMatch(/audit\.jsonl:1: writer .* begins in the middle, with record \d+/)
  }, 60_000)

  it('of a process that was killed goes on with the next one, and the missing end shows', async () => {
    const path = join(createFolder(), 'audit.jsonl')
    const first = await serve({ MCP_DESCOPE_AUDIT_FILE: path })
    await first.call()
    await expect.poll(() => calls(path), { timeout: 10_000 }).toBe(1)
    await first.stop('SIGKILL')
    const second = await serve({ MCP_DESCOPE_AUDIT_FILE: path })
    await second.stop()
    const report = JSON.parse((await verify([path])).stdout)
    expect(report).toMatchObject({ ok: true, writers: [{ stopped: false }, { stopped: true }] })
  }, 60_000)

  it.each([
    [{ MCP_DESCOPE_AUDIT_FILE: '/nowhere/audit.jsonl' }, /Cannot open audit.file .*does not exist/],
    [{ MCP_DESCOPE_AUDIT_FILE: '/tmp' }, /Cannot open audit.file \/tmp: it is a folder/],
    [{ MCP_DESCOPE_AUDIT_DESCOPE: 'true' }, /descope.managementKey is not set .*— set/],
    [{ MCP_DESCOPE_AUDIT_KEY: 'short', MCP_DESCOPE_AUDIT_STDOUT: '1' }, /audit.key/],
    [{ MCP_DESCOPE_AUDIT_FILE: '/tmp/x', VERCEL: '1' }, /no file outlives a request on Vercel/],
  ])('and its settings are refused at the start: %o', async (variables, expected) => {
    const { status, stderr } = await runCli(['serve'], {
      env: { ...env(), ...(variables as Record<string, string>) },
    })
    expect(stderr).toMatch(expected)
    expect(status).toBe(2)
  })

  it.skipIf(process.platform === 'win32')(
    'on a full disk fails no call, and what is lost is told',
    async () => {
      const { call, stop, cli } = await serve({ MCP_DESCOPE_AUDIT_FILE: '/dev/full' })
      await call()
      await cli.waitFor('stderr', /"event":"audit_failed".*ENOSPC/)
      await call()
      const { status, stderr } = await stop()
      expect(status).toBe(0)
      expect(stderr).toMatch(/"event":"audit_lost".*"lost":4/)
    },
    60_000,
  )
})

describe('audit records on stdout', () => {
  it('are one JSON object a line, and make a chain', async () => {
    const { call, stop } = await serve({ MCP_DESCOPE_AUDIT_STDOUT: 'true' })
    await call()
    const { stdout } = await stop()
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).event)
    expect(events).toEqual(['start', 'call', 'stop'])
    const report = await runCli(['audit', 'verify', '-'], { stdin: stdout })
    expect(report.stdout).toMatch(/^3 records of 1 writer, whole and unchanged\nhead [\w-]{43} /)
  })

  it('outlive whoever reads them', async () => {
    const { call, cli, stop } = await serve({ MCP_DESCOPE_AUDIT_STDOUT: 'true' })
    cli.child.stdout.destroy()
    await call()
    await cli.waitFor('stderr', /"event":"audit_failed".*EPIPE/)
    await call()
    expect(await stop()).toMatchObject({ status: 0 })
  })

  it('go to the program around createProxy', async () => {
    let lines = ''
    const proxy = createProxy(
      {
        descope: { configUrl: identity.configUrl },
        audit: { stdout: true },
        targets: { target: { url: target.url } },
      },
      {
        audit: (text) => {
          lines += text
        },
      },
    )
    await proxy.ready
    const server = createServer(proxy).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const response = await fetch(`http://127.0.0.1:${port}/mcp`, { method: 'POST' })
    expect(response.status).toBe(401)
    await proxy.close()
    server.closeAllConnections()
    server.close()
    expect(lines).toMatch(/"event":"start".*\n.*"status":401.*"refusal":"missing".*\n.*"stop"/)
  })
})

describe('audit verify', () => {
  it.each([
    [['audit', 'verify', '/nowhere/x'], /Cannot read \/nowhere\/x \(ENOENT\)/],
    [['audit', 'verify'], /No file is named, and audit.file is not set/],
    [['audit', 'verify', '--head', 'x', '/dev/null'], /hash of a record/],
  ])('%j is a mistake of whoever calls it', async (args, expected) => {
    const { status, stderr } = await runCli(args)
    expect(stderr).toMatch(expected)
    expect(status).toBe(2)
  })
})
