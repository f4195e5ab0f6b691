import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe, { type AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { CHROMIUM } from '../../helpers/chromium.js'
import { type CliProcess, startCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { clock } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { call, send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'
const TOKEN = 'the-password-of-the-console-is-long'
const CANARY = 'canary-that-nobody-may-see'
const PHONE = { width: 390, height: 844 }

let identity: Identity
let weather: RecordingTarget
let broken: RecordingTarget
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'console-'))
  identity = await startIdentity({ clock })
  weather = await startRecordingTarget({ tools: [tool('get'), tool('drop')] })
  broken = await startRecordingTarget()
  broken.intercept((_request, response) => {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`<b>${CANARY}-token</b>`)
    return true
  })
})
afterAll(async () => {
  for (const part of [weather, broken, identity]) await part.close()
  rmSync(folder, { recursive: true })
})

async function serve(more: { args?: string[]; server?: object; console?: object } = {}) {
  const metricsPort = await freePort()
  const end = Math.floor(Date.now() / 1000) + 7_200
  const payload = Buffer.from(JSON.stringify({ exp: end })).toString('base64url')
  writeFileSync(
    join(folder, '.mcp-descope-proxyrc.json'),
    JSON.stringify({
      descope: { configUrl: identity.configUrl },
      server: { metricsPort, ...more.server },
      ...(more.console && { console: more.console }),
      targets: {
        weather: {
          url: weather.url,
          tools: { deny: ['drop'] },
          credential: { type: 'bearer', token: `e30.${payload}.${CANARY}` },
        },
        broken: { url: broken.url, credential: { type: 'bearer', token: `${CANARY}-token` } },
      },
    }),
  )
  const args = ['serve', '--port', '0', '--log-format', 'json', ...(more.args ?? [])]
  const cli: CliProcess = startCli(args, {
    env: { SESSION_SECRET: SECRET },
    cwd: folder,
    timeoutMs: 120_000,
  })
  const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  const token = await identity.mint({ aud: [url], sub: 'user-1' })
  const ask = (method: string, params: object, headers: Record<string, string> = {}) =>
    call(url, method, params, { headers: { authorization: `Bearer ${token}`, ...headers } })
  return { cli, url, token, ask, page: `http://127.0.0.1:${metricsPort}/` }
}

const get = (url: string, headers: Record<string, string> = {}) =>
  send(url, { method: 'GET', headers: { host: new URL(url).host, ...headers } })

async function use({ ask }: Awaited<ReturnType<typeof serve>>) {
  for (let n = 0; n < 3; n++) await ask('tools/call', { name: 'weather_get', arguments: { n } })
  await ask('tools/call', { name: 'weather_drop', arguments: { secret: CANARY } })
  await ask('tools/call', { name: `weather_<script>alert(1)</script>`, arguments: {} })
  await ask('ping', {}, { authorization: 'Bearer nonsense' })
  await ask('tools/call', { name: 'broken_x', arguments: {} })
  await ask('tools/list', {})
}

