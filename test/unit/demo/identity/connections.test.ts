import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../../src/demo/identity/index.js'
import { movableClock, postForm, postJson } from './support.js'

const KEY = 'K2management'
const clock = movableClock()
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
let identity: Identity
beforeAll(async () => {
  identity = await startIdentity({
    clock,
    scopes: ['mcp:use', 'outbound.token.fetch'],
    user: { id: 'U2me', tenants: { T2acme: { roles: [], permissions: [] } } },
    managementKeys: [KEY],
    clients: [{ clientId: 'machine', clientSecret: 'secret' }],
  })
})
afterAll(() => identity.close())
afterEach(async () => {
  identity.set({ outboundApps: [], connections: [] })
  await fetch(`${identity.url}/__test/connections`, { method: 'DELETE' })
})

const ask = (path: string, body: object, credential: string) =>
  postJson(`${identity.url}/v1/mgmt/outbound/app/${path}`, body, {
    authorization: `Bearer ${identity.projectId}:${credential}`,
  })
const connect = async (body: object, claims: object = {}) =>
  ask('connect', body, await identity.mint({ ...claims }))
const answerPage = (url: string, form: Record<string, string>) =>
  fetch(url, { method: 'POST', headers: FORM, body: new URLSearchParams(form), redirect: 'manual' })
const fetchToken = async (body: object, claims: object = {}, path = 'user/token/latest') =>
  ask(path, { appId: 'github', userId: 'U2me', ...body }, await identity.mint({ ...claims }))

describe('the link to connect', () => {
  it('leads to a page where one click connects the user, and works once', async () => {
    expect((await fetchToken({})).status).toBe(404)
    const options = { redirectUrl: 'https://app.example/done?x=1', scopes: ['repo'] }
    const { status, body } = await connect({ appId: 'github', options })
    expect([status, Object.keys(body)]).toEqual([200, ['url']])
    const page = await fetch(body.url)
    expect([page.status, await page.text()]).toEqual([
      200,
      expect.stringMatching(/github.*repo.*<button name="decision" value="connect"/s),
    ])
    expect((await fetchToken({})).status).toBe(404)
    const connected = await answerPage(body.url, { decision: 'connect' })
    expect([connected.status, connected.headers.get('location')]).toEqual([
      303,
      'https://app.example/done?x=1',
    ])
    expect((await fetchToken({})).body.token).toMatchObject({
      appId: 'github',
      userId: 'U2me',
      tenantId: '',
      scopes: ['repo'],
      accessTokenType: 'bearer',
    })
    expect((await fetch(body.url)).status).toBe(404)
  })

  it('connects nobody who refuses, and ends after ten minutes', async () => {
    const refused = (await connect({ appId: 'github' })).body.url
    const page = await answerPage(refused, { decision: 'refuse' })
    expect([page.status, await page.text()]).toEqual([
      200,
      expect.stringContaining('not connected'),
    ])
    const late = (await connect({ appId: 'github' })).body.url
    clock.advance(601)
    expect((await answerPage(late, { decision: 'connect' })).status).toBe(404)
    expect((await fetchToken({})).status).toBe(404)
  })

  it("keeps the user's connections for each tenant apart", async () => {
    const { body } = await connect({ appId: 'github', tenantId: 'T2acme' })
    await answerPage(body.url, { decision: 'connect' })
    expect((await fetchToken({})).status).toBe(404)
    expect((await fetchToken({ tenantId: 'T2acme' })).body.token.tenantId).toBe('T2acme')
    expect((await fetchToken({ tenantId: 'T2acme' }, { dct: 'T2other' })).status).toBe(403)
  })

  it('keeps connections with other scopes beside each other, and takes the exact set', async () => {
    for (const scopes of [['repo'], ['gist', 'user']]) {
      const { body } = await connect({ appId: 'github', options: { scopes } })
      await answerPage(body.url, { decision: 'connect' })
    }
    const read = async (scopes: string[]) => fetchToken({ scopes }, {}, 'user/token')
    expect((await read(['user', 'gist'])).body.token.scopes).toEqual(['gist', 'user'])
    expect((await read(['repo'])).body.token.scopes).toEqual(['repo'])
    expect((await read(['gist'])).status).toBe(404)
    expect((await fetchToken({})).body.token.scopes).toEqual(['gist', 'user'])
  })

  it('asks for the key of an app of API keys and gives it out', async () => {
    identity.set({ outboundApps: [{ appId: 'github', kind: 'apiKey' }] })
    const { url } = (await connect({ appId: 'github' })).body
    expect(await (await fetch(url)).text()).toContain('name="api_key"')
    expect((await answerPage(url, { decision: 'connect', api_key: ' ' })).status).toBe(200)
    await answerPage(url, { decision: 'connect', api_key: 'key-of-the-user' })
    expect((await fetchToken({})).body.token).toMatchObject({
      accessToken: 'key-of-the-user',
      accessTokenType: 'apikey',
      accessTokenExpiry: '0',
      hasRefreshToken: false,
    })
    expect(identity.issuedSecrets()).toContain('key-of-the-user')
  })

  it.each<[string, object, () => Promise<string>, number]>([
    ['a management key', { appId: 'github' }, async () => KEY, 401],
    ['a bad token', { appId: 'github' }, async () => 'nonsense', 401],
    ['an expired token', { appId: 'github' }, () => identity.mint({ exp: 1 }), 401],
    ['a tenant of others', { appId: 'github', tenantId: 'T2x' }, () => identity.mint(), 403],
    ['no app', {}, () => identity.mint(), 404],
    ['an app that does not exist', { appId: 'nope' }, () => identity.mint(), 404],
    ['a policy against it', { appId: 'locked' }, () => identity.mint(), 403],
    [
      'a script to go back to',
      { appId: 'github', options: { redirectUrl: 'javascript:alert(1)' } },
      () => identity.mint(),
      400,
    ],
  ])('is refused with %s', async (_name, body, credential, status) => {
    identity.set({ outboundApps: [{ appId: 'github' }, { appId: 'locked', policy: false }] })
    expect((await ask('connect', body, await credential())).status).toBe(status)
  })

  it("is refused to a client's own token", async () => {
    const { body } = await postForm(`${identity.url}/oauth2/v1/token`, {
      ...{ grant_type: 'client_credentials', client_id: 'machine', client_secret: 'secret' },
    })
    expect((await ask('connect', { appId: 'github' }, body.access_token)).status).toBe(403)
  })
})

