import { describe, expect, it } from 'vitest'
import { type ConnectionSettings, connection } from '../../../../src/auth/credentials/connection.js'
import type { Caller } from '../../../../src/auth/credentials/credential.js'
import { parseConfigUrl } from '../../../../src/auth/descope/discovery.js'
import { AGENTIC_PATH, createTestClock, listen, PROJECT, START, sendJson } from '../support.js'

const UNAUTHORIZED = { status: 401, challenge: undefined } as const

const NOW = START / 1000

const caller = (subject: string, tenant?: string): Caller => ({
  accessToken: `token-of-${subject}`,
  principal: {
    issuer: 'https://api.descope.com',
    subject,
    clientId: undefined,
    scopes: new Set(),
    tenant,
    roles: [],
    permissions: [],
    expiresAt: NOW + 3_600,
  },
})

async function setUp(
  settings: Partial<ConnectionSettings> = {},
  token: Record<string, unknown> = {},
  refusal: { status: number; body: unknown } | undefined = undefined,
) {
  const asked: { path: string; authorization: string | undefined; body: unknown }[] = []
  const server = await listen((request, response) => {
    const { authorization } = request.headers
    asked.push({ path: request.url ?? '', authorization, body: JSON.parse(request.text) })
    if (refusal) return sendJson(response, refusal.body, refusal.status)
    const accessToken = `gho_${asked.length}`
    sendJson(response, {
      token: { appId: 'github', accessToken, accessTokenExpiry: `${NOW + 3_600}`, ...token },
    })
  })
  const clock = createTestClock()
  const credential = connection(
    { app: 'github', by: 'user', managementKey: 'K2mgmt', ...settings },
    {
      runtime: { fetch, clock },
      descope: { project: parseConfigUrl(`${server.base}${AGENTIC_PATH}`) },
    },
  )
  return { credential, clock, asked }
}

