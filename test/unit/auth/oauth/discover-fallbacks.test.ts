import { describe, expect, it } from 'vitest'
import { discoverGrantPlan } from '../../../../src/auth/oauth/discover.js'
import { readBearerChallenge } from '../../../../src/auth/oauth/parse-challenge.js'
import {
  discoverAuthorizationServer,
  isSameIssuer,
} from '../../../../src/auth/oauth/server-metadata.js'
import { createManualClock } from '../../../helpers/runtime.js'

type Page = Response | Error | object | string

/** Answers by URL; what is not named is 404. */
function web(pages: Record<string, Page>) {
  const asked: string[] = []
  const fetch: typeof globalThis.fetch = async (input) => {
    const url = String(input)
    asked.push(url)
    const page = pages[url]
    if (page instanceof Error) throw page
    if (page instanceof Response) return page.clone()
    if (typeof page === 'string') return new Response(page)
    return page === undefined ? new Response('no', { status: 404 }) : Response.json(page)
  }
  return { deps: { fetch, clock: createManualClock() }, asked }
}

const metadata = (issuer: string, more: object = {}) => ({
  issuer,
  authorization_endpoint: 'https://as.example/authorize',
  token_endpoint: 'https://as.example/token',
  code_challenge_methods_supported: ['S256'],
  ...more,
})

const MCP = new URL('https://mcp.example/a/mcp')

const TARGET = { kind: 'server', url: MCP } as const

const ROOT = 'https://mcp.example/.well-known/oauth-protected-resource'

const INSERTED = `${ROOT}/a/mcp`

const AS = 'https://as.example'

const OAUTH = `${AS}/.well-known/oauth-authorization-server`

const OPENID = `${AS}/.well-known/openid-configuration`

const PRM = { resource: MCP.href, authorization_servers: [AS], scopes_supported: ['s'] }

const GOOD = { [OAUTH]: metadata(AS) }

const BAD_PAGES: [string, Page][] = [
  ['500', new Response('', { status: 500 })],
  ['503 with a page', new Response('<html>', { status: 503 })],
  ['429', new Response('', { status: 429 })],
  ['401', new Response('', { status: 401 })],
  ['a page with 200', '<!doctype html><title>app</title>'],
  ['a list', []],
  [
    'a stream without an end',
    new Response(new ReadableStream(), { headers: { 'content-type': 'text/event-stream' } }),
  ],
  ['null', 'null'],
  ['a broken connection', new TypeError('fetch failed')],
  ['an endless document', `"${'x'.repeat(1_100_000)}"`],
  ['a redirect to nowhere', new Response('', { status: 302, headers: { location: 'http://x y' } })],
  [
    'a redirect into an inner network',
    new Response('', { status: 302, headers: { location: 'http://169.254.169.254/' } }),
  ],
]

