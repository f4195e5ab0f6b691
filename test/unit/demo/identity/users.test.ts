import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  authorizationUrl,
  discover,
  postForm,
  postJson,
  REDIRECT_URI,
  registerClient,
  type Started,
  signedIn,
  start,
} from './support.js'

const tenantOf = (id: string) => ({ tenants: { [id]: { roles: ['Member'], permissions: [] } } })
const options = {
  autoTenantClaim: true,
  user: { id: 'U2ann', email: 'ann@acme.example', ...tenantOf('T2acme') },
  users: [{ id: 'U2bob', email: '<bob>@beta.example', ...tenantOf('T2beta') }],
}

async function claimsOf(identity: Started, extra: Record<string, string>) {
  const { tokens } = await signedIn(identity, { scope: 'mcp:use openid', extra })
  return [decodeJwt(tokens.access_token), decodeJwt(tokens.id_token as string)] as const
}

describe('several users', () => {
  it.each<[string, Record<string, string>, string, string]>([
    ['the first one without a hint', {}, 'U2ann', 'T2acme'],
    ['whom the hint names by email', { login_hint: '<bob>@beta.example' }, 'U2bob', 'T2beta'],
    ['whom the hint names by id', { loginHint: 'U2bob' }, 'U2bob', 'T2beta'],
    ['the first one for a hint that nobody has', { login_hint: 'x' }, 'U2ann', 'T2acme'],
  ])('sign in as %s', async (_name, extra, sub, dct) => {
    const [access, id] = await claimsOf(await start(options), extra)
    expect(access).toMatchObject({ sub, dct })
    expect(id.sub).toBe(sub)
  })

  it('are chosen on the page', async () => {
    const identity = await start({ ...options, approval: 'page' })
    const as = await discover(identity)
    const client = await registerClient(as)
    const { url, verifier } = await authorizationUrl(as, client)
    const page = await (await fetch(url)).text()
    expect(page).toContain('Approve as ann@acme.example')
    expect(page).toContain('value="approve:&lt;bob&gt;@beta.example"')
    const transaction = /name="transaction" value="([^"]+)"/.exec(page)?.[1] as string
    const answer = await fetch(url.origin + url.pathname, {
      method: 'POST',
      body: new URLSearchParams({ transaction, decision: 'approve:<bob>@beta.example' }),
      redirect: 'manual',
    })
    const code = new URL(answer.headers.get('location') as string).searchParams.get('code')
    const { body } = await postForm(as.token_endpoint, {
      grant_type: 'authorization_code',
      client_id: client.client_id,
      code: code as string,
      code_verifier: verifier,
      redirect_uri: REDIRECT_URI,
    })
    expect(decodeJwt(body.access_token).sub).toBe('U2bob')
  })

  it('are chosen on the page of a device code too', async () => {
    const identity = await start({ ...options, approval: 'page', device: true })
    const client_id = identity.projectId
    const { body } = await postForm(`${identity.url}/oauth2/v1/apps/device`, { client_id })
    const page = await (await fetch(body.verification_uri_complete)).text()
    expect(page).toContain('Approve as ann@acme.example')
    await fetch(body.verification_uri, {
      method: 'POST',
      body: new URLSearchParams({
        ...{ user_code: body.user_code, decision: 'approve:<bob>@beta.example' },
      }),
    })
    const answer = await postForm(`${identity.url}/oauth2/v1/apps/token`, {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id,
      device_code: body.device_code,
    })
    expect(decodeJwt(answer.body.access_token)).toMatchObject({ sub: 'U2bob', dct: 'T2beta' })
  })

  it('connect each for their own tenant', async () => {
    const identity = await start(options)
    const { tokens } = await signedIn(identity, { extra: { login_hint: 'U2bob' } })
    const connect = (tenantId: string) =>
      postJson(
        `${identity.url}/v1/mgmt/outbound/app/connect`,
        { appId: 'github', tenantId },
        { authorization: `Bearer ${identity.projectId}:${tokens.access_token}` },
      )
    expect((await connect('T2acme')).status).toBe(403)
    const { body } = await connect('T2beta')
    expect(await (await fetch(body.url)).text()).toContain('&lt;bob&gt;@beta.example')
  })
})

describe('the front page', () => {
  it('says that it is an emulator, its URLs, and what it offers', async () => {
    const identity = await start({ scopes: ['a<b'], resourceUrl: 'https://x.example/mcp' })
    const answer = await fetch(`${identity.url}/`)
    const page = await answer.text()
    expect(answer.headers.get('content-type')).toMatch(/^text\/html/)
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    for (const text of [
      ...['This is an emulator of Descope', 'not made or run by Descope', 'a&lt;b'],
      ...[identity.configUrl, identity.projectConfigUrl, 'https://x.example/mcp'],
    ]) {
      expect(page).toContain(text)
    }
    expect((await fetch(`${identity.url}/`, { method: 'POST' })).status).toBe(405)
  })
})
