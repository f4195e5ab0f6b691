import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startIdentity } from '../../src/demo/identity/index.js'
import { createHome, startBridge } from '../helpers/bridge.js'
import { type CliResult, runCli, startCli } from '../helpers/cli.js'
import { freePort } from '../helpers/sign-in.js'
import { clock } from '../helpers/stack.js'
import { startRecordingTarget } from '../helpers/targets/recording.js'

const KEY = 'canary-2f7a91'
const PASSWORD = 'pw-canary-63d0'

/** Servers that fail in different ways, each of which is told in other words. */
const KINDS: Readonly<Record<string, RequestListener>> = {
  'wants a token': ({ headers }, response) => {
    const challenge = `Bearer resource_metadata="http://${headers.host}/prm?key=${KEY}"`
    response.writeHead(401, { 'www-authenticate': challenge }).end()
  },
  'names an authorization server that is none': ({ url, headers }, response) => {
    const origin = `http://${headers.host}`
    if (!url?.startsWith('/.well-known')) {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
    } else if (url.includes('protected-resource')) {
      const metadata = {
        resource: `${origin}/mcp`,
        authorization_servers: [`${origin}/as?k=${KEY}`],
      }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(metadata))
    } else response.end(JSON.stringify({ issuer: `${origin}/other?k=${KEY}` }))
  },
  'is another resource': ({ url, headers }, response) => {
    const resource = `http://${headers.host}/elsewhere?api_key=${KEY}`
    if (url?.includes('protected-resource')) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ resource }))
    } else response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
  },
  'has nothing there': (_, response) => void response.writeHead(404).end('nothing'),
  'is out of order': ({ url }, response) => void response.writeHead(500).end(`failed at ${url}`),
  redirects: (_, response) =>
    void response.writeHead(307, { location: `https://o.example/x?api_key=${KEY}` }).end(),
  'shows a page': (_, response) =>
    void response.setHeader('content-type', 'text/html').end('<h1>Welcome</h1>'),
}

