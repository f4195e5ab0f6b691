import { generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runCli, startCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'
import {
  discover,
  postForm,
  postJson,
  registerClient,
  signIn as signInAt,
} from '../unit/demo/identity/support.js'

const { privateKey: ecKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
/** As JSON. */
const EC_KEY = JSON.stringify(ecKey.export({ type: 'pkcs8', format: 'pem' }))

type Said = Record<string, string> & { url: string; DESCOPE_CONFIG_URL: string }

/** Starts `demo identity`, which prints what others need. */
async function startKept(flags: string[], env: Record<string, string> = {}) {
  const cli = startCli(['demo', 'identity', '--json', ...flags], { env })
  const [line] = await cli.waitFor('stdout', /\{.*\}\n/)
  const said = JSON.parse(line) as Said
  const stop = async () => {
    cli.child.kill('SIGTERM')
    await cli.ended
  }
  return { said, url: said.url, stop }
}

type Emulator = Awaited<ReturnType<typeof startKept>>

async function documentOf({ DESCOPE_CONFIG_URL: url }: Said) {
  return (await (await fetch(url)).json()) as Record<
    'issuer' | 'jwks_uri' | 'token_endpoint',
    string
  >
}

async function signIn(said: Said) {
  const { issuer } = await documentOf(said)
  const as = await discover({ issuer } as never)
  const client = await registerClient(as)
  return signInAt(as, client, { scope: 'mcp:use outbound.token.fetch' })
}

const projectOf = ({ said }: Emulator) => /agentic\/(\w+)\//.exec(said.DESCOPE_CONFIG_URL)?.[1]

function manage(emulator: Emulator, path: string, token: string, body: object) {
  const authorization = `Bearer ${projectOf(emulator)}:${token}`
  return postJson(`${emulator.url}/v1/mgmt/outbound/app/${path}`, body, { authorization })
}

async function connect(emulator: Emulator, token: string) {
  const { body } = await manage(emulator, 'connect', token, { appId: 'github' })
  expect((await postForm(body.url, { decision: 'connect' })).status).toBe(200)
}

const fetchToken = (emulator: Emulator, token: string, userId: string | undefined) =>
  manage(emulator, 'user/token/latest', token, { appId: 'github', userId })

async function start(...flags: string[]) {
  const cli = startCli(['demo', 'identity', '--json', ...flags])
  const [line] = await cli.waitFor('stdout', /\{.*\}\n/)
  const { url } = JSON.parse(line) as { url: string }
  const minted = await fetch(`${url}/__test/mint`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  const { token } = (await minted.json()) as { token: string }
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const state = await (await fetch(`${url}/__test/state`)).json()
  cli.child.kill('SIGTERM')
  expect((await cli.ended).status).toBe(0)
  return { claims, state: state as { issuer: string; projectId: string } }
}

describe('demo identity', () => {
  it('gives tokens the issuer, the scopes and the life that its flags say', async () => {
    const { claims, state } = await start(
      ...['--issuer', 'agentic', '--scopes', 'docs:read docs:write', '--ttl', '42'],
    )
    expect(claims).toMatchObject({ iss: state.issuer, scope: 'docs:read docs:write' })
    expect(claims.exp - claims.iat).toBe(42)
  })

  it('gives them as before without flags', async () => {
    const { claims, state } = await start()
    expect(claims.iss).toContain(state.projectId)
    expect(claims.iss).not.toBe(state.issuer)
    expect(claims).toMatchObject({ scope: 'mcp:use' })
    expect(claims.exp - claims.iat).toBe(600)
  })

  it.each([
    ['--issuer', 'mine'],
    ['--scopes', ' '],
    ['--scopes', 'a"b'],
    ['--ttl', '0'],
    ['--ttl', '1.5'],
  ])('refuses %s %j', async (flag, value) => {
    const { status, stderr } = await runCli(['demo', 'identity', flag, value])
    expect([status, stderr]).toEqual([2, expect.stringContaining(flag)])
  })
})

describe('demo identity --state', () => {
  it('keeps its project, keys, clients, connections and refresh tokens across restarts', async () => {
    const folder = createFolder()
    const state = join(folder, 'emulator')
    const options = join(folder, 'options.json')
    await writeFile(options, '{"scopes":["mcp:use","outbound.token.fetch"]}')
    const flags = ['--state', state, '--client-id', 'ci', '--options', options]
    const first = await startKept(flags)
    const tokens = await signIn(first.said)
    await connect(first, tokens.access_token)
    expect(first.said).toMatchObject({ MCP_DESCOPE_CLIENT_ID: 'ci' })
    await first.stop()
    expect((await stat(state)).mode & 0o777).toBe(0o700)
    expect((await stat(join(state, 'emulator.json'))).mode & 0o777).toBe(0o600)

    const second = await startKept(flags)
    onTestFinished(() => second.stop())
    expect(second.said).toEqual(first.said)
    const { jwks_uri: jwks, token_endpoint: endpoint } = await documentOf(second.said)
    const { payload } = await jwtVerify(
      tokens.access_token,
      createRemoteJWKSet(new URL(jwks as string)),
    )
    const refreshed = await postForm(endpoint, {
      grant_type: 'refresh_token',
      client_id: payload['azp'] as string,
      refresh_token: tokens.refresh_token as string,
    })
    expect(refreshed.status).toBe(200)
    expect((await fetchToken(second, refreshed.body.access_token, payload.sub)).status).toBe(200)
    const machine = await postForm(endpoint, {
      grant_type: 'client_credentials',
      client_id: 'ci',
      client_secret: second.said['MCP_DESCOPE_CLIENT_SECRET'] as string,
    })
    expect(machine.status).toBe(200)
    const busy = await runCli(['demo', 'identity', '--state', state])
    expect([busy.status, busy.stderr]).toEqual([
      2,
      expect.stringContaining('Another emulator runs'),
    ])
  })

  it.each<[string, (text: string) => string]>([
    ['is cut off', (text) => text.slice(0, 100)],
    ['has no keys', (text) => text.replace(/"keys":\[.*?\]/, '"keys":[]')],
    ['has a broken key', (text) => text.replace('BEGIN PRIVATE', 'BEGIN')],
    [
      'has a key that is not RSA',
      (text) => text.replace(/"privateKey":"[^"]*"/, `"privateKey":${EC_KEY}`),
    ],
    [
      'has another form of project',
      (text) => text.replace(/"projectId":"\w*"/, '"projectId":"../x"'),
    ],
    ['has a member that nobody knows', (text) => text.replace('{', '{"x":1,')],
  ])('says what is damaged when its file %s', async (_name, damage) => {
    const folder = createFolder()
    await (await startKept(['--state', folder])).stop()
    const file = join(folder, 'emulator.json')
    await writeFile(file, damage(await readFile(file, 'utf8')))
    const { status, stderr } = await runCli(['demo', 'identity', '--state', folder])
    expect(status).toBe(2)
    expect(stderr).toContain(`The emulator's state in ${file} is damaged`)
    expect(stderr).toContain('delete it')
    expect(stderr).not.toContain('PRIVATE KEY')
  })

  it('refuses a folder that others can read, and a file in its place', async () => {
    const folder = createFolder()
    const open = join(folder, 'open')
    await mkdir(open)
    await chmod(open, 0o755)
    const read = await runCli(['demo', 'identity', '--state', open])
    expect([read.status, read.stderr]).toEqual([2, expect.stringContaining(`chmod 700 ${open}`)])
    const file = join(folder, 'file')
    await writeFile(file, '')
    const { status, stderr } = await runCli(['demo', 'identity', '--state', file])
    expect([status, stderr]).toEqual([2, expect.stringContaining('Give "--state" a folder')])
  })
})

describe('demo identity for CI', () => {
  const env = { MCP_DESCOPE_CLIENT_ID: 'from-env', MCP_DESCOPE_CLIENT_SECRET: 'the-secret-of-ci' }

  it('knows the client of the environment and does not print its secret', async () => {
    const emulator = await startKept([], env)
    onTestFinished(() => emulator.stop())
    const { token_endpoint: endpoint } = await documentOf(emulator.said)
    const answer = await postForm(endpoint, {
      grant_type: 'client_credentials',
      client_id: 'from-env',
      client_secret: 'the-secret-of-ci',
    })
    expect(answer.status).toBe(200)
    expect(emulator.said).toMatchObject({ MCP_DESCOPE_CLIENT_ID: 'from-env' })
    expect(emulator.said).not.toHaveProperty('MCP_DESCOPE_CLIENT_SECRET')
  })

  it.each<[string, string[], Record<string, string>, string]>([
    ['a secret without a client', [], { MCP_DESCOPE_CLIENT_SECRET: 'x' }, 'no client is named'],
    ['a client id with a line break', ['--client-id', 'a\nb'], {}, '--client-id'],
    ['options that are not there', ['--options', '/nowhere/options.json'], {}, 'ENOENT'],
    ['options that are no object', ['--options', 'package.json/x'], {}, 'package.json/x'],
  ])('refuses %s', async (_name, flags, variables, message) => {
    const { status, stderr } = await runCli(['demo', 'identity', ...flags], { env: variables })
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
  })

  it('says which option is unknown', async () => {
    const folder = createFolder()
    const file = join(folder, 'options.json')
    await writeFile(file, '{"scope":["x"]}')
    const { status, stderr } = await runCli(['demo', 'identity', '--options', file])
    expect([status, stderr]).toEqual([2, expect.stringMatching(/Emulator options.*"scope"/s)])
    await writeFile(file, '[]')
    expect((await runCli(['demo', 'identity', '--options', file])).stderr).toContain('JSON object')
  })
})