describe('the console', () => {
  let server: Awaited<ReturnType<typeof serve>>
  let browser: Browser
  beforeAll(async () => {
    if (CHROMIUM !== undefined) {
      browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] })
    }
    server = await serve()
    await use(server)
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    server.cli.child.kill('SIGTERM')
    expect((await server.cli.ended).status).toBe(0)
  })

  it('says what goes on: targets, refusals, requests and settings, and no secret', async () => {
    const { body, headers, status } = await get(server.page)
    expect(status).toBe(200)
    expect(headers['content-security-policy']).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
    for (const part of [
      ...['weather', 'ends in 2 h', 'broken', 'policy', 'it answered HTTP 500'],
      ...['tools.deny &quot;drop&quot;', 'targets.weather.url', 'session.secret'],
      ...['.mcp-descope-proxyrc.json', 'requests a minute'],
    ]) {
      expect(body).toContain(part)
    }
    expect(body).not.toMatch(/<script>alert|<i>|<b>canary/)
    for (const secret of [CANARY, SECRET, server.token]) expect(body).not.toContain(secret)
  })

  it('sends what has changed to pages that are open, and ends with the server', async () => {
    const response = await fetch(`${server.page}events`)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response.body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    const { sections } = JSON.parse(new TextDecoder().decode(value).replace(/^data: /, ''))
    expect(Object.keys(sections)).toEqual(['overview', 'targets', 'plots', 'calls'])
    await reader?.cancel()
  })

  it('takes nothing but GET, and only under names of this machine', async () => {
    const { port } = new URL(server.page)
    const post = await send(server.page, { method: 'POST', headers: { host: `127.0.0.1:${port}` } })
    expect(post.status).toBe(405)
    expect((await get(server.page, { host: 'evil.example' })).status).toBe(421)
    expect((await get(`${server.page}other`)).status).toBe(404)
  })

  describe.skipIf(CHROMIUM === undefined)('in Chromium', () => {
    const visit = async (options: BrowserContextOptions = {}) => {
      const context = await browser.newContext(options)
      const tab = await context.newPage()
      const problems: string[] = []
      tab.on('console', (message) => problems.push(message.text()))
      tab.on('pageerror', (error) => problems.push(error.message))
      await tab.goto(server.page)
      return { tab, problems }
    }

    it('stays current by itself, and stops when it is told to, with the keyboard', async () => {
      const { tab, problems } = await visit()
      await expect.poll(() => tab.textContent('#state'), { timeout: 10_000 }).toBe('live')
      await server.ask('tools/call', { name: 'weather_get', arguments: { later: true } })
      const id = /"id":"([^"]+)"[^\n]*\n?$/.exec(server.cli.stderr())?.[1] ?? ''
      await expect.poll(() => tab.textContent('#calls'), { timeout: 10_000 }).toContain(id)
      await tab.keyboard.press('Tab')
      await tab.keyboard.press('Enter')
      expect(await tab.textContent('#state')).toBe('paused')
      expect(await tab.getByRole('button').textContent()).toBe('Go on')
      expect(problems).toEqual([])
    })

    it.each(['light', 'dark'] as const)('has no barrier for anybody in %s mode', async (mode) => {
      for (const viewport of [PHONE, { width: 1200, height: 900 }]) {
        const { tab } = await visit({ colorScheme: mode, viewport, bypassCSP: true })
        await tab.locator('summary').click()
        await tab.evaluate(axe.source)
        const results = (await tab.evaluate('axe.run()')) as AxeResults
        const found = results.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
        expect(found).toEqual([])
        expect(results.passes.map(({ id }) => id)).toContain('color-contrast')
        const wide = await tab.evaluate('document.documentElement.scrollWidth')
        expect(wide).toBeLessThanOrEqual(viewport.width)
      }
    })

    it('says everything without scripts', async () => {
      const { tab } = await visit({ javaScriptEnabled: false })
      expect(await tab.textContent('#targets')).toContain('weather')
      expect(await tab.locator('button').count()).toBe(0)
    })
  })
})

describe('who may see the console', () => {
  it('with a token, only those who know it, as a password or a bearer token', async () => {
    const { page, cli } = await serve({ console: { token: TOKEN } })
    const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`
    for (const [authorization, status] of [
      ['', 401],
      [basic(`operator:${TOKEN}`), 200],
      [basic(`:${TOKEN}`), 200],
      [basic(TOKEN), 200],
      [basic(`${TOKEN}:`), 401],
      [basic(`operator:${TOKEN} `), 401],
      [`Bearer ${TOKEN}`, 200],
      [`bearer ${TOKEN}x`, 401],
      ['Basic', 401],
    ] as const) {
      const headers: Record<string, string> = authorization === '' ? {} : { authorization }
      const { status: given, headers: head } = await get(page, headers)
      expect([authorization, given]).toEqual([authorization, status])
      if (status === 401) expect(head['www-authenticate']).toContain('Basic realm=')
    }
    const metrics = await get(`${page}metrics`)
    expect(metrics.status).toBe(200)
    cli.child.kill('SIGTERM')
    await cli.ended
  }, 60_000)

  it('is nobody beyond loopback without a token', async () => {
    const { page, cli } = await serve({ server: { metricsHost: '0.0.0.0' } })
    expect((await get(page)).status).toBe(404)
    expect((await get(`${page}events`)).status).toBe(404)
    expect((await get(`${page}metrics`)).status).toBe(200)
    cli.child.kill('SIGTERM')
    await cli.ended
  }, 60_000)

  it('has the requests of all workers', async () => {
    const server = await serve({ args: ['--workers', '2'], server: {} })
    await use(server)
    await eventually(async () => {
      const { body } = await get(server.page)
      expect(body).toContain('weather')
      expect(body).toContain('tools.deny &quot;drop&quot;')
      expect(body).not.toContain(CANARY)
    })
    server.cli.child.kill('SIGTERM')
    expect((await server.cli.ended).status).toBe(0)
  }, 60_000)
})

if (CHROMIUM === undefined) console.warn('skipped: the console in Chromium (none installed)')