describe('a secret in the query of a URL', () => {
  const servers: Server[] = []
  const urls = new Map<string, string>()
  const env = { MCP_DESCOPE_HOME: createHome(), MCP_DESCOPE_NO_BROWSER: '1' }
  beforeAll(async () => {
    for (const [kind, listener] of Object.entries(KINDS)) {
      const server = createServer(listener)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      servers.push(server)
      urls.set(kind, `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`)
    }
    urls.set('is not there', `http://127.0.0.1:${await freePort()}/mcp`)
  })
  afterAll(() => {
    for (const server of servers) server.closeAllConnections()
    for (const server of servers) server.close()
  })

  const expectNone = (result: Pick<CliResult, 'stdout' | 'stderr'>, more = '') => {
    expect(result.stdout + result.stderr).not.toBe('')
    for (const text of [result.stdout, result.stderr, more]) {
      expect(text).not.toContain(KEY)
      expect(text).not.toContain(PASSWORD)
    }
  }

  it.each([...Object.keys(KINDS), 'is not there'])(
    'is printed by no command for a server that %s',
    async (kind) => {
      const url = `${urls.get(kind)}?api_key=${KEY}#${KEY}`
      const folder = mkdtempSync(join(tmpdir(), 'reports-'))
      const [junit, summary] = [join(folder, 'report.xml'), join(folder, 'summary.md')]
      const more = { GITHUB_STEP_SUMMARY: summary }
      for (const args of [
        ['inspect', url, '--trace'],
        ['inspect', url, '--json'],
        ['test-target', url, '--reporter', `default,github,junit=${junit}`],
        ['test-target', url, '--json'],
        ['login', url],
        ['login', url, '--json', '--force'],
        ['token', url],
        ['status', url],
        ['logout', url],
      ]) {
        expectNone(await runCli(args, { env: { ...env, ...more }, timeoutMs: 60_000 }))
      }
      for (const file of [junit, summary]) {
        expect(existsSync(file)).toBe(true)
        expect(readFileSync(file, 'utf8')).not.toContain(KEY)
      }
    },
  )

  it.each([...Object.keys(KINDS), 'is not there'])(
    'reaches neither log nor assistant through the bridge to a server that %s',
    async (kind) => {
      const log = join(mkdtempSync(join(tmpdir(), 'log-')), 'bridge.log')
      const bridge = startBridge(`${urls.get(kind)}?api_key=${KEY}`, {
        args: ['--log-level', 'debug', '--log-file', log, '--login-wait', '0'],
        env,
      })
      await bridge.handshake()
      await bridge.request('tools/list')
      await bridge.call('echo')
      const result = await bridge.end()
      expectNone(result, existsSync(log) ? readFileSync(log, 'utf8') : '')
    },
  )

  it.each([
    'inspect',
    'test-target',
    'login',
    'status',
    'logout',
    'token',
    'stdio',
    'add claude-code',
    'add cursor --http',
  ])('is not printed by `%s` where the URL has a password, too', async (command) => {
    const url = `https://user:${PASSWORD}@mcp.invalid/mcp?api_key=${KEY}#${KEY}`
    const result = await runCli([...command.split(' '), url], { env, timeoutMs: 60_000 })
    expect(result.status).toBe(2)
    expectNone(result)
  })

  it.each(['', ' --http', ' --dry-run', ' --write', ' --json'])(
    'is refused by `add cursor%s`, which writes no secret',
    async (flags) => {
      const home = mkdtempSync(join(tmpdir(), 'home-'))
      const url = `https://mcp.example.com/mcp?api_key=${KEY}`
      const args = `add cursor ${url}${flags}`.split(' ')
      const result = await runCli(args, { env: { ...env, HOME: home } })
      expect(result.status).toBe(2)
      expectNone(result)
    },
  )

  it('stands in the entry of the assistant alone where its name does not tell, and never a fragment', async () => {
    const url = `https://mcp.example.com/mcp?k=${KEY}#fragment-canary`
    const { stdout, stderr, status } = await runCli(['add', 'cursor', url, '--http'], { env })
    expect(status).toBe(0)
    expect(JSON.parse(stdout).mcpServers['mcp-example-com'].url).toBe(
      `https://mcp.example.com/mcp?k=${KEY}`,
    )
    expect(stdout + stderr).not.toContain('fragment-canary')
    const [note] = /note: .*$/m.exec(stderr) ?? []
    expect(note).toBe(
      'note: The query of the URL is written as it is. Nothing secret should be in it.',
    )
  })

  it.each(['show', 'show --json', 'explain targets.target.url', 'validate', 'validate --json'])(
    'is not printed by `config %s`',
    async (command) => {
      for (const query of [`api_key=${KEY}`, `k=${KEY}`, KEY, `a=1&${KEY}=&b=2`]) {
        const more = { TARGET_MCP_SERVER_URL: `https://mcp.example.com/mcp?${query}` }
        const cwd = mkdtempSync(join(tmpdir(), 'empty-'))
        const args = ['config', ...command.split(' ')]
        expectNone(await runCli(args, { cwd, env: { ...env, ...more } }))
      }
    },
  )

  it('is told by `serve` neither at its start, nor of a target that fails, nor to whoever calls or visits it', async () => {
    const identity = await startIdentity({ clock })
    const good = await startRecordingTarget()
    const cwd = mkdtempSync(join(tmpdir(), 'serve-'))
    const names = ['good', ...urls.keys()].map((name, index) => [`t${index}`, name] as const)
    const targets = Object.fromEntries(
      names.map(([id, name]) => {
        const url = name === 'good' ? good.url : urls.get(name)
        return [id, { url: `${url}?api_key=${KEY}` }]
      }),
    )
    const config = join(cwd, 'config.json')
    writeFileSync(config, JSON.stringify({ targets }))
    const served = startCli(
      ['serve', '--insecure-no-auth', '--config', config, '--port', '0', '--log-level', 'debug'],
      { cwd, env, timeoutMs: 60_000 },
    )
    try {
      const [, url = ''] = await served.waitFor('stderr', /Listening on (http:[^\s,]+)/)
      const ask = async (method: string, params = {}, session?: string) => {
        const headers = {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          ...(session !== undefined && { 'mcp-session-id': session }),
        }
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
        const answer = await fetch(url, { method: 'POST', headers, body })
        const text = await answer.text()
        expect(text).not.toContain(KEY)
        return answer.headers.get('mcp-session-id') ?? undefined
      }
      const clientInfo = { name: 'test', version: '1' }
      const session = await ask('initialize', {
        ...{ protocolVersion: '2025-06-18', capabilities: {}, clientInfo },
      })
      await ask('tools/list', {}, session)
      for (const [id] of names) await ask('tools/call', { name: `${id}_echo` }, session)
      for (const path of ['/', '/readyz', '/healthz']) {
        const page = await fetch(new URL(path, url), { headers: { accept: 'text/html' } })
        expect(await page.text()).not.toContain(KEY)
      }
      expect(good.requests.some(({ url: asked }) => asked.includes(KEY))).toBe(true)
    } finally {
      served.child.kill('SIGTERM')
      expectNone(await served.ended)
      await good.close()
      await identity.close()
    }
  })
})
