import type * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type Identity, startIdentity } from '../../../../src/demo/identity/index.js'
import {
  authorizationUrl,
  discover,
  movableClock,
  postForm,
  postJson,
  REDIRECT_URI,
  read,
  refresh,
  registerClient,
  signIn,
  visit,
} from './support.js'

const CLIENTS = [
  { clientId: 'public', redirectUris: [REDIRECT_URI] },
  { clientId: 'machine', clientSecret: 'machine-secret', redirectUris: [REDIRECT_URI] },
  {
    clientId: 'no-policy',
    clientSecret: 'other-secret',
    redirectUris: [REDIRECT_URI],
    policy: false,
  },
]
const clock = movableClock()
let identity: Identity
let as: oauth.AuthorizationServer

beforeAll(async () => {
  identity = await startIdentity({ clock, clients: CLIENTS })
  as = await discover(identity)
})
afterAll(() => identity.close())

const basic = (id: string, secret: string) => ({
  authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
})

/** Asks for a code with the client `public`, changing single parameters of the request. */
async function freshCode() {
  const { url, verifier } = await authorizationUrl(as, { client_id: 'public' })
  const code = (await visit(url)).searchParams.get('code') as string
  const form = {
    grant_type: 'authorization_code',
    client_id: 'public',
    code,
    code_verifier: verifier,
    redirect_uri: REDIRECT_URI,
  }
  return form
}

type Form = Record<string, string>
interface TokenCase {
  name: string
  form: Form
  headers?: Record<string, string>
  descope: [status: number, code: string]
  oauth: [status: number, error: string]
}

