import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { startHttpProxy } from '../../helpers/http-proxy.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const closing: (() => unknown)[] = []

let target: RecordingTarget

beforeEach(async () => {
  target = await startRecordingTarget({ sessions: 'required', host: '127.0.0.1' })
  closing.push(target.close)
})

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Makes a name resolve to both loopback addresses, IPv6 first, as a machine with both would. */
function resolving(name: string): string[] {
  const path = join(createFolder(), 'names.mjs')
  writeFileSync(
    path,
    `import dns from 'node:dns'
const lookup = dns.lookup
const both = [{ address: '::1', family: 6 }, { address: '127.0.0.1', family: 4 }]
dns.lookup = (host, options, done) => {
  if (host !== ${JSON.stringify(name)}) return lookup(host, options, done)
  const found = both.filter(({ family }) => !options.family || options.family === family)
  process.nextTick(() => options.all ? done(null, found) : done(null, found[0].address, found[0].family))
}
import('node:module').then(({ syncBuiltinESMExports }) => syncBuiltinESMExports())
`,
  )
  return ['--import', pathToFileURL(path).href]
}

/** Listens on ::1 and never takes a connection: what connects there hears nothing. */
async function startBlackHole(port: number): Promise<void> {
  const script = `
    const server = require('node:net').createServer()
    server.listen({ host: '::1', port: ${port}, backlog: 1 }, () => {
      require('node:fs').writeSync(1, 'ready')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const child: ChildProcess = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  closing.push(() => child.kill('SIGKILL'))
  await once(child.stdout as NodeJS.ReadableStream, 'data')
  const sockets: Socket[] = []
  closing.push(() => sockets.forEach((socket) => void socket.destroy()))
  for (let n = 0; n < 8; n++) {
    sockets.push(connect(port, '::1').on('error', () => undefined))
  }
  await new Promise((resolve) => setTimeout(resolve, 200))
}

function bridgeTo(
  url: string,
  args: string[],
  env: Record<string, string> = {},
  nodeArguments: string[] = [],
) {
  const bridge: BridgeProcess = startBridge(url, {
    args,
    env: { MCP_DESCOPE_HOME: createHome(), ...env },
    nodeArguments,
  })
  closing.push(() => bridge.child.kill('SIGKILL'))
  return bridge
}

describe('a target with two addresses, of which the first one is a black hole', () => {
  it.each([[['--ipv4']], [[]]])('[bridge-ipv4-fallback] is reached with %j', async (args) => {
    await startBlackHole(target.port)
    const url = `http://both.test:${target.port}/mcp`
    const bridge = bridgeTo(url, [...args, '--allow-http'], {}, resolving('both.test'))
    await bridge.request('ping')
    const answer = await bridge.handshake()
    expect(answer['result']).toMatchObject({ serverInfo: target.contents.serverInfo })
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })
})

describe('the proxies of the environment', () => {
  it.each([
    { what: 'the flag', args: ['--no-proxy-env'], env: {} },
    { what: 'the variable', args: [], env: { MCP_DESCOPE_NO_PROXY_ENV: 'true' } },
  ])('[bridge-proxy] are left alone with $what', async ({ args, env }) => {
    const proxy = await startHttpProxy()
    closing.push(proxy.close)
    const bridge = bridgeTo(
      `http://both.test:${target.port}/mcp`,
      [...args, '--allow-http'],
      { HTTP_PROXY: proxy.url, ...env },
      resolving('both.test'),
    )
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(proxy.seen).toEqual([])
    await bridge.end()
  })
})

describe('a sign-in from behind a proxy', () => {
  it('[bridge-proxy] asks through it by hand too, unless --no-proxy-env says no', async () => {
    const proxy = await startHttpProxy()
    closing.push(proxy.close)
    const env = {
      MCP_DESCOPE_HOME: createHome(),
      BROWSER: createBrowser(true).path,
      HTTPS_PROXY: proxy.url,
    }
    const url = `https://target.test:${target.port}/mcp`
    const through = await runCli(['login', url], { env })
    expect(through.status).not.toBe(0)
    expect(proxy.seen[0]).toBe(`CONNECT target.test:${target.port}`)
    const before = proxy.seen.length
    expect((await runCli(['login', url, '--no-proxy-env'], { env })).status).not.toBe(0)
    expect(proxy.seen).toHaveLength(before)
  })
})
