import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import {
  authorizationUrl,
  discover,
  insecure,
  postForm,
  postJson,
  REDIRECT_URI,
  RESOURCE,
  refresh,
  registerClient,
  signedIn,
  signIn,
  start,
  visit,
} from './support.js'

describe('discovery', () => {
  it.each(['openid-configuration', 'oauth-authorization-server'])(
    'serves the document of the MCP server as %s',
    async (name) => {
      const identity = await start()
      const response = await fetch(`${identity.issuer}/.well-known/${name}`)
      const { url, projectId, serverId } = identity
      expect(await response.json()).toMatchObject({
        issuer: `${url}/v1/apps/agentic/${projectId}/${serverId}`,
        authorization_endpoint: `${url}/oauth2/v1/apps/agentic/${projectId}/${serverId}/authorize`,
        token_endpoint: `${url}/oauth2/v1/apps/agentic/${projectId}/${serverId}/token`,
        registration_endpoint: `${url}/v1/mgmt/mcp/client/${projectId}/${serverId}/register`,
        revocation_endpoint: `${url}/oauth2/v1/apps/${projectId}/revoke`,
        jwks_uri: `${url}/${projectId}/.well-known/jwks.json`,
        scopes_supported: ['mcp:use'],
        code_challenge_methods_supported: ['S256'],
      })
    },
  )

  it('gives the project a document of its own, with registration and endpoints without its id', async () => {
    const identity = await start()
    const as = await discover(identity, `${identity.url}/v1/apps/${identity.projectId}`)
    const { url, projectId } = identity
    expect(as).toMatchObject({
      registration_endpoint: `${url}/v1/mgmt/inboundapp/app/${projectId}/register`,
      revocation_endpoint: `${url}/oauth2/v1/apps/revoke`,
      userinfo_endpoint: `${url}/oauth2/v1/apps/userinfo`,
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256']),
    })
    expect(as.scopes_supported).toContain('openid')
    expect(as.token_endpoint).toBe(`${identity.url}/oauth2/v1/apps/token`)
  })

  it('serves the issuer {base}/{P} at its suffix and at its path-inserted URL', async () => {
    const identity = await start()
    const { url, projectId } = identity
    const suffix = await fetch(`${url}/${projectId}/.well-known/oauth-authorization-server`)
    const inserted = await fetch(`${url}/.well-known/oauth-authorization-server/${projectId}`)
    const document = await suffix.json()
    expect(document).toMatchObject({ issuer: `${url}/${projectId}` })
    expect(await inserted.json()).toEqual(document)
  })

  it('serves the same keys at each of its URLs', async () => {
    const { url, projectId } = await start()
    const [first, ...others] = await Promise.all(
      [`/${projectId}/.well-known/jwks.json`, `/v2/keys/${projectId}`, `/v1/keys/${projectId}`].map(
        async (path) => (await fetch(url + path)).json() as Promise<{ keys: object[] }>,
      ),
    )
    expect(first?.keys).toHaveLength(1)
    expect(Object.keys(first?.keys[0] ?? {}).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
    for (const other of others) expect(other).toEqual(first)
  })
})

describe('authorization code flow', () => {
  it('ends in a token that the served keys verify and that names the resource', async () => {
    const identity = await start({ issuer: 'agentic' })
    const { as, client, tokens } = await signedIn(identity, { resource: RESOURCE })
    const keys = createRemoteJWKSet(new URL(as.jwks_uri as string))
    const { payload } = await jwtVerify(tokens.access_token, keys, {
      issuer: identity.issuer,
      audience: RESOURCE,
      algorithms: ['RS256'],
    })
    expect(payload).toMatchObject({ azp: client.client_id, scope: 'mcp:use', drn: 'DS' })
    expect(payload.sub).toMatch(/^U/)
    expect(tokens.expires_in).toBe(600)
    expect(identity.counters).toMatchObject({ registrations: 1, authorizations: 1, codes: 1 })
  })

  it('gives client ids that are base64 of the project and an app', async () => {
    const identity = await start()
    const client = await registerClient(await discover(identity))
    const decoded = Buffer.from(client.client_id, 'base64').toString()
    expect(decoded).toMatch(new RegExp(`^${identity.projectId}:TPA\\w{27}$`))
    expect(client.client_id).toMatch(/=$/)
  })

  it.each([
    ['client_secret_basic', oauth.ClientSecretBasic],
    ['client_secret_post', oauth.ClientSecretPost],
  ])('signs in a confidential client with %s', async (method, authenticate) => {
    const as = await discover(await start({ dcrSecret: true }))
    const client = await registerClient(as, { token_endpoint_auth_method: method })
    const tokens = await signIn(as, client, {
      clientAuth: authenticate(client['client_secret'] as string),
    })
    expect(tokens.access_token).toMatch(/^eyJ/)
  })

  it('reads the token request from JSON too', async () => {
    const as = await discover(await start())
    const client = await registerClient(as)
    const { url, verifier } = await authorizationUrl(as, client)
    const code = (await visit(url)).searchParams.get('code')
    const answer = await postJson(as.token_endpoint, {
      grant_type: 'authorization_code',
      client_id: client.client_id,
      code,
      code_verifier: verifier,
      redirect_uri: REDIRECT_URI,
    })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it('takes any of several registered redirect URIs, to the letter', async () => {
    const as = await discover(await start())
    const second = 'http://127.0.0.1:28683/callback'
    const client = await registerClient(as, { redirect_uris: [REDIRECT_URI, second] })
    const { url } = await authorizationUrl(as, client, { extra: { redirect_uri: second } })
    expect((await visit(url)).port).toBe('28683')
  })

  it.each(['openid', 'profile', 'email', 'offline_access'])(
    'grants %s at the MCP server, which does not announce it',
    async (scope) => {
      const { tokens } = await signedIn(await start(), { scope: `mcp:use ${scope}` })
      expect(tokens.scope).toBe(`mcp:use ${scope}`)
    },
  )

  it('gives an ID token of the asked issuer when `openid` is granted', async () => {
    const identity = await start({ scopes: ['mcp:use', 'openid'], issuer: 'project' })
    const { tokens } = await signedIn(identity, { scope: 'mcp:use openid' })
    expect(oauth.getValidatedIdTokenClaims(tokens)).toMatchObject({ iss: identity.issuer })
  })

  it('signs in at the project, whose tokens work at userinfo', async () => {
    const identity = await start({
      clients: [{ clientId: 'app', redirectUris: [REDIRECT_URI] }],
    })
    const as = await discover(identity, `${identity.url}/v1/apps/${identity.projectId}`)
    const client = { client_id: 'app' }
    const tokens = await signIn(as, client, { scope: 'openid email' })
    const response = await oauth.userInfoRequest(as, client, tokens.access_token, insecure)
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    const info = await oauth.processUserInfoResponse(as, client, claims?.sub as string, response)
    expect(info.email).toBe('demo@example.com')
  })
})

describe('refresh', () => {
  it('rotates: each refresh token works once and the next one is new', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    const second = await refresh(as, client, tokens.refresh_token)
    const third = await refresh(as, client, second.refresh_token)
    const issued = [tokens, second, third]
    expect(new Set(issued.map((item) => item.refresh_token)).size).toBe(3)
    expect(new Set(issued.map((item) => item.access_token)).size).toBe(3)
    expect(identity.counters).toMatchObject({ refreshes: 2, reuses: 0 })
  })

  it('ends the family when an old refresh token comes back', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    const second = await refresh(as, client, tokens.refresh_token)
    const replay = await postForm(as.token_endpoint, {
      grant_type: 'refresh_token',
      client_id: client.client_id,
      refresh_token: tokens.refresh_token as string,
    })
    expect(replay).toMatchObject({ status: 401, body: { errorCode: 'E061005' } })
    await expect(refresh(as, client, second.refresh_token)).rejects.toThrow()
    expect(identity.counters.reuses).toBe(1)
  })

  it('refuses the old token and keeps the family without reuse detection', async () => {
    const identity = await start({ reuseDetection: false })
    const { as, client, tokens } = await signedIn(identity)
    const second = await refresh(as, client, tokens.refresh_token)
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
    await expect(refresh(as, client, second.refresh_token)).resolves.toBeDefined()
    expect(identity.counters.reuses).toBe(1)
  })

  it('answers without a refresh token when rotation is off, and the old one stays good', async () => {
    const { as, client, tokens } = await signedIn(await start({ rotateRefresh: false }))
    const second = await refresh(as, client, tokens.refresh_token)
    expect(second.refresh_token).toBeUndefined()
    await expect(refresh(as, client, tokens.refresh_token)).resolves.toBeDefined()
  })

  it('lets exactly one of several simultaneous refreshes through', async () => {
    const identity = await start({ reuseDetection: false })
    const { as, client, tokens } = await signedIn(identity)
    const attempts = Array.from({ length: 5 }, () => refresh(as, client, tokens.refresh_token))
    const outcomes = await Promise.allSettled(attempts)
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(identity.counters).toMatchObject({ refreshes: 1, reuses: 4 })
  })

  it('answers 404 once the consent is revoked', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    identity.revokeConsents()
    const answer = await postForm(as.token_endpoint, {
      grant_type: 'refresh_token',
      client_id: client.client_id,
      refresh_token: tokens.refresh_token as string,
    })
    expect(answer.status).toBe(404)
    expect(answer.body).toEqual({
      errorCode: 'E063302',
      errorMessage: 'Cannot find consent by id',
    })
  })

  it('refuses an expired refresh token, and issues none when their life is 0', async () => {
    const identity = await start({ refreshTtl: 100 })
    const { as, client, tokens } = await signedIn(identity)
    identity.clock.advance(101)
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
    identity.set({ refreshTtl: 0 })
    expect((await signIn(as, client)).refresh_token).toBeUndefined()
  })
})

