import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { type CliProcess, startCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { call } from '../../helpers/targets/raw-client.js'
import type { RecordingTarget } from '../../helpers/targets/recording.js'

const CLIENT = { clientId: 'the-proxy', clientSecret: 'secret-of-the-proxy' }
const ALICE = 'U2alice'
const BOB = 'U2bob'
const CAROL = 'U2carol'
const CONNECTED = { [ALICE]: 'third-party-token-of-alice', [BOB]: 'third-party-token-of-bob' }
/** Tokens that the targets refuse from now on. */
const revoked = new Set<string>()

let identity: Identity
/** Each takes what its kind of credential gives, and nothing else. */
let machine: RecordingTarget
let exchanged: RecordingTarget
let connected: RecordingTarget
let folder: string
let serve: CliProcess
let url: string
beforeAll(async () => {
  identity = await startIdentity({
    clock,
    clients: [CLIENT],
    scopes: ['mcp:use', 'outbound.token.fetch'],
    connections: Object.entries(CONNECTED).map(([userId, accessToken]) => ({
      ...{ appId: 'calendar', userId, accessToken },
      ...{ nextAccessToken: `${accessToken}-renewed`, refreshToken: 'r' },
    })),
  })
  const claimsOf = (token: string) => {
    if (revoked.has(token) || !identity.issuedSecrets().includes(token)) return undefined
    return decodeJwt(token) as { sub?: string; azp?: string; act?: { sub: string }; aud?: unknown }
  }
  machine = await startGuardedTarget(identity, {
    accepts: (token) => {
      const claims = claimsOf(token)
      return claims?.azp === CLIENT.clientId && claims.act === undefined
    },
  })
  exchanged = await startGuardedTarget(identity, {
    accepts: (token) => {
      const claims = claimsOf(token)
      return (
        claims?.act?.sub === CLIENT.clientId && JSON.stringify(claims.aud).includes(exchanged.url)
      )
    },
  })
  connected = await startGuardedTarget(identity, {
    accepts: (token) => token.startsWith('third-party-token-of-') && !revoked.has(token),
  })
  folder = await mkdtemp(join(tmpdir(), 'credentials-'))
  const config = {
    targets: {
      machine: {
        url: machine.url,
        credential: { type: 'client-credentials', ...CLIENT, clientSecret: `\${CLIENT_SECRET}` },
      },
      exchanged: {
        url: exchanged.url,
        credential: { type: 'token-exchange', ...CLIENT, clientSecret: `\${CLIENT_SECRET}` },
      },
      connected: { url: connected.url, credential: { type: 'connection', app: 'calendar' } },
    },
  }
  const file = join(folder, 'proxy.json')
  await writeFile(file, JSON.stringify(config))
  const flags = ['--config', file, '--port', '0', '--log-format', 'json', '--log-level', 'debug']
  serve = startCli(['serve', ...flags], {
    cwd: folder,
    env: { DESCOPE_CONFIG_URL: identity.configUrl, CLIENT_SECRET: CLIENT.clientSecret },
    timeoutMs: 60_000,
  })
  url = (await serve.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/))[1] as string
})
beforeEach(() => {
  for (const target of [machine, exchanged, connected]) target.clear()
})
afterAll(async () => {
  serve.child.kill('SIGTERM')
  await serve.ended
  await Promise.all([machine.close(), exchanged.close(), connected.close(), identity.close()])
  await rm(folder, { recursive: true, force: true })
})

const tokens = new Map<string, Promise<string>>()
/** The token that a user sends us. */
function tokenOf(sub: string): Promise<string> {
  const aud = `http://localhost:${new URL(url).port}/mcp`
  const known =
    tokens.get(sub) ?? identity.mint({ sub, aud, scope: 'mcp:use outbound.token.fetch' })
  tokens.set(sub, known)
  return known
}

async function ask(sub: string, method: string, params: object = {}) {
  const headers = { authorization: `Bearer ${await tokenOf(sub)}` }
  const answer = await call(url, method, params as Record<string, unknown>, { headers })
  return JSON.parse(answer.body as string)
}

