import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createProxy } from '../../../src/index.js'
import { startCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { clock } from '../../helpers/stack.js'
import { call, send } from '../../helpers/targets/raw-client.js'

const { version } = JSON.parse(
  await readFile(new URL('../../../package.json', import.meta.url), 'utf8'),
)

let identity: Identity
beforeAll(async () => {
  identity = await startIdentity({ clock })
})
afterAll(() => identity.close())

const records = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>)

async function serve(flags: string[], env: Record<string, string> = {}) {
  const folder = createFolder()
  const file = join(folder, 'proxy.json')
  await writeFile(file, '{ "targets": { "docs": { "url": "http://127.0.0.1:9/mcp" } } }')
  const args = ['serve', '--config', file, '--port', '0', '--log-format', 'json', ...flags]
  const cli = startCli(args, {
    cwd: folder,
    env: { DESCOPE_CONFIG_URL: identity.configUrl, ...env },
  })
  await cli.waitFor('stderr', /"event":"listening".*\n/)
  const told = () => records(cli.stderr())
  const listening = told().find(({ event }) => event === 'listening') ?? {}
  return { ...cli, file, told, listening, url: String(listening['url']) }
}

describe('the log of serve', () => {
  it.each([
    ['one process', []],
    ['several workers', ['--workers', '2']],
  ])('begins with what runs and ends with what it did: %s', async (_title, flags) => {
    const env = { SERVER_URL: 'https://mcp.example.com', SESSION_SECRET: 'x'.repeat(32) }
    const running = await serve(flags, env)
    const what = {
      ...{ version, node: process.versions.node, config: running.file },
      resource: 'https://mcp.example.com/mcp',
    }
    expect(running.told()[0]).toMatchObject({ event: 'starting', ...what })
    expect(String(running.told()[0]?.['message'])).toContain(`Node ${process.versions.node}`)
    expect(running.listening).toMatchObject(what)
    for (let i = 0; i < 3; i++)
      await call(running.url, 'ping', {}, { headers: { host: 'mcp.example.com' } })
    running.child.kill('SIGTERM')
    expect((await running.ended).status).toBe(0)
    expect(running.told().at(-1)).toMatchObject({ event: 'stopped', why: 'SIGTERM', requests: 3 })
  })

  it.each([
    ['one process', []],
    ['several workers', ['--workers', '2']],
  ])('names metrics and console, or why there is none: %s', async (_title, flags) => {
    const env = (host: string) => ({
      SESSION_SECRET: 'x'.repeat(32),
      MCP_DESCOPE_SERVER_METRICS_HOST: host,
    })
    const [inside, beyond] = await Promise.all([
      serve(['--metrics-port', '0', ...flags], env('127.0.0.1')),
      serve(['--metrics-port', '0', ...flags], env('0.0.0.0')),
    ])
    const { metrics, console, message } = inside.listening
    expect(metrics).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*\/metrics$/)
    expect(console).toBe(String(metrics).replace('metrics', ''))
    expect(message).toContain(`metrics: ${metrics}, console: ${console}`)
    expect((await fetch(String(metrics))).status).toBe(200)
    expect((await fetch(String(console))).status).toBe(200)
    await beyond.waitFor('stderr', /"event":"no_console".*\n/)
    for (const { child } of [inside, beyond]) child.kill('SIGTERM')
    await Promise.all([inside.ended, beyond.ended])
    expect(beyond.listening['console']).toBeUndefined()
    const none = (cli: typeof inside) => cli.told().filter(({ event }) => event === 'no_console')
    expect(none(inside)).toEqual([])
    expect(none(beyond)).toMatchObject([
      {
        message:
          'There is no console: server.metricsHost is 0.0.0.0, beyond loopback, and console.token is not set',
      },
    ])
  })

  it.runIf(process.platform === 'linux')('names the signal that killed a worker', async () => {
    const running = await serve(['--workers', '2'], { SESSION_SECRET: 'x'.repeat(32) })
    const { pid } = running.child
    const [worker] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
    process.kill(Number(worker), 'SIGKILL')
    const [line] = await running.waitFor('stderr', /.*"event":"worker_died".*\n/)
    expect(JSON.parse(line)).toMatchObject({ signal: 'SIGKILL' })
    expect(line).toContain('was ended by SIGKILL')
    running.child.kill('SIGTERM')
    await running.ended
  })
})

