import type { AuthorizationServer } from 'oauth4webapi'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../../src/demo/identity/index.js'
import {
  authorizationUrl,
  discover,
  movableClock,
  postForm,
  REDIRECT_URI,
  read,
  visit,
} from './support.js'

const NAME = '<script>alert("client")</script>'
const client = { client_id: 'app' }
let identity: Identity
let as: AuthorizationServer

beforeAll(async () => {
  identity = await startIdentity({
    clock: movableClock(),
    device: true,
    clients: [
      { clientId: 'app', name: NAME, redirectUris: [REDIRECT_URI, `${REDIRECT_URI}?a=1`] },
      { clientId: 'no-policy', redirectUris: [REDIRECT_URI], policy: false },
    ],
  })
  as = await discover(identity)
})
afterAll(() => identity.close())
afterEach(() => identity.set({ approval: 'auto', iss: false, resourceUrl: undefined }))

const open = async (url: URL | string) => read(await fetch(url, { redirect: 'manual' }))
const hidden = (html: string, name: string) =>
  new RegExp(`name="${name}" value="([^"]+)"`).exec(html)?.[1] as string

describe('authorization', () => {
  it.each([
    ['an unknown redirect URI', { redirect_uri: 'https://evil.example/cb' }, 400],
    ['another port', { redirect_uri: 'http://127.0.0.1:28683/callback' }, 400],
    ['another query', { redirect_uri: `${REDIRECT_URI}?a=2` }, 400],
    ['an unknown client', { client_id: 'nobody' }, 401],
    ['a metadata URL while CIMD is off', { client_id: 'https://a.example/client.json' }, 401],
  ])('shows a page for %s and never redirects', async (_name, extra, status) => {
    const { url } = await authorizationUrl(as, client, { extra })
    const answer = await open(url)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('location')).toBeNull()
    expect(answer.headers.get('content-type')).toContain('text/html')
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(answer.body).toContain('E074130')
    expect(answer.body).not.toContain('<script')
  })

  it('shows a page when the redirect URI is missing, even if only one is registered', async () => {
    const { url } = await authorizationUrl(as, client)
    url.searchParams.delete('redirect_uri')
    expect((await open(url)).status).toBe(400)
  })

  it('shows a page when a parameter stands twice', async () => {
    const { url } = await authorizationUrl(as, client)
    url.searchParams.append('redirect_uri', 'https://evil.example/cb')
    expect((await open(url)).status).toBe(400)
  })

  it.each<[string, Record<string, string | undefined>, string]>([
    ['another response type', { response_type: 'token' }, 'unsupported_response_type'],
    ['no challenge', { code_challenge: undefined }, 'invalid_request'],
    ['the method plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['no method, which means plain', { code_challenge_method: undefined }, 'invalid_request'],
    ['a short challenge', { code_challenge: 'short' }, 'invalid_request'],
    ['an unknown scope', { scope: 'mcp:use descope.claims' }, 'invalid_scope'],
    ['a scope of the project only', { scope: 'phone' }, 'invalid_scope'],
    ['a relative resource', { resource: '/mcp' }, 'invalid_target'],
    ['a client without a policy', { client_id: 'no-policy' }, 'unauthorized_client'],
  ])('redirects with an error for %s', async (_name, changes, error) => {
    const { url, state } = await authorizationUrl(as, client)
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) url.searchParams.delete(name)
      else url.searchParams.set(name, value)
    }
    const { searchParams } = await visit(url)
    expect(searchParams.get('error')).toBe(error)
    expect(searchParams.get('state')).toBe(state)
    expect(searchParams.has('code')).toBe(false)
    expect(searchParams.get('error_description')).not.toMatch(/["\\]/)
  })

  it('takes only the configured resource once there is one', async () => {
    const resourceUrl = 'https://proxy.example.com/mcp'
    identity.set({ resourceUrl })
    const right = await authorizationUrl(as, client, { resource: resourceUrl })
    const wrong = await authorizationUrl(as, client, { resource: 'https://other.example/mcp' })
    expect((await visit(right.url)).searchParams.has('code')).toBe(true)
    expect((await visit(wrong.url)).searchParams.get('error')).toBe('invalid_target')
  })

  it('redirects with access_denied when the user denies', async () => {
    identity.set({ approval: 'deny' })
    const { url, state } = await authorizationUrl(as, client)
    const { searchParams } = await visit(url)
    expect(searchParams.get('error')).toBe('access_denied')
    expect(searchParams.get('state')).toBe(state)
  })

  it('keeps the query of the redirect URI', async () => {
    const extra = { redirect_uri: `${REDIRECT_URI}?a=1` }
    const { url } = await authorizationUrl(as, client, { extra })
    const { searchParams } = await visit(url)
    expect(searchParams.get('a')).toBe('1')
    expect(searchParams.has('code')).toBe(true)
  })

  it('sends `iss` on codes and errors when that is on, and announces it', async () => {
    identity.set({ iss: true })
    const document = await discover(identity)
    expect(document.authorization_response_iss_parameter_supported).toBe(true)
    for (const scope of ['mcp:use', 'unknown']) {
      const { url } = await authorizationUrl(as, client, { scope })
      expect((await visit(url)).searchParams.get('iss')).toBe(identity.issuer)
    }
  })

  it('takes the request as a form too', async () => {
    const { url } = await authorizationUrl(as, client)
    const response = await fetch(url.origin + url.pathname, {
      method: 'POST',
      body: url.searchParams,
      redirect: 'manual',
    })
    expect(response.headers.get('location')).toContain('code=')
  })
})