const callTool = (sub: string, target: string) =>
  ask(sub, 'tools/call', { name: `${target}_echo`, arguments: {} })

/** The tokens that a target was sent; looking for its metadata takes none. */
const sentTo = (target: RecordingTarget) => [
  ...new Set(
    target.requests.flatMap(({ headers }) => headers.authorization?.slice('Bearer '.length) ?? []),
  ),
]

it('one list comes from three targets, each with its own kind of credential', async () => {
  const { result } = await ask(ALICE, 'tools/list')
  const names = result.tools.map(({ name }: { name: string }) => name)
  expect(names).toEqual(['machine_echo', 'exchanged_echo', 'connected_echo'])
  expect(result._meta).toBeUndefined()
  expect(sentTo(connected)).toEqual([CONNECTED[ALICE]])
})

it("client credentials are the proxy's own, found through the target's metadata, and kept", async () => {
  const { counters } = identity
  const before = counters.clientCredentials
  for (const user of [ALICE, BOB, CAROL]) {
    expect((await callTool(user, 'machine')).result).toBeDefined()
  }
  expect(counters.clientCredentials).toBe(before)
  const [token] = sentTo(machine)
  expect(sentTo(machine)).toHaveLength(1)
  expect(decodeJwt(token as string)['azp']).toBe(CLIENT.clientId)
})

it("token exchange gives each user's call a token of that user for that target", async () => {
  for (const user of [ALICE, BOB, ALICE]) await callTool(user, 'exchanged')
  const calls = exchanged.of('tools/call').map(({ headers }) => headers.authorization?.slice(7))
  expect(calls.map((token) => decodeJwt(token as string).sub)).toEqual([ALICE, BOB, ALICE])
  expect(calls[0]).toBe(calls[2])
  for (const user of [ALICE, BOB]) expect(calls).not.toContain(await tokenOf(user))
})

it('a connection gives each user the token of their own connection', async () => {
  for (const user of [ALICE, BOB]) expect((await callTool(user, 'connected')).result).toBeDefined()
  expect(sentTo(connected)).toEqual([CONNECTED[ALICE], CONNECTED[BOB]])
})

it('a user without a connection gets the link; the other targets are not concerned', async () => {
  const called = await callTool(CAROL, 'connected')
  expect(called.result).toMatchObject({ isError: true })
  expect(called.result.content[0].text).toMatch(/calendar.*https?:/)
  expect(connected.requests).toHaveLength(0)
  const { result } = await ask(CAROL, 'tools/list')
  expect(result.tools.map(({ name }: { name: string }) => name)).toEqual([
    'machine_echo',
    'exchanged_echo',
    'connected_connect_calendar',
  ])
  expect(result._meta).toBeUndefined()
})

it.each([
  ['machine', () => machine],
  ['exchanged', () => exchanged],
  ['connected', () => connected],
] as const)(
  'a token that %s no longer takes is renewed once, and the call goes on',
  async (name, of) => {
    const target = of()
    await callTool(ALICE, name)
    const [old] = sentTo(target) as [string]
    revoked.add(old)
    target.clear()
    // client credentials of the same second are the same token
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect((await callTool(ALICE, name)).result).toBeDefined()
    const [first, second, ...more] = sentTo(target)
    expect(first).toBe(old)
    expect(second).not.toBe(old)
    expect(more).toEqual([])
  },
)

it('no secret and no token is in the log, nor did a target see what a user sent', async () => {
  const log = serve.stderr()
  const users = await Promise.all([ALICE, BOB, CAROL].map(tokenOf))
  for (const secret of [CLIENT.clientSecret, ...users, ...Object.values(CONNECTED)]) {
    expect(log).not.toContain(secret)
  }
  for (const user of [ALICE, BOB]) {
    for (const name of ['machine', 'exchanged', 'connected']) await callTool(user, name)
  }
  for (const target of [machine, exchanged, connected]) {
    for (const token of users) expect(sentTo(target)).not.toContain(token)
  }
})
