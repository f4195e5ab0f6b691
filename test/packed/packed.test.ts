import { execFile, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const INSTALL_MS = 180_000

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'packed-'))
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
  const [tarball] = await readdir(folder)
  await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  const args = ['install', '--no-audit', '--no-fund', '--omit=dev', `./${tarball}`]
  const { stderr } = await run('npm', args, { cwd: folder })
  expect(stderr).not.toContain('EBADENGINE')
}, INSTALL_MS)
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The program as `npx` finds it in the empty folder. */
const bin = () => join(folder, 'node_modules', '.bin', 'mcp-descope-proxy')

it('prints its version and its help', async () => {
  const { stdout: version } = await run(bin(), ['--version'], { cwd: folder })
  expect(version).toMatch(/^\d+\.\d+\.\d+\n$/)
  const { stdout: help } = await run(bin(), ['--help'], { cwd: folder })
  for (const command of ['serve', 'config', 'demo']) expect(help).toContain(command)
})

it('shows the whole chain with `demo --once`', async () => {
  const { stdout } = await run(bin(), ['demo', '--once'], { cwd: folder })
  expect(stdout).toContain('Call target_get_weather')
  expect(stdout).toContain('Everything worked')
}, 60_000)

it('refuses to serve without configuration, with exit status 2', async () => {
  const env = { PATH: process.env['PATH'], HOME: folder }
  const failed = await run(bin(), ['serve'], { cwd: folder, env }).catch((error) => error)
  expect(failed.code).toBe(2)
  expect(failed.stderr).toContain('DESCOPE_CONFIG_URL')
})

it.each(['config', 'report'])('ships the JSON Schema that it prints: %s', async (of) => {
  const { stdout } = await run(bin(), ['config', 'schema', of], { cwd: folder })
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
