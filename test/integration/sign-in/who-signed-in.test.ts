import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import { type ScriptedIssuer, startScriptedIssuer } from '../../helpers/scripted-issuer.js'
import { createDesk, type Resource, startResource } from '../../helpers/sign-in.js'

const SUBJECT = 'U2abcdefgh'

/** A token as its claims would be in a JWT; nobody but its issuer and the target verifies it. */
function tokenWith(claims: JsonObject): string {
  const part = (value: JsonObject) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256' })}.${part(claims)}.c2lnbmF0dXJl`
}

describe('the page after a sign-in', () => {
  let issuer: ScriptedIssuer
  let resource: Resource
  beforeEach(async () => {
    issuer = await startScriptedIssuer()
    resource = await startResource(issuer.issuer)
  })
  afterEach(async () => {
    await resource.close()
    await issuer.close()
  })

  const signInAs = async (
    token: string,
    { scope = 'openid email', returnTo }: { scope?: string; returnTo?: string } = {},
  ) => {
    issuer.token = () => ({
      status: 200,
      body: { access_token: token, token_type: 'Bearer', expires_in: 600, scope },
    })
    const { signIn, visits } = createDesk({
      target: { name: 'mcp.example.com/mcp', grant: { kind: 'server', url: resource.url } },
      options: { returnTo: () => returnTo },
    })
    const outcome = await signIn.ensure({ interactive: 'offer' }).catch((error: unknown) => error)
    const page = (await visits[0]) as Response
    return { outcome, html: await page.text() }
  }
  const publish = (body: unknown, status = 200) => {
    issuer.metadata['userinfo_endpoint'] = `${issuer.issuer}/userinfo`
    issuer.pages.set('/userinfo', { status, body })
  }

  it.each([
    { claims: { sub: SUBJECT, email: 'dana@acme.com', name: 'Dana' }, who: 'dana@acme.com' },
    { claims: { sub: SUBJECT, name: 'Dana' }, who: 'Dana' },
    { claims: { sub: SUBJECT, preferred_username: 'dana' }, who: 'dana' },
  ])('names $who from the token and asks nobody', async ({ claims, who }) => {
    publish({ sub: SUBJECT, email: 'other@acme.com' })
    const { html } = await signInAs(tokenWith(claims), { returnTo: 'Claude Desktop' })
    expect(html).toContain(`You are signed in as ${who}.`)
    expect(html).toContain('return to Claude Desktop.')
    expect(html).toContain('<dd>mcp.example.com/mcp</dd>')
    expect(issuer.asked).not.toContain('/userinfo')
  })

  it.each([
    { what: 'a token that holds only an id', token: tokenWith({ sub: SUBJECT }) },
    { what: 'an opaque token', token: 'opaque-token' },
  ])('names the person as the authorization server knows them, for $what', async ({ token }) => {
    publish({ sub: SUBJECT, email: 'dana@acme.com' })
    const { html } = await signInAs(token)
    expect(html).toContain('You are signed in as dana@acme.com.')
    expect(html).not.toContain(SUBJECT)
  })

  it('asks nobody where the scopes do not allow it', async () => {
    publish({ sub: SUBJECT, email: 'dana@acme.com' })
    const { html } = await signInAs(tokenWith({ sub: SUBJECT }), { scope: 'mcp:read' })
    expect(html).toContain('<p>You are signed in.</p>')
    expect(html).toContain(`<dd>${SUBJECT}</dd>`)
    expect(issuer.asked).not.toContain('/userinfo')
  })

  it.each([
    { what: 'a refusal', body: { error: 'insufficient_scope' }, status: 403 },
    { what: 'a page', body: '<h1>Welcome</h1>', status: 200 },
    { what: 'another person', body: { sub: 'eve', email: 'eve@acme.com' }, status: 200 },
    { what: 'no subject', body: { email: 'eve@acme.com' }, status: 200 },
    { what: 'a name that is no text', body: { sub: SUBJECT, email: 7 }, status: 200 },
    { what: 'a list', body: [{ sub: SUBJECT, email: 'eve@acme.com' }], status: 200 },
    {
      what: 'more than anybody reads',
      body: { sub: SUBJECT, email: 'eve@acme.com', more: 'x'.repeat(100_000) },
      status: 200,
    },
  ])('signs in all the same where userinfo answers with $what', async ({ body, status }) => {
    publish(body, status)
    const token = tokenWith({ sub: SUBJECT })
    const { html, outcome } = await signInAs(token)
    expect(outcome).toMatchObject({ accessToken: token })
    expect(html).toContain('<p>You are signed in.</p>')
    expect(html).not.toContain('eve')
  })

  it.each(['http://10.0.0.1/userinfo', 'not a URL', 'file:///etc/passwd', ''])(
    'signs in all the same where userinfo_endpoint is %j, and sends no token there',
    async (endpoint) => {
      issuer.metadata['userinfo_endpoint'] = endpoint
      const { html } = await signInAs(tokenWith({ sub: SUBJECT }))
      expect(html).toContain('<p>You are signed in.</p>')
    },
  )

  it('keeps the tokens before it asks, and waits for a silent userinfo only so long', async () => {
    const silent: string[] = []
    issuer.metadata['userinfo_endpoint'] = `${issuer.issuer}/userinfo`
    const { signIn, visits, store, binding } = createDesk({
      target: { grant: { kind: 'server', url: resource.url }, scope: 'openid' },
      fetch: (input, init) => {
        if (!String(input).endsWith('/userinfo')) return fetch(input, init)
        return new Promise((_, reject) => {
          void store.load(binding).then((record) => silent.push(record?.accessToken ?? 'none'))
          init?.signal?.addEventListener('abort', () => reject(new Error('given up')))
        })
      },
    })
    const record = await signIn.ensure({ interactive: 'offer' })
    expect(record.accessToken).toBe('access-1')
    expect(silent).toEqual(['access-1'])
    expect(await ((await visits[0]) as Response).text()).toContain('<p>You are signed in.</p>')
  })

  it('shows what the authorization server says as text, and what to do next', async () => {
    issuer.pages.set('/authorize', { status: 200, body: '' })
    const { signIn, visits } = createDesk({
      target: { name: 'mcp.example.com/mcp', grant: { kind: 'server', url: resource.url } },
      options: { returnTo: () => 'Cursor' },
      browse: async (url) => {
        const asked = new URL(url).searchParams
        const back = new URL(asked.get('redirect_uri') ?? '')
        back.searchParams.set('error', 'access_denied')
        back.searchParams.set('error_description', '<img src=x> `no`')
        back.searchParams.set('state', asked.get('state') ?? '')
        return fetch(back)
      },
    })
    await expect(signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      code: 'SIGN_IN_FAILED',
    })
    const html = await ((await visits[0]) as Response).text()
    expect(html).toContain('access_denied')
    expect(html).not.toContain('<img')
    expect(html).toContain('go back to the program that you came from (Cursor) and try again there')
    expect(html).toContain('<dd>mcp.example.com/mcp</dd>')
  })
})