describe('device flow', () => {
  async function startDevice(deviceInterval = 0.1) {
    const identity = await start({ device: true, deviceInterval })
    const as = await discover(identity)
    const client = await registerClient(as)
    const response = await oauth.deviceAuthorizationRequest(
      as,
      client,
      oauth.None(),
      { scope: 'mcp:use', resource: RESOURCE },
      insecure,
    )
    const device = await oauth.processDeviceAuthorizationResponse(as, client, response)
    const poll = async () => {
      const code = device.device_code
      const answer = await oauth.deviceCodeGrantRequest(as, client, oauth.None(), code, insecure)
      return oauth.processDeviceCodeResponse(as, client, answer)
    }
    return { identity, as, client, device, poll }
  }

  it('gives tokens after approval, and once only', async () => {
    const { identity, as, client, device, poll } = await startDevice()
    expect(device.user_code).toMatch(/^[A-Z]{3}-[A-Z]{3}$/)
    expect(device.expires_in).toBe(180)
    await expect(poll()).rejects.toMatchObject({ error: 'authorization_pending', status: 400 })
    expect(identity.approveDevice(device.user_code)).toBe(true)
    const tokens = await poll()
    await expect(refresh(as, client, tokens.refresh_token)).resolves.toBeDefined()
    await expect(poll()).rejects.toMatchObject({ error: 'expired_token' })
    expect(identity.counters.devicePolls).toBe(3)
  })

  it('says access_denied after denial', async () => {
    const { identity, device, poll } = await startDevice()
    expect(identity.denyDevice(device.user_code.toLowerCase())).toBe(true)
    await expect(poll()).rejects.toMatchObject({ error: 'access_denied' })
    expect(identity.approveDevice(device.user_code)).toBe(false)
  })

  it('says slow_down to a fast poll and asks for 5 s more from then on', async () => {
    const { identity, poll } = await startDevice(5)
    const errors: string[] = []
    for (const seconds of [0, 1, 6, 15]) {
      identity.clock.advance(seconds)
      errors.push((await poll().catch((error) => error)).error)
    }
    expect(errors).toEqual([
      'authorization_pending',
      'slow_down',
      'slow_down',
      'authorization_pending',
    ])
  })

  it('says expired_token after three minutes', async () => {
    const { identity, poll, device } = await startDevice()
    identity.clock.advance(181)
    await expect(poll()).rejects.toMatchObject({ error: 'expired_token' })
    expect(identity.approveDevice(device.user_code)).toBe(false)
  })

  it('can put the error of a poll into a body with status 200', async () => {
    const { identity, as, client, device } = await startDevice()
    identity.set({ devicePollStatus: 200 })
    const answer = await postForm(as.token_endpoint, {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: client.client_id,
      device_code: device.device_code,
    })
    expect(answer).toMatchObject({ status: 200, body: { error: 'authorization_pending' } })
  })

  it('takes the project id as a public client', async () => {
    const identity = await start({ device: true })
    const { url, projectId } = identity
    for (const path of ['', `/${projectId}`, '/apps', `/apps/${projectId}`]) {
      const answer = await postForm(`${url}/oauth2/v1${path}/device`, { client_id: projectId })
      expect(answer).toMatchObject({ status: 200, body: { interval: 5 } })
    }
  })
})