describe('a connection', () => {
  it('gives the third-party token of the user', async () => {
    const { credential, asked } = await setUp()
    const first = await credential.headers(caller('U1'))
    expect(first).toEqual({ authorization: 'Bearer gho_1' })
    expect(credential.headers(caller('U1'))).toBe(first)
    expect(asked).toEqual([
      {
        path: '/v1/mgmt/outbound/app/user/token/latest',
        authorization: `Bearer ${PROJECT}:K2mgmt`,
        body: { appId: 'github', userId: 'U1' },
      },
    ])
  })

  it('gives each user his own', async () => {
    const { credential, asked } = await setUp()
    const [one, two] = await Promise.all([
      credential.headers(caller('U1')),
      credential.headers(caller('U2')),
    ])
    expect(one).not.toEqual(two)
    expect(asked).toHaveLength(2)
    expect(credential.headers(caller('U2'))).toBe(two)
  })

  it('gives the token of the tenant that the caller is signed in to', async () => {
    const { credential, asked } = await setUp({ by: 'tenant' })
    const first = await credential.headers(caller('U1', 'T1'))
    expect(credential.headers(caller('U2', 'T1'))).toBe(first)
    expect(await credential.headers(caller('U1', 'T2'))).not.toEqual(first)
    expect(asked.map(({ path, body }) => ({ path, body }))).toEqual([
      {
        path: '/v1/mgmt/outbound/app/tenant/token/latest',
        body: { appId: 'github', tenantId: 'T1' },
      },
      {
        path: '/v1/mgmt/outbound/app/tenant/token/latest',
        body: { appId: 'github', tenantId: 'T2' },
      },
    ])
  })

  it('asks with the token of the caller when there is no management key', async () => {
    const { credential, asked } = await setUp({ managementKey: undefined, by: 'tenant' })
    await credential.headers(caller('U1', 'T1'))
    await credential.headers(caller('U2', 'T1'))
    expect(asked.map(({ authorization }) => authorization)).toEqual([
      `Bearer ${PROJECT}:token-of-U1`,
      `Bearer ${PROJECT}:token-of-U2`,
    ])
  })

  it.each([
    { expiry: `${NOW + 3_600}`, keptSeconds: 540 },
    { expiry: NOW + 100, keptSeconds: 90 },
    { expiry: '', keptSeconds: 54 },
    { expiry: '0', keptSeconds: 54 },
    { expiry: 'soon', keptSeconds: 54 },
    { expiry: undefined, keptSeconds: 54 },
  ])('is kept for $keptSeconds s with the expiry $expiry', async ({ expiry, keptSeconds }) => {
    const { credential, clock, asked } = await setUp({}, { accessTokenExpiry: expiry })
    await credential.headers(caller('U1'))
    clock.advance(keptSeconds * 1000 - 1)
    await credential.headers(caller('U1'))
    expect(asked).toHaveLength(1)
    clock.advance(1)
    await Promise.resolve(credential.headers(caller('U1'))).catch(() => {})
    expect(asked).toHaveLength(2)
  })

  it('has Descope refresh a token that the target refused', async () => {
    const { credential, asked } = await setUp()
    await credential.headers(caller('U1'))
    expect(credential.refused(caller('U1'), UNAUTHORIZED)).toBe(true)
    await credential.headers(caller('U1'))
    expect(asked[1]?.body).toEqual({
      appId: 'github',
      userId: 'U1',
      options: { forceRefresh: true },
    })
  })

  it.each([
    { name: 'is over', expiry: `${NOW}` },
    { name: 'is over for long', expiry: '1' },
  ])('refuses a token that $name', async ({ expiry }) => {
    const { credential } = await setUp({}, { accessTokenExpiry: expiry })
    await expect(credential.headers(caller('U1'))).rejects.toMatchObject({
      code: 'CREDENTIAL_REFUSED',
      message: 'The token of connection "github" has expired and was not refreshed',
    })
  })

  it("gives the user's connection of the chosen tenant, with exactly these scopes, as an API key", async () => {
    const header = { name: 'X-Api-Key', prefix: 'Key' }
    const { credential, asked } = await setUp({ tenant: true, scopes: ['a', 'b'], header })
    expect(await credential.headers(caller('U1', 'T1'))).toEqual({ 'x-api-key': 'Key gho_1' })
    expect(await credential.headers(caller('U1', 'T2'))).toEqual({ 'x-api-key': 'Key gho_2' })
    expect(asked.map(({ path, body }) => ({ path, body }))).toEqual(
      ['T1', 'T2'].map((tenantId) => ({
        path: '/v1/mgmt/outbound/app/user/token',
        body: { appId: 'github', userId: 'U1', tenantId, scopes: ['a', 'b'] },
      })),
    )
    expect(() => credential.headers(caller('U1'))).toThrow('not signed in to a tenant')
  })

  it.each([
    ['javascript:alert(1)', false],
    ['file:///etc/passwd', false],
    ['https://user:secret@evil.example/', false],
    [`https://x.example/${'a'.repeat(9_000)}`, false],
    ['', false],
    ['https://third.example/authorize?x=1', true],
  ])('asks for the link with the token of the caller, and takes %s: %s', async (url, isTaken) => {
    const { credential, asked } = await setUp(
      { tenant: true, scopes: ['a'] },
      {},
      {
        status: 200,
        body: { url },
      },
    )
    const link = credential.connect?.link(caller('U1', 'T1'))
    if (isTaken) await expect(link).resolves.toBe(url)
    else await expect(link).rejects.toThrow('holds no http(s) URL')
    expect(asked).toEqual([
      {
        path: '/v1/mgmt/outbound/app/connect',
        authorization: `Bearer ${PROJECT}:token-of-U1`,
        body: { appId: 'github', tenantId: 'T1', options: { scopes: ['a'] } },
      },
    ])
  })

  it('needs a caller, and for tenants one who is in one', async () => {
    const { credential, asked } = await setUp({ by: 'tenant' })
    const nobody = { principal: undefined, accessToken: undefined }
    expect(() => credential.headers(nobody)).toThrow('needs a signed-in caller')
    expect(() => credential.headers(caller('U1'))).toThrow('not signed in to a tenant')
    expect(credential.refused(nobody, UNAUTHORIZED)).toBe(false)
    expect(asked).toEqual([])
  })

  it.each([
    { status: 401, key: 'K2mgmt', code: 'CREDENTIAL_REFUSED', hint: /^Create a management key/ },
    { status: 401, key: undefined, code: 'CREDENTIAL_REFUSED', hint: /outbound\.token\.fetch/ },
    { status: 403, key: 'K2mgmt', code: 'CREDENTIAL_REFUSED', hint: /a Policy for the connection/ },
    { status: 403, key: undefined, code: 'CREDENTIAL_REFUSED', hint: /outbound\.token\.fetch/ },
    { status: 404, key: 'K2mgmt', code: 'CREDENTIAL_REFUSED', hint: /^Connect the user with/ },
    { status: 400, key: 'K2mgmt', code: 'CREDENTIAL_REFUSED', hint: /^Check the connection/ },
    { status: 302, key: 'K2mgmt', code: 'CREDENTIAL_REFUSED', hint: /^Check the connection/ },
    { status: 429, key: 'K2mgmt', code: 'ISSUER_UNREACHABLE', hint: /console \(Connections\)/ },
    { status: 503, key: 'K2mgmt', code: 'ISSUER_UNREACHABLE', hint: /console \(Connections\)/ },
  ])('explains $status (management key: $key)', async ({ status, key, code, hint }) => {
    const body = { errorCode: 'E1', errorMessage: 'Because' }
    const { credential } = await setUp({ managementKey: key }, {}, { status, body })
    const error = await Promise.resolve(credential.headers(caller('U1'))).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({
      code,
      message: `Descope answered ${status} for connection "github": "E1" "Because"`,
      hint: expect.stringMatching(hint),
    })
    expect(String(error)).not.toMatch(/K2mgmt|token-of/)
  })

  it.each(['', 'K2\nmgmt', 'K2mgmt€'])('refuses the management key %j', async (managementKey) => {
    await expect(setUp({ managementKey })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.not.stringMatching(/K2/),
    })
  })

  it.each([{ body: {} }, { body: { token: { accessToken: '' } } }, { body: [] }])(
    'refuses $body for a token',
    async ({ body }) => {
      const { credential } = await setUp({}, {}, { status: 200, body })
      await expect(credential.headers(caller('U1'))).rejects.toMatchObject({
        code: 'CREDENTIAL_REFUSED',
      })
    },
  )

  it('keeps a token that may not do what it was used for', async () => {
    const { credential, asked } = await setUp()
    await credential.headers(caller('U1'))
    const forbidden = { status: 403, challenge: 'Bearer error="insufficient_scope"' } as const
    expect(credential.refused(caller('U1'), forbidden)).toBe(false)
    await credential.headers(caller('U1'))
    expect(asked).toHaveLength(1)
  })
})