describe('the metadata of a protected resource', () => {
  it.each([...BAD_PAGES, ['the document of another resource', { resource: 'https://other' }]])(
    'is looked for at the next guessed place behind %s',
    async (_, page) => {
      const { deps } = web({ ...GOOD, [INSERTED]: page as Page, [ROOT]: PRM })
      const plan = await discoverGrantPlan(deps, TARGET, undefined)
      expect(plan).toMatchObject({ resource: MCP.href, server: { issuer: AS } })
    },
  )

  it.each([...BAD_PAGES, ['the document of another resource', { resource: 'https://other' }]])(
    'is guessed where the challenge leads to %s',
    async (_, page) => {
      const { deps } = web({ ...GOOD, 'https://mcp.example/meta': page as Page, [INSERTED]: PRM })
      const challenge = { resourceMetadata: 'https://mcp.example/meta' }
      const plan = await discoverGrantPlan(deps, TARGET, challenge)
      expect(plan).toMatchObject({ resourceScopes: ['s'], server: { issuer: AS } })
    },
  )

  it.each([
    ['named 404', 'Bearer resource_metadata="https://mcp.example/gone"'],
    ['relative', 'Bearer resource_metadata="/meta"'],
    ['relative to the path', 'Bearer resource_metadata="../meta"'],
    ['without quotes', 'Bearer resource_metadata=https://mcp.example/meta, scope="s"'],
    ['without quotes, at the end', 'Bearer error="x", resource_metadata=https://mcp.example/meta'],
    [
      'named twice',
      'Bearer resource_metadata="https://mcp.example/gone", resource_metadata="https://mcp.example/meta"',
    ],
    [
      'named by two challenges',
      'Bearer resource_metadata="https://mcp.example/gone", Bearer resource_metadata="https://mcp.example/meta"',
    ],
    ['empty', 'Bearer resource_metadata=""'],
    ['no URL', 'Bearer resource_metadata="https://"'],
    ['at plain http', 'Bearer resource_metadata="http://mcp.example/meta"'],
    ['in an inner network', 'Bearer resource_metadata="https://10.0.0.1/meta"'],
    ['no address at all', 'Bearer resource_metadata="javascript:alert(1)"'],
  ])('is found where the challenge names it so: %s', async (_, header) => {
    const { deps, asked } = web({ ...GOOD, 'https://mcp.example/meta': PRM, [INSERTED]: PRM })
    const plan = await discoverGrantPlan(deps, TARGET, readBearerChallenge(header))
    expect(plan).toMatchObject({ resource: MCP.href, server: { issuer: AS } })
    for (const url of asked) expect(url).toMatch(/^https:\/\/(mcp|as)\.example\//)
  })

  it('is looked for at the named place first, and at no other when it is there', async () => {
    const { deps, asked } = web({ ...GOOD, 'https://mcp.example/meta': PRM })
    await discoverGrantPlan(deps, TARGET, { resourceMetadata: 'https://mcp.example/meta' })
    expect(asked).toEqual(['https://mcp.example/meta', OAUTH])
  })

  it('of a hostile challenge is looked for in a few places only', async () => {
    const names = Array.from(
      { length: 200 },
      (_, n) => `resource_metadata="https://x.example/${n}"`,
    )
    const { deps, asked } = web({})
    const challenge = readBearerChallenge(`Bearer ${names.join(', ')}`)
    await expect(discoverGrantPlan(deps, TARGET, challenge)).rejects.toThrow('no metadata')
    expect(asked.length).toBeLessThan(12)
  })

  it('tells the first failure, and only when no place answers', async () => {
    const { deps } = web({ [INSERTED]: new Response('', { status: 500 }) })
    await expect(discoverGrantPlan(deps, TARGET, undefined)).rejects.toMatchObject({
      retryable: true,
      message: expect.stringContaining(`${INSERTED} answered with status 500`),
    })
  })

  it('of another resource alone is refused', async () => {
    const { deps } = web({ ...GOOD, [ROOT]: { ...PRM, resource: 'https://mcp.example/other' } })
    await expect(discoverGrantPlan(deps, TARGET, undefined)).rejects.toThrow('not of')
  })

  it.each([{}, { authorization_servers: null }, { authorization_servers: [''] }])(
    'that names no authorization server (%j) leads to one of its own origin',
    async (more) => {
      const own = 'https://mcp.example/.well-known/oauth-authorization-server'
      const document = { resource: MCP.href, scopes_supported: ['s'], ...more }
      const { deps } = web({ [INSERTED]: document, [own]: metadata('https://mcp.example') })
      expect(await discoverGrantPlan(deps, TARGET, undefined)).toMatchObject({
        resource: MCP.href,
        resourceScopes: ['s'],
        server: { issuer: 'https://mcp.example' },
      })
    },
  )

  it('that names no authorization server is worse than one at the next place that does', async () => {
    const { deps } = web({ ...GOOD, [INSERTED]: { resource: MCP.href }, [ROOT]: PRM })
    const plan = await discoverGrantPlan(deps, TARGET, undefined)
    expect(plan.server.issuer).toBe(AS)
  })
})

describe('the metadata of an authorization server', () => {
  it.each([
    ...BAD_PAGES,
    ['the document of another issuer', metadata('https://other.example')],
    ['a document without PKCE', metadata(AS, { code_challenge_methods_supported: null })],
    ['a document without a token endpoint', metadata(AS, { token_endpoint: '' })],
    [
      'a document with a token endpoint on plain http',
      metadata(AS, { token_endpoint: 'http://as.example/t' }),
    ],
  ])('is looked for at the next place behind %s', async (_, page) => {
    const { deps } = web({ [OAUTH]: page as Page, [OPENID]: metadata(AS) })
    expect(await discoverAuthorizationServer(deps, AS)).toMatchObject({ metadataUrl: OPENID })
  })

  it.each([
    [
      'down',
      { 'https://first.example/.well-known/oauth-authorization-server': new TypeError('down') },
    ],
    [
      'unavailable',
      {
        'https://first.example/.well-known/oauth-authorization-server': new Response('', {
          status: 503,
        }),
      },
    ],
    [
      'another',
      {
        'https://first.example/.well-known/oauth-authorization-server':
          metadata('https://x.example'),
      },
    ],
    ['without metadata', {}],
  ])('is taken from the second server when the first is %s', async (_, pages) => {
    const document = { ...PRM, authorization_servers: ['https://first.example', AS] }
    const { deps } = web({ ...GOOD, ...pages, [INSERTED]: document })
    const plan = await discoverGrantPlan(deps, TARGET, undefined)
    expect(plan.server.issuer).toBe(AS)
  })

  it.each(['http://first.example', 'not a URL', 'http://127.0.0.1:1'])(
    'is taken from the second server when the first is %s',
    async (first) => {
      const { deps } = web({ ...GOOD, [INSERTED]: { ...PRM, authorization_servers: [first, AS] } })
      const plan = await discoverGrantPlan(deps, TARGET, undefined)
      expect(plan.server.issuer).toBe(AS)
    },
  )

  it('of a server that keeps silent is not waited for in all its places', async () => {
    const silent = Object.assign(new Error('aborted'), { name: 'AbortError' })
    const { deps, asked } = web({ [OAUTH]: silent })
    await expect(discoverAuthorizationServer(deps, AS)).rejects.toMatchObject({ retryable: true })
    expect(asked).toEqual([OAUTH])
  })

  it.each([null, ''])(
    'with %j for what is optional is read as if it were not there',
    async (nothing) => {
      const optional = {
        registration_endpoint: nothing,
        revocation_endpoint: nothing,
        device_authorization_endpoint: nothing,
        scopes_supported: nothing,
        grant_types_supported: nothing,
        token_endpoint_auth_methods_supported: nothing,
        client_id_metadata_document_supported: nothing,
        authorization_response_iss_parameter_supported: nothing,
      }
      const [full, bare] = [web({ [OAUTH]: metadata(AS, optional) }), web(GOOD)]
      expect(await discoverAuthorizationServer(full.deps, AS)).toEqual(
        await discoverAuthorizationServer(bare.deps, AS),
      )
    },
  )
})

describe('an issuer', () => {
  it.each([
    ['https://as.example', 'https://as.example/', true],
    ['https://as.example/', 'https://as.example', true],
    ['https://as.example:8443', 'https://as.example:8443/', true],
    ['https://as.example', 'https://as.example', true],
    ['https://as.example/t', 'https://as.example/t/', false],
    ['https://as.example', 'https://as.example//', false],
    ['https://as.example', 'https://as.example/?', false],
    ['https://as.example', 'https://AS.example', false],
    ['https://as.example', 'https://AS.example/', false],
    ['https://as.example', 'https://as.example:443', false],
    ['https://as.example', 'https://as.example:443/', false],
    ['https://as.example', 'http://as.example/', false],
    ['https://as.example', 'https://as.example.evil.example/', false],
    ['https://as.example?', 'https://as.example?/', false],
    ['https://as.example#', 'https://as.example#/', false],
    ['as.example', 'as.example/', false],
    ['', '/', false],
  ])('%j and %j are the same: %s', (one, other, expected) => {
    expect(isSameIssuer(one, other)).toBe(expected)
    expect(isSameIssuer(other, one)).toBe(expected)
  })

  it.each([
    [`${AS}/`, AS],
    [AS, `${AS}/`],
  ])(
    'named %s is found as %s, and called what its own document calls it',
    async (named, stated) => {
      const { deps } = web({
        [INSERTED]: { ...PRM, authorization_servers: [named] },
        [OAUTH]: metadata(stated),
      })
      const plan = await discoverGrantPlan(deps, TARGET, undefined)
      expect(plan.server.issuer).toBe(stated)
    },
  )
})

describe('plain http', () => {
  const LAN = 'http://10.0.0.5'
  const lan = () =>
    web({
      [`${LAN}/.well-known/oauth-protected-resource/mcp`]: {
        resource: `${LAN}/mcp`,
        authorization_servers: [LAN],
      },
      [`${LAN}/.well-known/oauth-authorization-server`]: {
        ...metadata(LAN),
        authorization_endpoint: `${LAN}/authorize`,
        token_endpoint: `${LAN}/token`,
      },
    })
  const target = { kind: 'server', url: new URL(`${LAN}/mcp`) } as const

  it('to another machine is refused for every step of a sign-in', async () => {
    await expect(discoverGrantPlan(lan().deps, target, undefined)).rejects.toThrow(
      'does not use https',
    )
  })

  it('is taken where the user allows it', async () => {
    const plan = await discoverGrantPlan({ ...lan().deps, allowHttp: true }, target, undefined)
    expect(plan.server.tokenEndpoint).toBe(`${LAN}/token`)
  })

  it('is no way from the internet into an inner network, even then', async () => {
    const { deps } = web({ [OAUTH]: metadata(AS, { token_endpoint: 'http://10.0.0.5/token' }) })
    await expect(discoverAuthorizationServer({ ...deps, allowHttp: true }, AS)).rejects.toThrow(
      'private network',
    )
  })
})
