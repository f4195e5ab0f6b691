import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { type IncomingHttpHeaders, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../src/demo/identity/index.js'
import { createPackedFolder, type PackedFolder } from '../helpers/pack.js'
import { clock } from '../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../helpers/targets/recording.js'
import { installTool } from '../helpers/tools.js'

const BUILD_MS = 240_000
const PUBLIC = 'mcp.example.com'
const modules = await installTool('vercel@')

describe.skipIf(modules === undefined)('the Vercel project that ships', () => {
  let folder: PackedFolder
  let identity: Identity
  let target: RecordingTarget
  let launched: ChildProcess
  let port: number
  beforeAll(async () => {
    folder = await createPackedFolder('deploy/vercel')
    await mkdir(join(folder.path, '.vercel'))
    const project = { projectId: 'prj_local', orgId: 'team_local', settings: { framework: null } }
    await writeFile(join(folder.path, '.vercel', 'project.json'), JSON.stringify(project))
    const cli = join(modules ?? '', 'vercel', 'dist', 'vc.js')
    await promisify(execFile)(process.execPath, [cli, 'build', '--yes', '--token', 'none'], {
      cwd: folder.path,
      env: { ...process.env, VERCEL_TELEMETRY_DISABLED: '1', CI: '1' },
    })
    identity = await startIdentity({ clock })
    target = await startRecordingTarget({ sessions: 'required' })
    ;[launched, port] = await launch({
      DESCOPE_CONFIG_URL: identity.configUrl,
      TARGET_MCP_SERVER_URL: target.url,
      TARGET_TOKEN: 'target-token-0123456789',
      SESSION_SECRET: 'an-example-secret-of-32-bytes-or-more',
    })
  }, BUILD_MS)
  afterAll(async () => {
    launched?.kill()
    await Promise.all([identity?.close(), target?.close()])
    await folder?.remove()
  })

  const output = (...parts: string[]) => join(folder.path, '.vercel', 'output', ...parts)
  const readJson = async (...parts: string[]) =>
    JSON.parse(await readFile(output(...parts), 'utf8'))

  /** Starts the built function as the platform does: its handler behind `node:http`. */
  async function launch(env: Record<string, string>): Promise<[ChildProcess, number]> {
    const func = output('functions', 'api', 'index.func')
    const { handler } = await readJson('functions', 'api', 'index.func', '.vc-config.json')
    await writeFile(output('launcher.mjs'), LAUNCHER)
    const child = spawn(process.execPath, [output('launcher.mjs'), join(func, handler)], {
      cwd: func,
      env: {
        PATH: process.env['PATH'],
        VERCEL: '1',
        VERCEL_ENV: 'production',
        VERCEL_URL: 'one-deployment.vercel.app',
        VERCEL_PROJECT_PRODUCTION_URL: PUBLIC,
        ...env,
      },
    })
    const found = await new Promise<number>((resolve, reject) => {
      child.stdout?.once('data', (line) => resolve(Number(line)))
      let said = ''
      child.stderr?.on('data', (chunk) => {
        said += chunk
      })
      child.once('close', () => reject(new Error(said)))
    })
    return [child, found]
  }

  interface Answer {
    status: number
    headers: IncomingHttpHeaders
    body: string
  }

  const send = (method: string, path: string, headers = {}, body?: object) =>
    new Promise<Answer>((resolve, reject) => {
      const options = { port, method, path, headers: { host: PUBLIC, ...headers } }
      const sent = request(options, async (response) => {
        const { statusCode: status = 0 } = response
        resolve({ status, headers: response.headers, body: await text(response) })
      })
      sent.on('error', reject).end(body && JSON.stringify(body))
    })

  const signedIn = async () => ({
    authorization: `Bearer ${await identity.mint({ aud: [`https://${PUBLIC}/mcp`] })}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  })

  it('builds one function that takes every path, within the longest time it may run', async () => {
    expect(await readdir(output('functions'), { recursive: true })).toContain('api/index.func')
    const { maxDuration, launcherType } = await readJson('functions/api/index.func/.vc-config.json')
    const source = await readFile(join(folder.path, 'api', 'index.js'), 'utf8')
    const limit = Number(/request: (\d+)/.exec(source)?.[1])
    expect(launcherType).toBe('Nodejs')
    expect(limit).toBeGreaterThan(0)
    expect(limit).toBeLessThan(maxDuration)
    const { routes } = await readJson('config.json')
    const match = routes.find(({ dest }: { dest?: string }) => dest === '/api')
    for (const path of ['/', '/mcp', '/.well-known/oauth-protected-resource/mcp']) {
      expect(path).toMatch(new RegExp(match.src))
    }
  })

  it('leaves the paths of the program to the function', async () => {
    expect(await readdir(output('static'), { recursive: true })).toEqual(['robots.txt'])
  })

  it('names the production URL in its metadata and in its challenge', async () => {
    const { body } = await send('GET', '/.well-known/oauth-protected-resource/mcp')
    expect(JSON.parse(body).resource).toBe(`https://${PUBLIC}/mcp`)
    const { status, headers } = await send('POST', '/mcp')
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toContain(
      `resource_metadata="https://${PUBLIC}/.well-known/oauth-protected-resource/mcp"`,
    )
  })

  it('serves a call of a signed-in user, with a session that any instance can open', async () => {
    target.on('tools/call', () => ({ content: [{ type: 'text', text: 'served' }] }))
    const headers = await signedIn()
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'test', version: '1' },
    }
    const opened = await send('POST', '/mcp', headers, {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params,
    })
    const session = { 'mcp-session-id': opened.headers['mcp-session-id'] ?? '' }
    expect(session['mcp-session-id']).not.toBe('')
    const call = { name: 'target_echo', arguments: {} }
    const { status, body } = await send(
      'POST',
      '/mcp',
      { ...headers, ...session },
      {
        jsonrpc: '2.0',
        id: 2,
        method: 'tools/call',
        params: call,
      },
    )
    expect({ status, body }).toEqual({ status: 200, body: expect.stringContaining('served') })
    const seen = target.requests.at(-1)?.headers['authorization']
    expect(seen).toBe('Bearer target-token-0123456789')
  })

  it('opens no stream that the platform would cut', async () => {
    const { status, headers } = await send('GET', '/mcp', await signedIn())
    expect(status).toBe(405)
    expect(headers['allow']).not.toContain('GET')
  })

  it('shows people how to connect', async () => {
    const { status, body } = await send('GET', '/')
    expect(status).toBe(200)
    expect(body).toContain(`https://${PUBLIC}/mcp`)
    expect(body).toContain('Add to Cursor')
  })

  it('needs the two variables that the button asks for, and no more', async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
    const button = /https:\/\/vercel\.com\/new\/clone\?[^)\s]+/.exec(readme)?.[0] ?? ''
    const asked = new URL(button).searchParams.get('env')?.split(',') ?? []
    expect(asked).toEqual(['DESCOPE_CONFIG_URL', 'TARGET_MCP_SERVER_URL'])
    const values = [identity.configUrl, target.url]
    const env = Object.fromEntries(asked.map((name, i) => [name, values[i] ?? '']))
    const [child, at] = await launch(env)
    let said = ''
    child.stderr?.on('data', (chunk) => {
      said += chunk
    })
    const options = { port: at, headers: { host: PUBLIC } }
    const status = await new Promise((resolve, reject) => {
      request({ ...options, path: '/mcp', method: 'POST' }, (answer) => resolve(answer.statusCode))
        .on('error', reject)
        .end()
    })
    child.kill()
    expect(status).toBe(401)
    expect(said).not.toContain('not_ready')
  })

  it('says at once which variable is missing', async () => {
    const failed = await launch({ TARGET_MCP_SERVER_URL: target.url }).catch((error) => error)
    expect(failed.message).toContain('set DESCOPE_CONFIG_URL')
  })
})

const LAUNCHER = `
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'
const { default: handler } = await import(pathToFileURL(process.argv[2]).href)
const server = createServer(handler).listen(0, '127.0.0.1', () => console.log(server.address().port))
`
