import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type Identity,
  type IdentityInput,
  startIdentity,
} from '../../../src/demo/identity/index.js'
import { redirectUrisOf } from '../../../src/sign-in/options.js'
import { createClock } from '../../../src/util/async.js'
import {
  createDesk,
  type DeskOptions,
  freePort,
  type Resource,
  startResource,
} from '../../helpers/sign-in.js'

describe('signing in with the browser at Descope', () => {
  let identity: Identity
  let resource: Resource

  const begin = async (options: IdentityInput = {}) => {
    identity = await startIdentity({ clock: createClock(), ...options })
    resource = await startResource(identity.issuer)
  }
  const desk = (more: Partial<DeskOptions> & { client?: object; scope?: string } = {}) => {
    const { client = {}, scope, ...options } = more
    const grant = { kind: 'server', url: resource.url } as const
    return createDesk({ target: { grant, client, scope }, ...options })
  }
  const requestsTo = (end: string) => identity.requests.filter(({ path }) => path.endsWith(end))

  beforeEach(() => begin())
  afterEach(async () => {
    await resource.close()
    await identity.close()
  })
  const restart = async (options: IdentityInput) => {
    await resource.close()
    await identity.close()
    await begin(options)
  }

  it('gets a token that is bound to the resource, with PKCE', async () => {
    const { signIn, source, visits } = desk()
    const record = await signIn.ensure({ interactive: 'offer' })
    const page = (await visits[0]) as Response
    expect(await page.text()).toContain('Signed in')
    expect(await source.get()).toBe(record.accessToken)
    const resourceUrl = resource.url.href
    expect(record).toMatchObject({ issuer: identity.issuer, resource: resourceUrl })
    const [authorize] = requestsTo('/authorize')
    expect(authorize?.query).toMatchObject({
      resource: resourceUrl,
      code_challenge_method: 'S256',
      response_type: 'code',
    })
    expect(requestsTo('/token')[0]?.body).toMatchObject({ resource: resourceUrl })
  })

  it('[bridge-candidate-ports] registers every port that it may use, as a native application', async () => {
    await desk().signIn.ensure({ interactive: 'offer' })
    expect(requestsTo('/register')[0]?.body).toMatchObject({
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      redirect_uris: [28682, 28683, 28684, 28685].map(
        (port) => `http://127.0.0.1:${port}/callback`,
      ),
    })
  })

  it.each(['localhost', '::1'] as const)(
    '[bridge-loopback-host] comes back to %s where that is wished, and registers that',
    async (callbackHost) => {
      const { signIn } = desk({ options: { callbackHost } })
      await signIn.ensure({ interactive: 'offer' })
      const name = callbackHost === '::1' ? '[::1]' : callbackHost
      const uris = [28682, 28683, 28684, 28685].map((port) => `http://${name}:${port}/callback`)
      const { redirect_uris = [] } = (requestsTo('/register')[0]?.body ?? {}) as {
        redirect_uris?: string[]
      }
      expect(redirect_uris).toEqual(expect.arrayContaining(uris))
      expect(redirect_uris).toContain(requestsTo('/authorize')[0]?.query['redirect_uri'])
      expect(redirect_uris.filter((uri) => !uri.startsWith(`http://${name}:`))).toEqual([])
    },
  )

  it('[bridge-keeps-registration] keeps the registration under the issuer, for the next sign-in too', async () => {
    const first = desk()
    await first.signIn.ensure({ interactive: 'offer' })
    const again = desk({ folder: first.folder })
    await again.signIn.ensure({ interactive: 'requested', force: true })
    expect(identity.counters).toMatchObject({ registrations: 1, authorizations: 2 })
  })

  it('[bridge-keeps-registration] registers anew when the port is not among the registered ones', async () => {
    const first = desk()
    await first.signIn.ensure({ interactive: 'offer' })
    const callbackPort = await freePort()
    const again = desk({ folder: first.folder, options: { callbackPort } })
    await again.signIn.ensure({ interactive: 'requested', force: true })
    expect(identity.counters.registrations).toBe(2)
  })

  it('[mcp-client-id-order] registers nothing with a client that is given', async () => {
    const redirectUris = [28682, 28683, 28684, 28685].map(
      (port) => `http://127.0.0.1:${port}/callback`,
    )
    await restart({ clients: [{ clientId: 'UDIx==', redirectUris }] })
    const record = await desk({ client: { id: 'UDIx==' } }).signIn.ensure({ interactive: 'offer' })
    expect(record.client).toMatchObject({ id: 'UDIx==', source: 'static' })
    expect(identity.counters.registrations).toBe(0)
  })

  it('[mcp-client-id-order] registers nothing where a metadata document is a client, and does where it is not', async () => {
    const document = createHttpServer((request, response) => {
      const clientId = `${origin}${request.url}`
      const redirect_uris = redirectUrisOf({ callbackHost: '127.0.0.1', callbackPort: undefined })
      response.end(JSON.stringify({ client_id: clientId, client_name: 'ours', redirect_uris }))
    })
    await new Promise<void>((resolve) => document.listen(0, '127.0.0.1', resolve))
    const origin = `http://127.0.0.1:${(document.address() as AddressInfo).port}`
    const client = { metadataUrl: `${origin}/client.json` }
    await restart({ cimd: true })
    await desk({ client }).signIn.ensure({ interactive: 'offer' })
    expect(identity.counters).toMatchObject({ registrations: 0, metadataFetches: 1 })
    expect(requestsTo('/authorize')[0]?.query['client_id']).toBe(client.metadataUrl)
    await restart({ cimd: false })
    await desk({ client }).signIn.ensure({ interactive: 'offer' })
    expect(identity.counters).toMatchObject({ registrations: 1, metadataFetches: 0 })
    document.close()
  })

  it('sends the secret of a confidential client and does not store it', async () => {
    const redirectUris = [28682, 28683, 28684, 28685].map(
      (port) => `http://127.0.0.1:${port}/callback`,
    )
    await restart({
      clients: [{ clientId: 'a+b/c=', clientSecret: 's3cr et&=', redirectUris }],
      ttl: 1,
    })
    const { signIn, source, store } = desk({ client: { id: 'a+b/c=', secret: 's3cr et&=' } })
    const record = await signIn.ensure({ interactive: 'offer' })
    expect(JSON.stringify(await store.list())).not.toContain('s3cr')
    expect(await source.refused(record.accessToken)).toEqual({ next: 'retry' })
    expect(identity.counters.refreshes).toBe(1)
  })

  it('says how to register when the server does not do it by itself', async () => {
    await restart({ dcr: false })
    await expect(desk().signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      code: 'SIGN_IN_FAILED',
      hint: expect.stringContaining('--client-id'),
    })
  })

  it.each<IdentityInput>([
    { registerStatus: 200 },
    { iss: true },
    { pathInserted: true },
    { errorStyle: 'oauth' },
    { issuer: 'agentic' },
    { issuer: 'tenant' },
    { aud: 'project' },
    { rotateRefresh: false },
    { refreshTtl: 0 },
  ])('works with %o', async (options) => {
    await restart(options)
    const record = await desk().signIn.ensure({ interactive: 'offer' })
    expect(record.accessToken).not.toBe('')
    expect(record.refreshToken === undefined).toBe(options.refreshTtl === 0)
  })

  it('[mcp-client-scope] asks for what the challenge names, else for what the resource names', async () => {
    resource.metadata = { ...resource.metadata, scopes_supported: ['mcp:use', 'openid'] }
    const first = desk()
    await first.signIn.ensure({ interactive: 'offer' })
    expect(requestsTo('/authorize')[0]?.query['scope']).toBe('mcp:use')
    await restart({ scopes: ['mcp:use', 'mcp:write'] })
    await desk().signIn.ensure({ interactive: 'offer', challenge: { scope: 'mcp:write' } })
    expect(requestsTo('/authorize')[0]?.query['scope']).toBe('mcp:write')
  })

  it('[mcp-client-scope] leaves the scope out when nobody names one', async () => {
    await desk().signIn.ensure({ interactive: 'offer' })
    expect(requestsTo('/authorize')[0]?.query).not.toHaveProperty('scope')
  })

  it('[bridge-step-up] steps up to the union of the scopes, without refreshing', async () => {
    await restart({ scopes: ['mcp:use', 'mcp:write'] })
    const { signIn, source } = desk()
    const first = await signIn.ensure({ interactive: 'offer', challenge: { scope: 'mcp:use' } })
    const challenge = { error: 'insufficient_scope', scope: 'mcp:write' }
    const verdict = await source.refused(first.accessToken, challenge)
    expect(verdict).toEqual({ next: 'step-up', scope: 'mcp:write' })
    const second = await signIn.ensure({
      interactive: 'offer',
      challenge,
      refused: first.accessToken,
    })
    expect(second.scope?.split(' ').sort()).toEqual(['mcp:use', 'mcp:write'])
    expect(requestsTo('/authorize')[1]?.query['scope']).toBe('mcp:use mcp:write')
    expect(identity.counters.refreshes).toBe(0)
    expect(await source.refused(first.accessToken, challenge)).toEqual({ next: 'retry' })
  })

  it('[bridge-step-up] steps up once and then names what is missing', async () => {
    await restart({ scopes: ['mcp:use', 'mcp:write'], approval: 'deny' })
    const { signIn } = desk()
    const challenge = { error: 'insufficient_scope', scope: 'mcp:write' }
    await expect(signIn.ensure({ interactive: 'offer', challenge })).rejects.toMatchObject({
      code: 'SIGN_IN_FAILED',
    })
    await expect(signIn.ensure({ interactive: 'offer', challenge })).rejects.toMatchObject({
      code: 'CREDENTIAL_REFUSED',
      message: expect.stringContaining('mcp:write'),
    })
    expect(identity.counters.authorizations).toBe(1)
  })

  it('[bridge-callback-page] shows an error instead of the success page when the user declines', async () => {
    await restart({ approval: 'deny' })
    const { signIn, visits } = desk()
    await expect(signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      code: 'SIGN_IN_FAILED',
      message: expect.stringContaining('access_denied'),
    })
    const page = (await visits[0]) as Response
    expect(page.status).toBe(400)
    expect(await page.text()).toContain('access_denied')
  })

  it('[bridge-callback-page] shows an error when the exchange fails after a good answer', async () => {
    identity.set({ fail: [{ path: '/token', status: 400, body: { error: 'invalid_grant' } }] })
    const { signIn, visits } = desk()
    await expect(signIn.ensure({ interactive: 'offer' })).rejects.toThrow('invalid_grant')
    expect(((await visits[0]) as Response).status).toBe(400)
  })

  it('exchanges the code again when the server was only busy', async () => {
    identity.set({ fail: [{ path: '/token', status: 503 }] })
    await expect(desk().signIn.ensure({ interactive: 'offer' })).resolves.toBeDefined()
  })

  it('[bridge-forgotten-client] registers once more when the server forgot the client', async () => {
    const first = desk()
    await first.signIn.ensure({ interactive: 'offer' })
    const refusal = { errorCode: 'E074130', errorMessage: 'Invalid client id' }
    identity.set({ fail: [{ path: '/token', status: 401, body: refusal }] })
    await first.signIn.ensure({ interactive: 'requested', force: true })
    expect(identity.counters.registrations).toBe(2)
  })

  it('[mcp-client-per-issuer] registers again, and takes nothing along, when the resource changes its issuer', async () => {
    const other = await startIdentity({ clock: createClock() })
    const first = desk()
    const old = await first.signIn.ensure({ interactive: 'offer' })
    resource.metadata = { ...resource.metadata, authorization_servers: [other.issuer] }
    const next = desk({ folder: first.folder })
    const record = await next.signIn.ensure({ interactive: 'requested', refused: old.accessToken })
    await other.close()
    expect(record.issuer).toBe(other.issuer)
    expect(other.counters.registrations).toBe(1)
    const seen = JSON.stringify(other.requests)
    for (const secret of identity.issuedSecrets()) expect(seen).not.toContain(secret)
  })

  it('[mcp-client-issuer] refuses metadata of another issuer', async () => {
    resource.metadata = {
      ...resource.metadata,
      authorization_servers: [`${identity.url}/v1/apps/agentic/other`],
    }
    await expect(desk().signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      code: 'DISCOVERY_INVALID',
    })
  })

  it('[bridge-tab-budget] opens no second tab by itself soon after one that led to nothing', async () => {
    await restart({ approval: 'deny' })
    const first = desk()
    await expect(first.signIn.ensure({ interactive: 'offer' })).rejects.toThrow('access_denied')
    const { signIn, tabs } = desk({ folder: first.folder })
    const stop = new AbortController()
    const waiting = signIn.ensure({ interactive: 'offer', signal: stop.signal })
    const ended = expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect.poll(() => signIn.state).toMatchObject({ phase: 'waiting', tab: 'withheld' })
    expect(tabs).toEqual([])
    stop.abort()
    await ended
    identity.set({ approval: 'auto' })
    const asked = desk({ folder: first.folder })
    await asked.signIn.ensure({ interactive: 'requested', force: true })
    expect(asked.tabs).toHaveLength(1)
  })

  it('[bridge-tab-budget] asks nobody when nobody may be asked, and gives what is there', async () => {
    const own = desk()
    await expect(own.signIn.ensure({ interactive: 'never' })).rejects.toMatchObject({
      code: 'SIGN_IN_REQUIRED',
    })
    const record = await own.signIn.ensure({ interactive: 'offer' })
    expect(await own.signIn.ensure({ interactive: 'never' })).toEqual(record)
    expect(own.tabs).toHaveLength(1)
  })

  it('[bridge-no-tab] opens nothing in CI and says what to do instead', async () => {
    const { signIn, tabs } = desk({ env: { CI: 'true', DISPLAY: ':0' } })
    await expect(signIn.ensure({ interactive: 'offer' })).rejects.toMatchObject({
      code: 'SIGN_IN_REQUIRED',
      hint: expect.stringContaining('MCP_DESCOPE_TOKEN'),
    })
    expect(tabs).toEqual([])
    expect(identity.requests).toEqual([])
  })

  it('[bridge-url-first] shows the URL before the browser is started', async () => {
    const seen: string[] = []
    const own = desk({ system: { launch: async () => seen.push('launch') > 0 } })
    own.signIn.onChange((state) => {
      if (state.phase === 'waiting') seen.push(state.tab)
    })
    const running = own.signIn.ensure({ interactive: 'offer' })
    await expect.poll(() => seen).toEqual(['opening', 'opening', 'launch', 'opened'])
    const { state } = own.signIn
    await fetch(state.phase === 'waiting' ? state.url : '')
    await running
  })

  it('[bridge-callback-closes] frees the port when somebody signed in', async () => {
    await desk().signIn.ensure({ interactive: 'offer' })
    const redirectUri = requestsTo('/authorize')[0]?.query['redirect_uri'] ?? ''
    await expect(fetch(redirectUri)).rejects.toThrow()
  })

  it('[bridge-busy-port] takes the next port when one is busy', async () => {
    const first = desk({ browse: async () => {} })
    const stop = new AbortController()
    const waiting = first.signIn.ensure({ interactive: 'offer', signal: stop.signal })
    await expect.poll(() => first.tabs).toHaveLength(1)
    await desk().signIn.ensure({ interactive: 'offer' })
    const used = requestsTo('/authorize')[0]?.query['redirect_uri']
    expect(used).not.toBe(new URL(first.tabs[0] ?? '').searchParams.get('redirect_uri'))
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' })
  })

  /** Begins a sign-in that nobody finishes and stops it, as a bridge that is restarted does. */
  const leaveOne = async (folder?: string) => {
    const own = desk({ browse: async () => {}, ...(folder && { folder }) })
    const stop = new AbortController()
    const waiting = own.signIn.ensure({ interactive: 'offer', signal: stop.signal })
    const ended = expect(waiting).rejects.toMatchObject({ code: 'INTERRUPTED' })
    await expect.poll(() => own.tabs).toHaveLength(1)
    stop.abort()
    await ended
    const port = new URL(new URL(own.tabs[0] ?? '').searchParams.get('redirect_uri') ?? '').port
    return { folder: own.folder, port: Number(port) }
  }

  it('[bridge-resumes-sign-in] leaves the port of a tab that is open for another target alone', async () => {
    const left = await leaveOne()
    const { issuer } = identity
    const grant = { kind: 'issuer', issuer, resource: undefined } as const
    await createDesk({ folder: left.folder, target: { grant } }).signIn.ensure({
      interactive: 'offer',
    })
    const used = requestsTo('/authorize').at(-1)?.query['redirect_uri']
    expect(used).not.toBe(`http://127.0.0.1:${left.port}/callback`)
  })

  it('[bridge-resumes-sign-in] starts over at another port, without a second tab, when its own was taken', async () => {
    const left = await leaveOne()
    const thief = createServer()
    await new Promise<void>((resolve) => thief.listen(left.port, '127.0.0.1', resolve))
    const next = desk({ folder: left.folder })
    const running = next.signIn.ensure({ interactive: 'offer' })
    await expect.poll(() => next.signIn.state).toMatchObject({ phase: 'waiting', tab: 'withheld' })
    const { state } = next.signIn
    const url = state.phase === 'waiting' ? state.url : ''
    expect(url).not.toContain(`%3A${left.port}%2F`)
    await fetch(url)
    expect((await running).accessToken).not.toBe('')
    expect(next.tabs).toEqual([])
    await new Promise((resolve) => thief.close(resolve))
  })

  it('signs in at a configured issuer without asking any resource', async () => {
    const { issuer } = identity
    const own = createDesk({ target: { grant: { kind: 'issuer', issuer, resource: undefined } } })
    const record = await own.signIn.ensure({ interactive: 'offer' })
    expect(record.resource).toBeUndefined()
    expect(requestsTo('/authorize')[0]?.query).not.toHaveProperty('resource')
  })
})
