import { execFile, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import DescopeClient from '@descope/node-sdk'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Identity, startIdentity } from '../../src/demo/identity/index.js'
import { createVisitor } from '../../src/demo/visitor.js'
import { installFastMcp, pythonEnvironment } from '../helpers/fastmcp.js'
import { realClock } from '../helpers/targets/clock.js'

const PROGRAM = fileURLToPath(new URL('../python/descope_witness.py', import.meta.url))
const folder = await installFastMcp()

const USER = 'U2me'
const TENANT = 'T2acme'
const KEY = 'K2management'
const ACCESS_KEY = 'K2accessKey'
const RELATION = { resource: '7', resourceType: 'doc', relation: 'owner', target: USER }
const RELATIONS = [
  { ...RELATION, targetType: 'user' },
  { ...RELATION, relation: 'reader', targetType: 'user' },
]

let identity: Identity
beforeAll(async () => {
  identity = await startIdentity({
    clock: realClock,
    user: { id: USER },
    managementKeys: [KEY],
    accessKeys: [{ key: ACCESS_KEY, keyId: 'K2id' }],
    relations: [RELATION],
    connections: [
      { appId: 'github', userId: USER, accessToken: 'gho_user', scopes: ['user'] },
      {
        ...{ appId: 'github', userId: USER, tenantId: TENANT, accessToken: 'gho_tenant' },
        ...{ scopes: ['repo'], refreshToken: 'ghr_tenant' },
      },
      { appId: 'slack', tenantId: TENANT, accessToken: 'xoxb' },
    ],
  })
  return () => identity.close()
})

/** A session as Descope's own sign-in gives it: the bare project id as issuer. */
const session = () => identity.mint({ iss: identity.projectId, aud: [identity.projectId] })

describe("Descope's SDK for Node takes the emulator for Descope", () => {
  const create = (managementKey = KEY) =>
    DescopeClient({ projectId: identity.projectId, managementKey, baseUrl: identity.url })

  it('as to sessions and access keys', async () => {
    const sdk = create()
    expect((await sdk.validateSession(await session())).token.sub).toBe(USER)
    const forged = await identity.mint({ iss: identity.projectId }, {}, { key: 'foreign' })
    await expect(sdk.validateSession(forged)).rejects.toThrow()
    expect((await sdk.exchangeAccessKey(ACCESS_KEY)).token.sub).toBe('K2id')
    await expect(sdk.exchangeAccessKey('wrong')).rejects.toThrow()
  })

  it.each(['project', 'agentic', 'tenant', 'project-url', 'bare'] as const)(
    'as to tokens with the issuer of the form %s',
    async (issuer) => {
      identity.set({ issuer })
      onTestFinished(() => identity.set({ issuer: undefined }))
      const token = await identity.mint()
      expect((await create().validateJwt(token)).token.sub).toBe(USER)
    },
  )

  it('as to Connections', async () => {
    const { outboundApplication } = create().management
    const user = await outboundApplication.fetchToken('github', USER)
    expect(user.data).toMatchObject({ accessToken: 'gho_user', tenantId: '' })
    const options = { withRefreshToken: true }
    const exact = await outboundApplication.fetchTokenByScopes(
      'github',
      USER,
      ['repo'],
      options,
      TENANT,
    )
    expect(exact.data).toMatchObject({ accessToken: 'gho_tenant', refreshToken: 'ghr_tenant' })
    const nothing = await outboundApplication.fetchToken('nothing', USER)
    expect([nothing.ok, nothing.code]).toEqual([false, 404])
    const foreign = create('K2wrong').management.outboundApplication
    expect((await foreign.fetchToken('github', USER)).code).toBe(401)
  })

  it('as to audit events and relations', async () => {
    const { audit, fga } = create().management
    const event = { action: 'node', type: 'info' as const, actorId: USER, tenantId: TENANT }
    expect((await audit.createEvent(event)).ok).toBe(true)
    expect(identity.auditEvents).toContainEqual(event)
    const { data } = await fga.check(RELATIONS)
    expect(data?.map(({ allowed }) => allowed)).toEqual([true, false])
  })
})

describe.skipIf(folder === undefined)(
  "Descope's SDK for Python takes the emulator for Descope",
  () => {
    it('as to sessions, access keys, Connections, audit events and relations', async () => {
      const request = {
        ...{ url: identity.url, project: identity.projectId, key: KEY, accessKey: ACCESS_KEY },
        ...{ user: USER, tenant: TENANT, relations: RELATIONS, session: await session() },
        forged: await identity.mint({ iss: identity.projectId }, {}, { key: 'foreign' }),
      }
      const answers = JSON.parse(await runPython(['sdk'], JSON.stringify(request)))
      expect(answers).toMatchObject({
        session: { sub: USER, projectId: identity.projectId },
        forged: { status: 'signature' },
        'access key': { keyId: 'K2id' },
        connection: { token: { accessToken: 'gho_user' } },
        'tenant of the user': { token: { accessToken: 'gho_tenant', refreshToken: 'ghr_tenant' } },
        tenant: { token: { accessToken: 'xoxb' } },
        'not connected': { status: 404 },
        audit: null,
        check: [
          { allowed: true, relation: RELATIONS[0] },
          { allowed: false, relation: RELATIONS[1] },
        ],
      })
      expect(identity.auditEvents).toContainEqual(expect.objectContaining({ action: 'tools/call' }))
    })
  },
)

describe.skipIf(folder === undefined)(
  "FastMCP's DescopeProvider takes the emulator for Descope",
  () => {
    it.each(['configUrl', 'projectConfigUrl'] as const)(
      'by its %s: discovery, registration, sign-in and a call, whichever issuer the tokens have',
      { timeout: 60_000 },
      async (name) => {
        const url = await startServer(identity[name])
        for (const issuer of ['project', 'agentic', 'tenant'] as const) {
          identity.set({ issuer })
          onTestFinished(() => identity.set({ issuer: undefined }))
          const visitor = createVisitor(url, fetch)
          expect(await visitor.callWithoutToken()).toContain(
            '/.well-known/oauth-protected-resource',
          )
          await visitor.register()
          await visitor.signIn()
          await visitor.connect()
          expect(JSON.parse(await visitor.callTool('whoami', {}))).toMatchObject({ sub: USER })
          await visitor.close()
        }
        const status = async (token: string) =>
          (await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}` } }))
            .status
        for (const [claims, header, options] of [
          [{ iss: 'https://elsewhere.example' }, {}, {}],
          [{ aud: ['another'] }, {}, {}],
          [{ exp: 1 }, {}, {}],
          [{}, { alg: 'none' }, {}],
          [{}, {}, { key: 'foreign' }],
        ] as const) {
          expect(await status(await identity.mint(claims, header, options))).toBe(401)
        }
        expect(await status(await identity.mint())).not.toBe(401)
      },
    )
  },
)

function runPython(args: string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: pythonEnvironment(folder as string), timeout: 60_000 }
    const child = execFile('python3', [PROGRAM, ...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr))
    })
    child.stdin?.end(input)
  })
}

/** Starts an MCP server that lives as long as the test. */
async function startServer(configUrl: string): Promise<string> {
  const child = spawn('python3', [PROGRAM, 'server', configUrl], {
    env: pythonEnvironment(folder as string),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', (line: string) => resolve(line.trim()))
    child.once('error', reject)
    child.once('close', () => reject(new Error(`FastMCP ended:\n${said}`)))
  })
}
