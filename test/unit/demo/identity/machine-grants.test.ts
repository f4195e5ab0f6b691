import { decodeJwt } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../../src/demo/identity/index.js'
import { movableClock, postForm, postJson, RESOURCE } from './support.js'

const CONNECTIONS = [
  {
    appId: 'github',
    userId: 'U2me',
    accessToken: 'gho_first',
    nextAccessToken: 'gho_second',
    refreshToken: 'ghr_refresh',
    scopes: ['repo', 'user'],
    expiresAt: 4_000_000_000,
  },
  { appId: 'slack', tenantId: 'T2acme', accessToken: 'xoxb-team' },
  { appId: 'locked', userId: 'U2me', accessToken: 'locked-token', policy: false },
]
const clock = movableClock()
let identity: Identity
beforeAll(async () => {
  identity = await startIdentity({
    clock,
    user: { id: 'U2me', tenant: 'T2acme' },
    scopes: ['mcp:use', 'outbound.token.fetch'],
    accessKeys: [{ key: 'K2secretKey', keyId: 'K2id', claims: { roles: ['ci'] } }],
    managementKeys: ['K2management:key'],
    clients: [{ clientId: 'machine', clientSecret: 'machine-secret' }],
    connections: CONNECTIONS,
  })
})
afterAll(() => identity.close())
afterEach(() => identity.set({ connections: CONNECTIONS }))

const machineToken = async () => {
  const answer = await postForm(`${identity.url}/oauth2/v1/token`, {
    grant_type: 'client_credentials',
    client_id: 'machine',
    client_secret: 'machine-secret',
  })
  return answer.body.access_token as string
}

describe('access key', () => {
  const exchange = (bearer: string, body: object = {}) =>
    postJson(`${identity.url}/v1/auth/accesskey/exchange`, body, {
      authorization: `Bearer ${bearer}`,
    })

  it('becomes a session JWT with the bare project as issuer and audience', async () => {
    const loginOptions = { customClaims: { job: 'build', iss: 'forged' }, selectedTenant: 'T2acme' }
    const { status, body } = await exchange(`${identity.projectId}:K2secretKey`, { loginOptions })
    expect(status).toBe(200)
    expect(body.keyId).toBe('K2id')
    expect(decodeJwt(body.sessionJwt)).toMatchObject({
      iss: identity.projectId,
      aud: [identity.projectId],
      sub: 'K2id',
      dct: 'T2acme',
      job: 'build',
      roles: ['ci'],
    })
  })

  it.each([
    ['an unknown key', () => `${identity.projectId}:wrong`],
    ['no key', () => identity.projectId],
    ['another project', () => 'P2other:K2secretKey'],
  ])('is refused with %s', async (_name, bearer) => {
    expect(await exchange(bearer())).toMatchObject({ status: 401, body: { errorCode: 'E061005' } })
  })

  it.each(['K2secretKey', 'wrong'])('works as Basic at the token endpoint: %s', async (key) => {
    const value = Buffer.from(`${identity.projectId}:${key}`).toString('base64')
    const answer = await postForm(
      `${identity.url}/oauth2/v1/token`,
      { grant_type: 'client_credentials' },
      { authorization: `Basic ${value}` },
    )
    expect(answer.status).toBe(key === 'wrong' ? 401 : 200)
  })
})

describe('token exchange', () => {
  const exchange = (form: Record<string, string>, path = '/oauth2/v1/token') =>
    postForm(identity.url + path, {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      client_id: 'machine',
      client_secret: 'machine-secret',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      ...form,
    })

  it("turns a user's token into one for another resource, made out to the actor", async () => {
    const answer = await exchange({
      subject_token: await identity.mint({ sub: 'U2you' }),
      resource: RESOURCE,
      audience: 'payments',
      scope: 'mcp:use',
    })
    expect(answer.body).toMatchObject({
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      scope: 'mcp:use',
    })
    expect(answer.body).not.toHaveProperty('refresh_token')
    expect(decodeJwt(answer.body.access_token)).toMatchObject({
      sub: 'U2you',
      azp: 'machine',
      act: { sub: 'machine' },
      aud: ['machine', identity.projectId, RESOURCE, 'payments'],
    })
  })

  it.each([
    ['an expired token', async () => identity.mint({ exp: 1 })],
    ['a token without `exp`', async () => identity.mint({ exp: undefined })],
    ['a foreign signature', async () => identity.mint({}, {}, { key: 'foreign' })],
    ['no signature', async () => identity.mint({}, { alg: 'none' })],
    ['an unknown kid', async () => identity.mint({}, { kid: 'other' })],
  ])('refuses %s', async (_name, token) => {
    expect((await exchange({ subject_token: await token() })).status).toBe(401)
  })

  it('refuses a relative resource', async () => {
    const answer = await exchange({ subject_token: await identity.mint(), resource: '/mcp' })
    expect(answer.status).toBe(400)
  })
})

