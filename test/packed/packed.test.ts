import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { createPackedFolder, type PackedFolder } from '../helpers/pack.js'
import { installTool } from '../helpers/tools.js'

const run = promisify(execFile)
const WINDOWS = process.platform === 'win32'
const INSTALL_MS = 300_000
/** The oldest Node that is promised, and those that people should use. */
const NODES = ['node@20.18.1', 'node@22', 'node@24']

let packed: PackedFolder
let folder: string
beforeAll(async () => {
  packed = await createPackedFolder()
  folder = packed.path
  const args = ['install', '--no-audit', '--no-fund', '--omit=dev']
  const { stderr } = await run('npm', args, { cwd: folder, shell: WINDOWS })
  expect(stderr).not.toContain('EBADENGINE')
}, INSTALL_MS)
afterAll(() => packed?.remove())

/** The program as `npx` finds it in the empty folder. */
const bin = () => join(folder, 'node_modules', 'mcp-descope-proxy', 'bin', 'mcp-descope-proxy.js')
const start = (args: readonly string[], options: object = {}, node = process.execPath) =>
  run(node, [bin(), ...args], { cwd: folder, ...options })

it('is found by npx', async () => {
  const { stdout } = await run('npx', ['mcp-descope-proxy', '--version'], {
    cwd: folder,
    shell: WINDOWS,
  })
  expect(stdout.trim()).toBe(manifest.version)
})

it('prints its version and its help', async () => {
  const { stdout: version } = await start(['--version'])
  expect(version).toMatch(/^\d+\.\d+\.\d+\n$/)
  const { stdout: help } = await start(['--help'])
  for (const command of ['serve', 'config', 'demo']) expect(help).toContain(command)
})

it('shows the whole chain with `demo --once`', async () => {
  const { stdout } = await start(['demo', '--once'])
  expect(stdout).toContain('Call target_get_weather')
  expect(stdout).toContain('Everything worked')
}, 60_000)

for (const tool of NODES) {
  const modules = WINDOWS ? undefined : await installTool(tool)
  describe.skipIf(modules === undefined)(`under ${tool}`, () => {
    const node = join(modules ?? '', 'node', 'bin', 'node')

    it('is started by it', async () => {
      const { stdout } = await run(node, ['--version'])
      expect(stdout).toMatch(tool.replace('node@', 'v'))
    })

    it('shows the whole chain without a warning', async () => {
      const { stdout, stderr } = await start(['demo', '--once'], {}, node)
      expect(stdout).toContain('Everything worked')
      expect(stderr).not.toMatch(/warn|deprecat/i)
    }, 60_000)

    it('bridges without loading the HTTP clients of Node', async () => {
      const loaded = await modulesOfBridge(node)
      expect(loaded).toContain('NativeModule net')
      expect(loaded).not.toContain('NativeModule http')
      expect(loaded).not.toContain('NativeModule internal/deps/undici/undici')
    }, 60_000)
  })
}

/** Which modules of its own Node loads until the bridge has answered `initialize`. */
async function modulesOfBridge(node: string): Promise<string[]> {
  const result = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} }
  const target = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(405).end()
      return
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ jsonrpc: '2.0', id: 0, result }))
  }).listen(0, '127.0.0.1')
  await once(target, 'listening')
  const url = `http://127.0.0.1:${(target.address() as AddressInfo).port}/mcp`
  const atExit = "process.on('exit', () => console.error(process.moduleLoadList.join('\\n')))"
  const args = ['--import', `data:text/javascript,${encodeURIComponent(atExit)}`, bin()]
  const env = { PATH: process.env['PATH'], HOME: folder, MCP_DESCOPE_HOME: join(folder, 'data') }
  const bridge = spawn(node, [...args, 'stdio', url], { cwd: folder, env })
  try {
    let stderr = ''
    bridge.stderr.on('data', (chunk) => {
      stderr += chunk
    })
    const params = { ...result, clientInfo: { name: 'test', version: '1' } }
    bridge.stdin.write(
      `${JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params })}\n`,
    )
    const [answer] = await once(bridge.stdout, 'data')
    expect(JSON.parse(String(answer))).toMatchObject({ id: 0, result })
    bridge.stdin.end()
    await once(bridge, 'close')
    return stderr.split('\n')
  } finally {
    bridge.kill()
    target.close()
  }
}

it('refuses to serve without configuration, with exit status 2', async () => {
  const env = { PATH: process.env['PATH'], HOME: folder }
  const failed = await start(['serve'], { env }).catch((error) => error)
  expect(failed.code).toBe(2)
  expect(failed.stderr).toContain('DESCOPE_CONFIG_URL')
})

it.each(['config', 'report'])('ships the JSON Schema that it prints: %s', async (of) => {
  const { stdout } = await start(['config', 'schema', of])
  const shipped = join(folder, 'node_modules', 'mcp-descope-proxy', `${of}-schema.json`)
  const { default: schema } = await import(shipped, { with: { type: 'json' } })
  expect(JSON.parse(stdout)).toEqual(schema)
})

it('serves inside another program through createProxy', async () => {
  await writeFile(join(folder, 'embed.js'), EMBED)
  const child = spawn(process.execPath, ['embed.js'], { cwd: folder })
  try {
    const url = await new Promise<string>((resolve) => {
      child.stdout.once('data', (chunk) => resolve(String(chunk).trim()))
    })
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    const refused = await fetch(`${url}/mcp`, { method: 'POST' })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toContain(
      'resource_metadata="http://localhost:8000/.well-known/oauth-protected-resource/mcp"',
    )
  } finally {
    child.kill()
  }
})

const EMBED = `
import { createServer } from 'node:http'
import { createProxy } from 'mcp-descope-proxy'

const P = 'P' + 'x'.repeat(27)
const proxy = createProxy({
  descope: { configUrl: 'http://127.0.0.1:9/v1/apps/agentic/' + P + '/MS' + 'y'.repeat(27) },
  targets: { docs: { url: 'http://127.0.0.1:9/mcp' } },
})
const server = createServer(proxy).listen(0, '127.0.0.1', () => {
  console.log('http://127.0.0.1:' + server.address().port)
})
`