describe('consent page', () => {
  it('names client, user and scopes, with everything escaped', async () => {
    identity.set({ approval: 'page' })
    const { url } = await authorizationUrl(as, client)
    const { status, body } = await open(url)
    expect(status).toBe(200)
    expect(body).toContain('demo@example.com')
    expect(body).toContain('mcp:use')
    expect(body).toContain('&lt;script&gt;')
    expect(body).not.toContain('<script')
  })

  it.each([
    ['approve', 'code'],
    ['deny', 'error'],
    ['anything else', 'error'],
  ])('on %s redirects with %s, once', async (decision, parameter) => {
    identity.set({ approval: 'page' })
    const { url, state } = await authorizationUrl(as, client)
    const transaction = hidden((await open(url)).body, 'transaction')
    const answer = () =>
      fetch(url.origin + url.pathname, {
        method: 'POST',
        body: new URLSearchParams({ transaction, decision }),
        redirect: 'manual',
      })
    const location = new URL((await answer()).headers.get('location') as string)
    expect(location.searchParams.has(parameter)).toBe(true)
    expect(location.searchParams.get('state')).toBe(state)
    expect((await answer()).status).toBe(400)
  })
})

describe('device page', () => {
  async function startDevice() {
    const { body } = await postForm(as.device_authorization_endpoint, { client_id: 'app' })
    const poll = async () => {
      const answer = await postForm(as.token_endpoint, {
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        client_id: 'app',
        device_code: body.device_code,
      })
      return answer.body.error ?? 'tokens'
    }
    return { uri: body.verification_uri, complete: body.verification_uri_complete, poll }
  }

  it('approves at once when opened with the code', async () => {
    const { complete, poll } = await startDevice()
    expect((await open(complete)).body).toContain('The device is connected')
    expect(await poll()).toBe('tokens')
    expect((await open(complete)).status).toBe(404)
  })

  it('denies at once when told to', async () => {
    identity.set({ approval: 'deny' })
    const { complete, poll } = await startDevice()
    expect((await open(complete)).body).toContain('The device was refused')
    expect(await poll()).toBe('access_denied')
  })

  it('asks for the code, and shows an error page for a wrong one', async () => {
    const { uri } = await startDevice()
    expect((await open(uri)).body).toContain('name="user_code"')
    expect((await open(`${uri}?user_code=XXX-XXX`)).status).toBe(404)
  })

  it.each([
    ['approve', 'tokens'],
    ['deny', 'access_denied'],
  ])('asks, and on %s the device gets %s', async (decision, outcome) => {
    identity.set({ approval: 'page' })
    const { uri, complete, poll } = await startDevice()
    const user_code = hidden((await open(complete)).body, 'user_code')
    await postForm(uri, { user_code, decision })
    expect(await poll()).toBe(outcome)
  })
})