describe('management endpoints', () => {
  const post = (path: string, body: object, credential = KEY) =>
    postJson(`${identity.url}/v1/mgmt/${path}`, body, {
      authorization: `Bearer ${identity.projectId}:${credential}`,
    })
  const event = { action: 'tools/call', type: 'info', actorId: 'U2me', data: { tool: 'echo' } }

  it('keep audit events as they came', async () => {
    const sent = { ...event, userId: 'U2me', tenantId: 'T2acme' }
    expect(await post('audit/event', sent)).toMatchObject({ status: 200, body: {} })
    expect(identity.auditEvents).toEqual([sent])
    expect(await (await fetch(`${identity.url}/__test/audit`)).json()).toEqual([sent])
    await fetch(`${identity.url}/__test/audit`, { method: 'DELETE' })
    expect(identity.auditEvents).toEqual([])
  })

  it.each<[string, object, string | undefined, number]>([
    ['another key', event, 'K2other', 401],
    ['no action', { ...event, action: undefined }, undefined, 400],
    ['no actor', { ...event, actorId: '' }, undefined, 400],
    ['an unknown type', { ...event, type: 'debug' }, undefined, 400],
    ['data that is text', { ...event, data: 'x' }, undefined, 400],
    ['a tenant that is a number', { ...event, tenantId: 1 }, undefined, 400],
  ])('refuse an audit event with %s', async (_name, body, key, status) => {
    expect((await post('audit/event', body, key)).status).toBe(status)
    expect(identity.auditEvents).toEqual([])
  })

  it('answer whether relations hold, in the order asked', async () => {
    const known = { resource: '7', resourceType: 'doc', relation: 'owner', target: 'U2me' }
    identity.set({ relations: [known] })
    const asked = { ...known, targetType: 'user' }
    const others = (['resource', 'resourceType', 'relation', 'target', 'targetType'] as const).map(
      (name) => ({ ...asked, [name]: 'other' }),
    )
    const { status, body } = await post('fga/check', { tuples: [...others, asked], context: {} })
    expect(status).toBe(200)
    expect(body.tuples.map(({ allowed }: { allowed: boolean }) => allowed)).toEqual([
      ...others.map(() => false),
      true,
    ])
    expect(body.tuples.at(-1).tuple).toEqual(asked)
  })

  it.each<[string, object, string | undefined, number]>([
    ['another key', { tuples: [] }, 'K2other', 401],
    ['no relations', {}, undefined, 400],
    ['half a relation', { tuples: [{ resource: '7' }] }, undefined, 400],
  ])('refuse a check with %s', async (_name, body, key, status) => {
    expect((await post('fga/check', body, key)).status).toBe(status)
  })
})