const CLIENT = { client_id: 'machine', client_secret: 'machine-secret' }
const MACHINE = { grant_type: 'client_credentials', ...CLIENT }
const EXCHANGE = {
  ...CLIENT,
  grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
  subject_token: 'not-a-token',
  subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
}
const TOKEN_CASES: TokenCase[] = [
  {
    name: 'an unknown client',
    form: { grant_type: 'refresh_token', client_id: 'nobody', refresh_token: 'x' },
    descope: [401, 'E074130'],
    oauth: [401, 'invalid_client'],
  },
  {
    name: 'a wrong secret',
    form: { ...MACHINE, client_secret: 'wrong' },
    descope: [401, 'E074130'],
    oauth: [401, 'invalid_client'],
  },
  {
    name: 'a missing secret',
    form: { grant_type: 'client_credentials', client_id: 'machine' },
    descope: [401, 'E074130'],
    oauth: [401, 'invalid_client'],
  },
  {
    name: 'a secret from a public client',
    form: { grant_type: 'refresh_token', client_id: 'public', client_secret: 'x' },
    descope: [401, 'E074130'],
    oauth: [401, 'invalid_client'],
  },
  {
    name: 'Basic without a colon',
    form: { grant_type: 'client_credentials' },
    headers: { authorization: `Basic ${Buffer.from('machine').toString('base64')}` },
    descope: [401, 'E074130'],
    oauth: [401, 'invalid_client'],
  },
  {
    name: 'Basic with a broken percent sign',
    form: { grant_type: 'client_credentials' },
    headers: basic('%zz', 'x'),
    descope: [401, 'E074130'],
    oauth: [401, 'invalid_client'],
  },
  {
    name: 'two ways of client authentication',
    form: MACHINE,
    headers: basic('machine', 'machine-secret'),
    descope: [400, 'E074130'],
    oauth: [400, 'invalid_request'],
  },
  {
    name: 'Basic for another client than client_id',
    form: { grant_type: 'client_credentials', client_id: 'public' },
    headers: basic('machine', 'machine-secret'),
    descope: [400, 'E074130'],
    oauth: [400, 'invalid_request'],
  },
  {
    name: 'an unknown grant type',
    form: { grant_type: 'password', client_id: 'public' },
    descope: [400, 'E074130'],
    oauth: [400, 'unsupported_grant_type'],
  },
  {
    name: 'a grant type named like a built-in member',
    form: { grant_type: 'constructor', client_id: 'public' },
    descope: [400, 'E074130'],
    oauth: [400, 'unsupported_grant_type'],
  },
  {
    name: 'an announced grant that is not emulated',
    form: { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', client_id: 'public' },
    descope: [400, 'E074130'],
    oauth: [400, 'unsupported_grant_type'],
  },
  {
    name: 'an unknown refresh token',
    form: { grant_type: 'refresh_token', client_id: 'public', refresh_token: 'x' },
    descope: [401, 'E061005'],
    oauth: [400, 'invalid_grant'],
  },
  {
    name: 'an unknown code',
    form: { grant_type: 'authorization_code', client_id: 'public', code: 'x' },
    descope: [401, 'E061005'],
    oauth: [400, 'invalid_grant'],
  },
  {
    name: 'an unknown device code',
    form: {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: 'public',
      device_code: 'x',
    },
    descope: [401, 'E061005'],
    oauth: [400, 'invalid_grant'],
  },
  {
    name: 'an unknown scope',
    form: { ...MACHINE, scope: 'mcp:use mcp:admin' },
    descope: [400, 'E011003'],
    oauth: [400, 'invalid_scope'],
  },
  {
    name: 'a resource with a fragment',
    form: { ...MACHINE, resource: 'https://proxy.example.com/mcp#x' },
    descope: [400, 'E074130'],
    oauth: [400, 'invalid_target'],
  },
  {
    name: 'client credentials without a policy',
    form: { grant_type: 'client_credentials', scope: 'mcp:use' },
    headers: basic('no-policy', 'other-secret'),
    descope: [403, 'E063316'],
    oauth: [400, 'unauthorized_client'],
  },
  {
    name: 'client credentials of a public client',
    form: { grant_type: 'client_credentials', client_id: 'public' },
    descope: [400, 'E074130'],
    oauth: [400, 'unauthorized_client'],
  },
  {
    name: 'a token exchange with a bad subject token',
    form: EXCHANGE,
    descope: [401, 'E061005'],
    oauth: [400, 'invalid_grant'],
  },
  {
    name: 'a token exchange of another token type',
    form: { ...EXCHANGE, subject_token_type: 'urn:ietf:params:oauth:token-type:id_token' },
    descope: [400, 'E074130'],
    oauth: [400, 'invalid_request'],
  },
  {
    name: 'a token exchange for another token type',
    form: { ...EXCHANGE, requested_token_type: 'urn:ietf:params:oauth:token-type:id_token' },
    descope: [400, 'E074130'],
    oauth: [400, 'invalid_request'],
  },
]

describe('token endpoint', () => {
  it.each(TOKEN_CASES)(
    'refuses $name in both error styles',
    async ({ form, headers, ...wanted }) => {
      identity.set({ errorStyle: 'descope' })
      const first = await postForm(as.token_endpoint, form, headers)
      expect([first.status, first.body.errorCode]).toEqual(wanted.descope)
      expect(first.body.errorMessage).toEqual(expect.any(String))
      expect(first.headers.get('www-authenticate')).toBeNull()

      identity.set({ errorStyle: 'oauth' })
      const second = await postForm(as.token_endpoint, form, headers)
      expect([second.status, second.body.error]).toEqual(wanted.oauth)
      expect(second.body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
      const challenged = headers !== undefined && second.status === 401
      expect(second.headers.has('www-authenticate')).toBe(challenged)
      identity.set({ errorStyle: 'descope' })
    },
  )

  it('words an unknown client as Descope does', async () => {
    const form = { grant_type: 'refresh_token', client_id: 'nobody', refresh_token: 'x' }
    const { body } = await postForm(as.token_endpoint, form)
    expect(body).toEqual({
      errorCode: 'E074130',
      errorDescription: 'Request is invalid',
      errorMessage: 'Invalid client id',
    })
  })

  it('does not recognise a base64 client id that Basic carries without percent-encoding', async () => {
    const clientId = 'UDI+/a=='
    identity.set({ clients: [...CLIENTS, { clientId, clientSecret: 's' }] })
    const form = { grant_type: 'client_credentials' }
    const encoded = basic(encodeURIComponent(clientId), 's')
    expect((await postForm(as.token_endpoint, form, basic(clientId, 's'))).status).toBe(401)
    expect((await postForm(as.token_endpoint, form, encoded)).status).toBe(200)
    identity.set({ clients: CLIENTS })
  })

  it.each([
    ['a parameter that stands twice', 'grant_type=refresh_token&grant_type=x', 'form'],
    ['JSON that is not an object', '[]', 'json'],
    ['broken JSON', '{', 'json'],
    ['text', 'grant_type=refresh_token', 'text'],
  ])('refuses %s', async (_name, body, kind) => {
    const types = { form: 'application/x-www-form-urlencoded', json: 'application/json' }
    const type = kind === 'text' ? 'text/plain' : types[kind as 'form' | 'json']
    const response = await fetch(as.token_endpoint as string, {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    })
    expect(await read(response)).toMatchObject({ status: 400, body: { errorCode: 'E074130' } })
  })

  it('refuses a body beyond 64 KiB', async () => {
    const answer = await postForm(as.token_endpoint, { grant_type: 'x'.repeat(70_000) })
    expect(answer.status).toBe(413)
  })
})

describe('authorization code', () => {
  it.each<[string, Form]>([
    ['another redirect URI', { redirect_uri: 'http://127.0.0.1:28683/callback' }],
    ['a wrong verifier', { code_verifier: 'x'.repeat(43) }],
    ['a verifier that is too short', { code_verifier: 'short' }],
    ['another client', { client_id: 'machine', client_secret: 'machine-secret' }],
  ])('is refused with %s, and stays good', async (_name, changes) => {
    const form = await freshCode()
    const refused = await postForm(as.token_endpoint, { ...form, ...changes })
    expect(refused).toMatchObject({ status: 401, body: { errorCode: 'E061005' } })
    expect((await postForm(as.token_endpoint, form)).status).toBe(200)
  })

  it('is refused without its verifier', async () => {
    const { code_verifier: _, ...form } = await freshCode()
    expect((await postForm(as.token_endpoint, form)).status).toBe(401)
  })

  it('is refused with a verifier when the request had no challenge', async () => {
    const extra = { client_id: 'machine' }
    const { url } = await authorizationUrl(as, { client_id: 'machine' }, { extra })
    url.searchParams.delete('code_challenge')
    url.searchParams.delete('code_challenge_method')
    const code = (await visit(url)).searchParams.get('code') as string
    const form = { ...CLIENT, grant_type: 'authorization_code', code }
    const downgraded = { ...form, code_verifier: 'x'.repeat(43) }
    expect((await postForm(as.token_endpoint, downgraded)).status).toBe(401)
    expect((await postForm(as.token_endpoint, form)).status).toBe(200)
  })

  it('is refused after 60 s', async () => {
    const form = await freshCode()
    clock.advance(60)
    expect((await postForm(as.token_endpoint, form)).status).toBe(401)
  })

  it('works once; a second try ends what the first one gave', async () => {
    const form = await freshCode()
    const { body } = await postForm(as.token_endpoint, form)
    expect((await postForm(as.token_endpoint, form)).status).toBe(401)
    await expect(refresh(as, { client_id: 'public' }, body.refresh_token)).rejects.toThrow()
  })

  it('is gone when the consent is revoked before it is redeemed', async () => {
    const form = await freshCode()
    identity.revokeConsents()
    expect(await postForm(as.token_endpoint, form)).toMatchObject({
      status: 404,
      body: { errorCode: 'E063302' },
    })
  })
})

describe('narrowing', () => {
  const client = { client_id: 'public' }
  const first = 'https://one.example/mcp'
  const second = 'https://two.example/mcp'

  async function refreshWith(token: string | undefined, form: [string, string][]) {
    return postForm(as.token_endpoint, [
      ['grant_type', 'refresh_token'],
      ['client_id', 'public'],
      ['refresh_token', token as string],
      ...form,
    ])
  }

  it('keeps a refresh within the granted resources and scopes', async () => {
    identity.set({ scopes: ['a', 'b'], rotateRefresh: false })
    const tokens = await signIn(as, client, { scope: 'a', resource: first })
    const { refresh_token: token } = tokens
    expect((await refreshWith(token, [['resource', second]])).status).toBe(400)
    expect((await refreshWith(token, [['scope', 'b']])).body.errorCode).toBe('E011003')
    const narrowed = await refreshWith(token, [
      ['scope', 'a'],
      ['resource', first],
    ])
    expect(narrowed.body.scope).toBe('a')
    identity.set({ scopes: undefined, rotateRefresh: undefined })
  })

  it('takes one resource at the token endpoint, not two', async () => {
    identity.set({ rotateRefresh: false })
    const { refresh_token: token } = await signIn(as, client)
    const both: [string, string][] = [
      ['resource', first],
      ['resource', second],
    ]
    expect((await refreshWith(token, both)).status).toBe(400)
    expect((await refreshWith(token, [['resource', second]])).status).toBe(200)
    identity.set({ rotateRefresh: undefined })
  })
})

describe('registration', () => {
  const metadata = { redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'none' }
  const register = (changes: object, headers = {}) =>
    postJson(as.registration_endpoint, { ...metadata, ...changes }, headers)

  it.each([
    ['no redirect URI', { redirect_uris: [] }, 'invalid_redirect_uri'],
    ['a relative redirect URI', { redirect_uris: ['/callback'] }, 'invalid_redirect_uri'],
    ['a line break', { redirect_uris: ['http://127.0.0.1:1/\r\nX: y'] }, 'invalid_redirect_uri'],
    ['a fragment', { redirect_uris: [`${REDIRECT_URI}#x`] }, 'invalid_redirect_uri'],
    ['a script', { redirect_uris: ['javascript:alert(1)'] }, 'invalid_redirect_uri'],
    ['http elsewhere', { redirect_uris: ['http://a.example/cb'] }, 'invalid_redirect_uri'],
    ['loopback for the web', { application_type: 'web' }, 'invalid_redirect_uri'],
    ['an unknown application type', { application_type: 'x' }, 'invalid_client_metadata'],
    [
      'an unknown authentication method',
      { token_endpoint_auth_method: 'private_key_jwt' },
      'invalid_client_metadata',
    ],
    ['the implicit flow', { response_types: ['token'] }, 'invalid_client_metadata'],
  ])('refuses %s', async (_name, changes, error) => {
    expect(await register(changes)).toMatchObject({ status: 400, body: { errorCode: 'E074130' } })
    identity.set({ errorStyle: 'oauth' })
    expect(await register(changes)).toMatchObject({ status: 400, body: { error } })
    identity.set({ errorStyle: 'descope' })
  })

  it.each([
    ['loopback', 'native', 'http://localhost:1/cb'],
    ['IPv6 loopback', 'native', 'http://[::1]:1/cb'],
    ['a private scheme', 'native', 'com.example.app:/cb'],
    ['https', 'web', 'https://app.example/cb'],
    ['loopback', undefined, 'http://127.0.0.1:1/cb'],
  ])('takes %s for the application type %s', async (_name, application_type, uri) => {
    const answer = await register({ application_type, redirect_uris: [uri] })
    expect(answer).toMatchObject({ status: 201, body: { redirect_uris: [uri] } })
  })

  it('refuses a request with x-forwarded-host', async () => {
    expect((await register({}, { 'x-forwarded-host': 'a.example' })).status).toBe(400)
  })

  it('refuses every request when it is off, and leaves the document', async () => {
    identity.set({ dcr: false })
    expect(await register({})).toMatchObject({ status: 403, body: { errorCode: 'E011003' } })
    expect((await discover(identity)).registration_endpoint).toBeUndefined()
    identity.set({ dcr: true })
  })

  it('answers 200 when asked to', async () => {
    identity.set({ registerStatus: 200 })
    expect((await register({})).status).toBe(200)
    identity.set({ registerStatus: 201 })
  })

  it('cuts the scope to what the server has, and gives all without one', async () => {
    expect((await register({ scope: 'mcp:use mcp:admin' })).body.scope).toBe('mcp:use')
    expect((await register({})).body.scope).toBe('mcp:use')
  })

  it.each(['client_secret_basic', 'client_secret_post', undefined])(
    'makes a client public that asks for %s',
    async (token_endpoint_auth_method) => {
      const { body } = await register({ token_endpoint_auth_method })
      expect(body).toMatchObject({ token_endpoint_auth_method: 'none' })
      expect(body).not.toHaveProperty('client_secret')
    },
  )

  it('gives a secret when the option says so, unless the client is public', async () => {
    identity.set({ dcrSecret: true })
    onTestFinished(() => identity.set({ dcrSecret: false }))
    const secret = await register({ token_endpoint_auth_method: undefined })
    expect(secret.body).toMatchObject({
      client_secret: expect.any(String),
      client_secret_expires_at: 0,
      token_endpoint_auth_method: 'client_secret_basic',
    })
    expect((await register({})).body).not.toHaveProperty('client_secret')
  })

  it('lets a registered client use client credentials only if it asked for that', async () => {
    identity.set({ dcrSecret: true })
    onTestFinished(() => identity.set({ dcrSecret: false }))
    const form = { grant_type: 'client_credentials' }
    const method = { token_endpoint_auth_method: 'client_secret_post' }
    const plain = await registerClient(as, method)
    const machine = await registerClient(as, { ...method, grant_types: ['client_credentials'] })
    const ask = ({ client_id, client_secret }: oauth.Client) =>
      postForm(as.token_endpoint, { ...form, client_id, client_secret: client_secret as string })
    expect((await ask(plain)).status).toBe(400)
    expect((await ask(machine)).status).toBe(200)
  })
})

describe('forgetting clients', () => {
  it('makes a registered client unknown at every endpoint, and a configured one not', async () => {
    const client = await registerClient(as)
    const tokens = await signIn(as, client)
    identity.forgetClients()
    const form = { grant_type: 'refresh_token', refresh_token: tokens.refresh_token as string }
    const answer = await postForm(as.token_endpoint, { ...form, client_id: client.client_id })
    expect(answer).toMatchObject({ status: 401, body: { errorMessage: 'Invalid client id' } })
    const { url } = await authorizationUrl(as, client)
    await expect(visit(url)).rejects.toThrow('no redirect: 401')
    await expect(signIn(as, { client_id: 'public' })).resolves.toBeDefined()
  })
})

describe('revocation', () => {
  it('wants a token, and takes one that nobody knows', async () => {
    const post = (form: Form) => postForm(as.revocation_endpoint, { ...CLIENT, ...form })
    expect((await post({})).status).toBe(400)
    expect((await post({ token: 'unknown' })).status).toBe(200)
  })
})

describe('device authorization', () => {
  it('is refused while it is off', async () => {
    const url = `${identity.url}/oauth2/v1/apps/device`
    expect(await postForm(url, { client_id: 'public' })).toMatchObject({
      status: 400,
      body: { errorMessage: 'Device flow settings disabled for this project' },
    })
    expect(as.device_authorization_endpoint).toBeUndefined()
  })

  it.each([
    ['an unknown client', { client_id: 'nobody' }, 401, 'E074130'],
    ['an unknown scope', { client_id: 'public', scope: 'x' }, 400, 'E011003'],
    [
      'a client without a policy',
      { client_id: 'no-policy', client_secret: 'other-secret' },
      403,
      'E063316',
    ],
  ])('is refused with %s', async (_name, form, status, errorCode) => {
    identity.set({ device: true })
    const answer = await postForm(`${identity.url}/oauth2/v1/apps/device`, form)
    expect(answer).toMatchObject({ status, body: { errorCode } })
    identity.set({ device: false })
  })
})

describe('userinfo', () => {
  it("does not know tokens of the MCP server's endpoints", async () => {
    const tokens = await signIn(as, { client_id: 'public' })
    const ask = async (token: string) =>
      read(
        await fetch(as.userinfo_endpoint as string, {
          headers: { authorization: `Bearer ${token}` },
        }),
      )
    expect(await ask(tokens.access_token)).toMatchObject({
      status: 404,
      body: { errorMessage: 'Third party application not found' },
    })
    expect((await ask('nonsense')).status).toBe(401)
  })
})

describe('unknown paths and methods', () => {
  it.each([
    ['GET', '/nothing', 404],
    ['GET', '/v1/apps/agentic/P2/MS2/.well-known/openid-configuration', 404],
    ['GET', '/oauth2/v1/token', 405],
    ['PUT', '/oauth2/v1/token', 405],
    ['OPTIONS', '/oauth2/v1/token', 405],
  ])('answers %s %s with %i', async (method, path, status) => {
    expect((await fetch(identity.url + path, { method })).status).toBe(status)
  })
})