describe('a server without a public URL', () => {
  it('has one name in the log, in its metadata and in its challenge', async () => {
    const running = await serve([])
    const { origin, hostname } = new URL(running.url)
    expect(hostname).toBe('localhost')
    const metadata = await fetch(`${origin}/.well-known/oauth-protected-resource/mcp`)
    expect(((await metadata.json()) as { resource: string }).resource).toBe(running.url)
    const refused = await call(running.url, 'ping')
    expect(refused.headers['www-authenticate']).toContain(`resource_metadata="${origin}/`)
    expect(running.stderr()).not.toContain('127.0.0.1:')
    expect(running.told().filter(({ level }) => level === 'warn')).not.toContainEqual(
      expect.objectContaining({ event: 'configuration' }),
    )
    running.child.kill('SIGTERM')
    await running.ended
  })

  it('warns at the start when it listens on all addresses, and tells who is refused for that', async () => {
    const running = await serve(['--host', '0.0.0.0'])
    const warning = running.told().find(({ event }) => event === 'configuration')
    expect(String(warning?.['message'])).toMatch(/server\.host is 0\.0\.0\.0.*set SERVER_URL/)
    const { port } = new URL(running.url)
    const host = `192.168.1.5:${port}`
    const { status, body } = await call(running.url, 'ping', {}, { headers: { host } })
    expect([status, body]).toEqual([421, expect.stringContaining(host)])
    await running.waitFor('stderr', new RegExp(`.*"refusal":"host".*${host}.*`))
    // what the quick start with Docker does
    expect((await call(running.url, 'ping')).status).toBe(401)
    running.child.kill('SIGTERM')
    await running.ended
  })
})

describe('createProxy', () => {
  const lan = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

  async function listen(host: string, input: object = {}, env: Record<string, string> = {}) {
    const proxy = createProxy(
      {
        descope: { configUrl: identity.configUrl },
        server: { publicUrl: 'https://mcp.example.com' },
        targets: { docs: { url: 'http://127.0.0.1:9/mcp' } },
        ...input,
      },
      { env },
    )
    const server = createServer(proxy)
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    const { port } = server.address() as AddressInfo
    const url = `http://127.0.0.1:${port}/mcp`
    const ask = async (headers: Record<string, string>) =>
      (await send(url, { method: 'POST', headers })).status
    const close = async () => {
      server.closeAllConnections()
      server.close()
      await proxy.close()
    }
    return { ask, close, port }
  }
  const LOCAL = { host: 'localhost:1234' }
  const PAGE = { host: 'mcp.example.com', origin: 'http://localhost:5173' }

  it('lets loopback names in on a server that is bound to loopback', async () => {
    const { ask, close } = await listen('127.0.0.1')
    expect([await ask(LOCAL), await ask(PAGE)]).toEqual([401, 401])
    await close()
  })

  it.each([
    ['on a server that others can reach', '0.0.0.0', {}],
    ['on Vercel', '127.0.0.1', { VERCEL: '1', VERCEL_URL: 'x.vercel.app' }],
  ])('lets no loopback names in %s', async (_title, host, env) => {
    const { ask, close } = await listen(host, {}, env)
    expect([await ask(LOCAL), await ask(PAGE)]).toEqual([421, 403])
    expect(await ask({ host: 'mcp.example.com' })).toBe(401)
    await close()
  })

  it('serves nobody without sign-in on a server that others can reach', async () => {
    const input = {
      descope: {},
      server: { insecureNoAuth: true, publicUrl: 'http://localhost:8000' },
    }
    const open = await listen('0.0.0.0', input)
    expect(await open.ask({ host: 'localhost:8000' })).toBe(403)
    await open.close()
    const own = await listen('127.0.0.1', input)
    expect(await own.ask({ host: 'localhost:8000' })).not.toBe(403)
    await own.close()
  })

  it.runIf(lan !== undefined)(
    'is asked about by its own address, not by that of the caller',
    async () => {
      const { close, port } = await listen('0.0.0.0')
      const socket = connect(port, lan as string)
      const answer = await new Promise<string>((resolve) => {
        socket.once('data', (chunk) => resolve(String(chunk)))
        socket.write('GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      })
      expect(answer).toMatch(/^HTTP\/1.1 421 /)
      await close()
    },
  )
})
