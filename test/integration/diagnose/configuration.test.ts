import { mkdtempSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type IdentityInput, startIdentity } from '../../../src/demo/identity/index.js'
import type { InspectedConfiguration } from '../../../src/usecases/inspect/inspect-configuration.js'
import { createClock } from '../../../src/util/async.js'
import { createHome } from '../../helpers/bridge.js'
import { parseReport, serveWith } from '../../helpers/check.js'
import { runCli } from '../../helpers/cli.js'
import { freePort } from '../../helpers/sign-in.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'client-secret-7Qx'

const MACHINE = { MCP_DESCOPE_CLIENT_ID: 'machine', MCP_DESCOPE_CLIENT_SECRET: SECRET }

const PUBLIC = { SERVER_URL: 'https://mcp.example.com' }

const ALL_ON = { cimd: true, device: true }

const closing: (() => Promise<unknown> | unknown)[] = []

let target: RecordingTarget

beforeAll(async () => {
  target = await startRecordingTarget()
})

afterAll(() => target.close())

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function emulator(options: IdentityInput = {}) {
  const clients = [{ clientId: 'machine', clientSecret: SECRET }]
  const identity = await startIdentity({ clock: createClock(), clients, ...options })
  closing.push(identity.close)
  return identity
}

/** A folder with a configuration file, and a variable in `.env`. */
function folderWith(file: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'inspect-'))
  writeFileSync(join(folder, 'mcp-descope-proxy.config.json'), JSON.stringify(file))
  writeFileSync(join(folder, '.env'), 'DOCS_TOKEN=static-token-55\n')
  return folder
}

async function inspect(configUrl: string, env: Record<string, string> = {}, file: object = {}) {
  const cwd = folderWith(file)
  const run = await runCli(['inspect', '--json'], {
    cwd,
    env: {
      MCP_DESCOPE_HOME: createHome(),
      DESCOPE_CONFIG_URL: configUrl,
      ...PUBLIC,
      ...(!('targets' in file) && { TARGET_MCP_SERVER_URL: target.url }),
      ...env,
    },
  })
  const document = parseReport<InspectedConfiguration>(run.stdout)
  return { ...run, document, of: (id: string) => document.descope.find((one) => one.id === id) }
}