describe('connection', () => {
  const ask = (path: string, body: object, credential: string) =>
    postJson(`${identity.url}/v1/mgmt/outbound/app/${path}`, body, {
      authorization: `Bearer ${identity.projectId}:${credential}`,
    })
  const github = { appId: 'github', userId: 'U2me' }
  const slack = { appId: 'slack', tenantId: 'T2acme' }

  it('gives its token to a management key, in the shape of Descope', async () => {
    const { status, body } = await ask('user/token/latest', github, 'K2management:key')
    expect(status).toBe(200)
    expect(body.token).toMatchObject({
      appId: 'github',
      userId: 'U2me',
      accessToken: 'gho_first',
      accessTokenType: 'bearer',
      accessTokenExpiry: '4000000000',
      hasRefreshToken: true,
      refreshToken: '',
      scopes: ['repo', 'user'],
    })
  })

  it('gives its refresh token only when asked', async () => {
    const options = { withRefreshToken: true }
    const { body } = await ask('user/token/latest', { ...github, options }, 'K2management:key')
    expect(body.token.refreshToken).toBe('ghr_refresh')
  })

  it("gives its token to the user's own access token", async () => {
    const token = await identity.mint()
    expect((await ask('user/token/latest', github, token)).status).toBe(200)
    expect((await ask('tenant/token/latest', slack, token)).status).toBe(200)
  })

  it("gives a tenant's token and no user's to client credentials", async () => {
    const token = await machineToken()
    expect((await ask('tenant/token/latest', slack, token)).status).toBe(200)
    for (const userId of ['U2me', 'machine']) {
      const answer = await ask('user/token/latest', { ...github, userId }, token)
      expect(answer.status).toBe(403)
    }
  })

  it.each<[string, object, () => Promise<string>, number]>([
    ['a bad credential', github, async () => 'nonsense', 401],
    ['a token without the scope', github, () => identity.mint({ scope: 'mcp:use' }), 403],
    ['a token of another user', github, () => identity.mint({ sub: 'U2you' }), 403],
    ['a policy against it', { ...github, appId: 'locked' }, () => identity.mint(), 403],
    ['an app that is not connected', { ...github, appId: 'x' }, () => identity.mint(), 404],
    ['no user', { appId: 'github' }, async () => 'K2management:key', 404],
  ])('is refused with %s', async (_name, body, credential, status) => {
    expect((await ask('user/token/latest', body, await credential())).status).toBe(status)
  })

  it('is refused to a user who is signed in to another tenant', async () => {
    const token = await identity.mint({ dct: 'T2other' })
    expect((await ask('tenant/token/latest', slack, token)).status).toBe(403)
  })

  it('wants exactly its scopes unless the latest is asked for', async () => {
    const key = 'K2management:key'
    const some = await ask('user/token', { ...github, scopes: ['repo'] }, key)
    const all = await ask('user/token', { ...github, scopes: ['user', 'repo'] }, key)
    expect([some.status, all.status]).toEqual([404, 200])
  })

  it('changes its token on a forced refresh, and keeps the new one', async () => {
    const options = { forceRefresh: true }
    const key = 'K2management:key'
    const forced = await ask('user/token/latest', { ...github, options }, key)
    const later = await ask('user/token/latest', github, key)
    expect(forced.body.token.accessToken).toBe('gho_second')
    expect(later.body.token.accessToken).toBe('gho_second')
    expect(identity.counters.connectionRefreshes).toBe(1)
  })

  it('refreshes an expired token by itself when it can', async () => {
    const expired = { userId: 'U2me', accessToken: 'old', expiresAt: 1 }
    identity.set({
      connections: [
        { ...expired, appId: 'dead' },
        { ...expired, appId: 'alive', accessToken: 'old2', refreshToken: 'r' },
      ],
    })
    const read = async (appId: string) => {
      const answer = await ask('user/token/latest', { appId, userId: 'U2me' }, 'K2management:key')
      return answer.body.token.accessToken
    }
    expect(await read('dead')).toBe('old')
    expect(await read('alive')).not.toBe('old2')
  })
})