describe('client credentials', () => {
  const secret = 's3cret +/%:ü'
  it.each([
    ['Basic', oauth.ClientSecretBasic(secret)],
    ['the body', oauth.ClientSecretPost(secret)],
  ])('gives a client its own token by %s, without a refresh token', async (_name, auth) => {
    const client = { client_id: 'a+b/c:d==' }
    const identity = await start({ clients: [{ clientId: 'a+b/c:d==', clientSecret: secret }] })
    const as = await discover(identity)
    const response = await oauth.clientCredentialsGrantRequest(
      as,
      client,
      auth,
      { scope: 'mcp:use', resource: RESOURCE },
      insecure,
    )
    const tokens = await oauth.processClientCredentialsResponse(as, client, response)
    expect(tokens.refresh_token).toBeUndefined()
    const keys = createRemoteJWKSet(new URL(as.jwks_uri as string))
    const { payload } = await jwtVerify(tokens.access_token, keys, { audience: RESOURCE })
    expect(payload).toMatchObject({ sub: 'a+b/c:d==', azp: 'a+b/c:d==', scope: 'mcp:use' })
    expect(payload).not.toHaveProperty('rexp')
  })
})

describe('revocation', () => {
  it('ends the refresh token of a public client that shows its access token', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    const byAccessToken: oauth.ClientAuth = (_as, { client_id }, body, headers) => {
      body.set('client_id', client_id)
      headers.set('authorization', `Bearer ${tokens.access_token}`)
    }
    const token = tokens.refresh_token as string
    const response = await oauth.revocationRequest(as, client, byAccessToken, token, insecure)
    await oauth.processRevocationResponse(response)
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
    expect(identity.counters.revocations).toBe(1)
  })

  it('takes a confidential client by its secret', async () => {
    const as = await discover(await start({ dcrSecret: true }))
    const client = await registerClient(as, { token_endpoint_auth_method: 'client_secret_basic' })
    const clientAuth = oauth.ClientSecretBasic(client['client_secret'] as string)
    const tokens = await signIn(as, client, { clientAuth })
    const token = tokens.refresh_token as string
    const response = await oauth.revocationRequest(as, client, clientAuth, token, insecure)
    await expect(oauth.processRevocationResponse(response)).resolves.toBeUndefined()
  })

  it.each([
    ['no access token', () => undefined],
    ['an invalid access token', () => 'Bearer nonsense'],
  ])('refuses a public client with %s', async (_name, authorization) => {
    const { as, client, tokens } = await signedIn(await start())
    const value = authorization()
    const answer = await postForm(
      as.revocation_endpoint,
      { token: tokens.refresh_token as string, client_id: client.client_id },
      value === undefined ? {} : { authorization: value },
    )
    expect(answer).toMatchObject({ status: 401, body: { errorCode: 'E061005' } })
  })

  it("refuses another client's access token, and another client's refresh token", async () => {
    const identity = await start()
    const mine = await signedIn(identity)
    const other = await signedIn(identity)
    const attempt = (accessToken: string, token: string | undefined) =>
      postForm(
        mine.as.revocation_endpoint,
        { token: token as string, client_id: mine.client.client_id },
        { authorization: `Bearer ${accessToken}` },
      )
    const foreignProof = await attempt(other.tokens.access_token, mine.tokens.refresh_token)
    const foreignToken = await attempt(mine.tokens.access_token, other.tokens.refresh_token)
    expect([foreignProof.status, foreignToken.status]).toEqual([401, 401])
    for (const { as, client, tokens } of [mine, other]) {
      await expect(refresh(as, client, tokens.refresh_token)).resolves.toBeDefined()
    }
  })
})
