import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createProxy } from '../../../src/index.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { clock } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { call } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'

let identity: Identity
let others: Identity
let docs: RecordingTarget
let bills: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  others = await startIdentity({ clock, scopes: ['billing'] })
  docs = await startRecordingTarget({ tools: [tool('read')] })
  bills = await startRecordingTarget({ tools: [tool('pay')] })
})
afterAll(async () => {
  for (const part of [docs, bills, identity, others]) await part.close()
})

const configuration = (server: object = {}) => ({
  descope: { configUrl: identity.configUrl },
  server: { endpoints: 'each' as const, ...server },
  targets: {
    docs: { url: docs.url },
    bills: {
      url: bills.url,
      descope: { configUrl: others.configUrl },
      access: { roles: ['accountant'] },
    },
  },
})

const folderWith = (server: object = {}) =>
  createFolder({ '.mcp-descope-proxyrc.json': configuration(server) })

const ACCOUNTANT = { roles: ['accountant'] }

describe('the program', () => {
  it('serves each target at its own URL from several workers, and test-target passes there', async () => {
    const cli = startCli(['serve', '--port', '0', '--workers', '2', '--log-format', 'json'], {
      env: { SESSION_SECRET: SECRET },
      cwd: folderWith(),
    })
    const [, listed = ''] = await cli.waitFor(
      'stderr',
      /"event":"listening".*"endpoints":(\[.*?\])/,
    )
    const [docsUrl = '', billsUrl = ''] = JSON.parse(listed)
    expect(docsUrl).toMatch(/^http:\/\/localhost:\d+\/docs\/mcp$/)
    expect(billsUrl).toBe(docsUrl.replace('docs', 'bills'))
    const urls = { docs: docsUrl, bills: billsUrl }
    const tokens: Record<string, string> = {
      docs: await identity.mint({ aud: [docsUrl] }),
      bills: await others.mint({ aud: [billsUrl], ...ACCOUNTANT }),
    }
    for (const [name, url] of Object.entries(urls)) {
      for (const [other, token] of Object.entries(tokens)) {
        for (let times = 0; times < 4; times++) {
          const headers = { authorization: `Bearer ${token}`, connection: 'close' }
          const { status } = await call(url, 'tools/list', {}, { headers })
          expect([name, other, status]).toEqual([name, other, name === other ? 200 : 401])
        }
      }
      const { status, stdout } = await runCli(['test-target', url, '--json'], {
        env: { MCP_DESCOPE_TOKEN: tokens[name] ?? '' },
        cwd: createFolder({}),
      })
      const { checks } = JSON.parse(stdout)
      const failed = checks.filter(({ outcome }: { outcome: string }) => outcome === 'fail')
      expect([name, status, failed]).toEqual([name, 0, []])
    }
    cli.child.kill('SIGTERM')
    expect((await cli.ended).status).toBe(0)
  })

  it('inspect tells the endpoints, and what Descope says of each MCP server', async () => {
    const cwd = folderWith({ publicUrl: 'https://proxy.example.com' })
    const { stdout, status } = await runCli(['inspect', '--json', '--trust'], { env: {}, cwd })
    const { endpoints, descope, targets } = JSON.parse(stdout)
    expect(endpoints).toEqual([
      { target: 'docs', url: 'https://proxy.example.com/docs/mcp' },
      { target: 'bills', url: 'https://proxy.example.com/bills/mcp' },
    ])
    const ids = descope.map(({ id }: { id: string }) => id)
    expect(ids).toEqual(expect.arrayContaining(['descope.keys', 'descope.discovery:bills']))
    expect(targets[0].tools[0]).toMatchObject({ name: 'read', exposedAs: 'read' })
    expect(status).toBe(0)
    const text = await runCli(['inspect', '--trust'], { env: {}, cwd })
    expect(text.stdout).toContain('https://proxy.example.com/bills/mcp')
  })

  it('add gives a host the URL of the endpoint that a target has', async () => {
    const file = JSON.stringify(configuration({ publicUrl: 'https://proxy.example.com' }))
    const cwd = createFolder({ 'c.json': file })
    const args = ['add', 'cursor', 'docs', '--http', '--config', 'c.json']
    const { stdout } = await runCli(args, { env: {}, cwd })
    expect(stdout).toContain('https://proxy.example.com/docs/mcp')
    expect(stdout).toContain('docs-proxy-example-com')
    const merged = createFolder({
      'c.json': file
        .replace('"each"', '"merged"')
        .replace(/"descope":\{"configUrl":"[^"]+"\},"access"/, '"access"'),
    })
    const refused = await runCli(args, { env: {}, cwd: merged })
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('needs a URL')])
  })

  it('explain-access answers for the endpoint that is named', async () => {
    const cwd = folderWith({ publicUrl: 'https://proxy.example.com' })
    const explain = (...args: string[]) =>
      runCli(['config', 'explain-access', ...args, '--json'], { env: {}, cwd })
    const claims = (value: object) => ['--claims', JSON.stringify(value)]
    const asked = ['pay', '--endpoint', 'bills']
    expect(JSON.parse((await explain(...asked, ...claims(ACCOUNTANT))).stdout)).toMatchObject({
      ...{ allowed: true, target: 'bills', own: 'pay', targetAsked: false },
      endpoint: 'https://proxy.example.com/bills/mcp',
    })
    expect(JSON.parse((await explain(...asked, ...claims({}))).stdout)).toMatchObject({
      allowed: false,
      verdicts: [{ refusal: 'access', rule: 'access.roles' }, { refusal: 'access' }],
    })
    const unclear = await explain('pay', ...claims({}))
    expect(unclear.status).toBe(2)
    expect(unclear.stderr).toContain('Name one with --endpoint: docs, bills.')
    expect((await explain('pay', '--endpoint', 'x', ...claims({}))).status).toBe(2)
  })
})

describe('createProxy', () => {
  it('has the endpoints of targets, too', async () => {
    const publicUrl = 'https://proxy.example.com'
    const proxy = createProxy(
      configuration({ publicUrl, endpoints: 'both', allowedHosts: ['127.0.0.1'] }),
      { env: { SESSION_SECRET: SECRET, VERCEL: '1' } },
    )
    await proxy.ready
    const server = createServer(proxy)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    try {
      const token = await others.mint({ aud: [`${publicUrl}/bills/mcp`], ...ACCOUNTANT })
      const headers = { authorization: `Bearer ${token}` }
      const list = await call(`${origin}/bills/mcp`, 'tools/list', {}, { headers })
      expect(list.status).toBe(200)
      expect(list.body).toContain('"pay"')
      expect((await call(`${origin}/mcp`, 'tools/list', {}, { headers })).status).toBe(401)
      expect((await call(`${origin}/docs/mcp`, 'tools/list', {}, { headers })).status).toBe(401)
      const metadata = await fetch(`${origin}/.well-known/oauth-protected-resource/bills/mcp`)
      expect(await metadata.json()).toMatchObject({ authorization_servers: [others.issuer] })
    } finally {
      await proxy.close()
      server.close()
    }
  })
})