describe('inspect without an argument', () => {
  it('says what Descope and each target say, and where each setting comes from', async () => {
    const identity = await emulator(ALL_ON)
    const guarded = await startRecordingTarget({ tools: [tool('look')] })
    closing.push(guarded.close)
    guarded.intercept((asked, response) => {
      if (asked.headers.authorization === 'Bearer static-token-55') return false
      response.writeHead(401).end()
      return true
    })
    const token = `$\{DOCS_TOKEN}`
    const targets = {
      open: { url: target.url },
      docs: { url: guarded.url, credential: { type: 'bearer', token } },
      files: { command: ['node', 'files.mjs'] },
    }
    const run = await inspect(identity.configUrl, MACHINE, { targets })
    expect(run).toMatchObject({ status: 0, stderr: '' })
    const { descope, settings, targets: found } = run.document
    expect(descope.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual([
      'descope.discovery pass',
      'descope.keys pass',
      'descope.registration pass',
      'descope.device pass',
      'descope.token pass',
    ])
    expect(run.of('descope.discovery')?.detail).toContain(identity.issuer)
    expect(run.of('descope.token')?.detail).toContain('aud has https://mcp.example.com/mcp')
    expect(settings['descope.configUrl']).toEqual({
      value: identity.configUrl,
      origin: 'env DESCOPE_CONFIG_URL',
    })
    expect(found.map((one) => `${one.target} ${one.exitCode}`)).toEqual(['open 0', 'docs 0'])
    expect(run.document.programs).toEqual(['files'])
    expect(found[1]?.tools).toMatchObject([{ name: 'look', exposedAs: 'docs_look', length: 9 }])
    expect(found[1]?.settings['targets.docs.credential.token']?.value).toBe('[redacted]')
    for (const secret of [SECRET, 'static-token-55', ...identity.issuedSecrets()]) {
      expect(run.stdout).not.toContain(secret)
    }
    expect(identity.counters.registrations).toBe(0)

    const env = { ...PUBLIC, ...MACHINE, DESCOPE_CONFIG_URL: identity.configUrl }
    const cwd = folderWith({ targets })
    const text = await runCli(['inspect'], { cwd, env: { ...env, MCP_DESCOPE_HOME: createHome() } })
    expect(text.status).toBe(0)
    expect(text.stdout.match(/^(settings|descope|target \w+)/gm)).toEqual([
      ...['settings', 'descope', 'target open', 'settings', 'target docs', 'settings'],
      'target files',
    ])
    expect(text.stdout).toContain('not checked here: check the URL of a running `serve`')
  })

  it('says that Descope is not configured', async () => {
    const env = { MCP_DESCOPE_HOME: createHome(), TARGET_MCP_SERVER_URL: target.url }
    const run = await runCli(['inspect'], { cwd: tmpdir(), env })
    expect(run.status).toBe(0)
    expect(run.stdout).toContain('`serve` would not start; set DESCOPE_CONFIG_URL')
  })

  it('says which target wants a credential that is not configured', async () => {
    const identity = await emulator(ALL_ON)
    const guarded = await startRecordingTarget()
    closing.push(guarded.close)
    guarded.intercept((_asked, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
      return true
    })
    const targets = { docs: { url: guarded.url } }
    const run = await inspect(identity.configUrl, MACHINE, { targets })
    expect(run.status).toBe(3)
    expect(run.document.targets[0]?.authorization).toContainEqual(
      expect.objectContaining({
        id: 'auth.token',
        hint: expect.stringContaining('Configure targets.docs.credential: bearer'),
      }),
    )
  })

  it('sends a header to nobody who was not named', async () => {
    const env = { MCP_DESCOPE_HOME: createHome(), TARGET_MCP_SERVER_URL: target.url }
    const run = await runCli(['inspect', '--header', 'X-Api-Key: k'], { cwd: tmpdir(), env })
    expect(run.status).toBe(2)
    expect(run.stderr).toContain('Name the target')
  })

  it.each([
    {
      name: 'the URL of the project',
      change: ALL_ON,
      url: (url: string) => url.replace(/agentic\/(P\w+)\/\w+/, '$1'),
      id: 'descope.discovery',
      hint: 'Copy the Discovery URL of the MCP server (Agentic Identity Hub > MCP Servers)',
    },
    {
      name: 'the URL of the project, as to registration',
      change: { ...ALL_ON, dcr: false },
      url: (url: string) => url.replace(/agentic\/(P\w+)\/\w+/, '$1'),
      id: 'descope.registration',
      hint: 'use the Discovery URL of the MCP server (…/v1/apps/agentic/P…/MS…), not of the project',
    },
    {
      name: 'registration that is off',
      change: { device: true, dcr: false },
      id: 'descope.registration',
      hint: 'under Agentic Identity Hub > MCP Servers > this server, switch on Dynamic Client Registration (DCR) or CIMD.',
    },
    {
      name: 'CIMD that is off',
      change: { device: true },
      id: 'descope.registration',
      hint: 'switch on CIMD, with the domains of the clients.',
    },
    {
      name: 'a device flow that is off',
      change: { cimd: true },
      id: 'descope.device',
      hint: 'under Settings > Authentication Methods > Device Authentication.',
    },
    {
      name: 'E063316: a client without a Policy',
      change: {
        ...ALL_ON,
        clients: [{ clientId: 'machine', clientSecret: SECRET, policy: false }],
      },
      id: 'descope.token',
      hint: 'In Descope, give the client access: Agentic Identity Hub > Policies',
      status: 3,
    },
    {
      name: 'an audience without the MCP URL',
      change: { ...ALL_ON, aud: 'client+project' as const },
      id: 'descope.token',
      hint: 'set the MCP Server URL of the MCP server to https://mcp.example.com/mcp',
      status: 3,
    },
    {
      name: 'another MCP Server URL',
      change: { ...ALL_ON, resourceUrl: 'https://other.example/mcp' },
      id: 'descope.token',
      hint: 'set the MCP Server URL of the MCP server to the URL',
      status: 3,
    },
    {
      name: 'scopes that the client lacks',
      change: ALL_ON,
      file: { descope: { requiredScopes: ['mcp:admin'] } },
      id: 'descope.token',
      hint: 'In Descope, add them to the MCP server',
      status: 3,
    },
    {
      name: 'a server that does not exist',
      change: { ...ALL_ON, fail: [{ path: 'openid-configuration', status: 404, times: 9 }] },
      url: (url: string) => url.replace(/MS\w+/, `MS${'x'.repeat(27)}`),
      id: 'descope.discovery',
      hint: 'Copy the Discovery URL of the MCP server from the Descope console',
      status: 1,
    },
  ])('names $name', async ({ change, url = (same) => same, file = {}, id, hint, status = 0 }) => {
    const identity = await emulator(change)
    const run = await inspect(url(identity.configUrl), MACHINE, file)
    const outcome = status === 0 ? 'warn' : 'fail'
    expect(run.of(id)).toMatchObject({ outcome, hint: expect.stringContaining(hint) })
    expect(run.status).toBe(status)
    if (status === 0) expect(run.stderr).toBe('')
    else expect(JSON.parse(run.stderr)).toMatchObject({ error: { hint: run.of(id)?.hint } })
  })

  it('names an HTTP proxy that adds X-Forwarded-Host', async () => {
    const port = await freePort()
    const between = await serveWith((asked, response) => {
      const headers = { ...asked.headers, 'x-forwarded-host': 'mcp.example.com' }
      const { method, url: path } = asked
      const forwarded = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers)
        answer.pipe(response)
      })
      asked.pipe(forwarded)
    })
    closing.push(between.close)
    const identity = await emulator({
      ...ALL_ON,
      port,
      publicUrl: `http://localhost:${between.port}`,
    })
    const run = await inspect(identity.configUrl)
    expect(run.of('descope.registration')).toMatchObject({
      outcome: 'fail',
      hint: expect.stringContaining('have the HTTP proxy remove that header'),
    })
    expect(run.status).toBe(1)
  })

  it('exits 4 when Descope cannot be reached, and checks the targets all the same', async () => {
    const P = `P${'a'.repeat(27)}`
    const run = await inspect(`http://127.0.0.1:${await freePort()}/v1/apps/agentic/${P}/MS1`)
    expect(run.status).toBe(4)
    expect(run.of('descope.discovery')).toMatchObject({ outcome: 'fail' })
    expect(run.of('descope.keys')).toMatchObject({ outcome: 'skip' })
    expect(run.document.targets).toMatchObject([{ ok: true }])
  })
})
