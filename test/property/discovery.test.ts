import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { OAuthClient } from '../../src/auth/oauth/client.js'
import { discoverGrantPlan } from '../../src/auth/oauth/discover.js'
import { readBearerChallenge } from '../../src/auth/oauth/parse-challenge.js'
import { grantTimes, refreshGrant } from '../../src/auth/oauth/token-endpoint.js'
import { ProxyError } from '../../src/util/errors.js'
import { clock } from '../helpers/stack.js'

interface Page {
  readonly status: number
  readonly body: string
  readonly location: string | undefined
}

/** What the server answers, by the order of what it is asked. */
let pages: readonly Page[] = []

let asked = 0

const server = createServer((request, response) => {
  request.resume()
  const page = pages[asked % Math.max(1, pages.length)]
  asked += 1
  const headers = { 'content-type': 'application/json' }
  const location = page?.location === undefined ? {} : { location: page.location }
  response.writeHead(page?.status ?? 404, { ...headers, ...location }).end(page?.body ?? '')
})

await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** What was asked of others; they do not answer. */
let elsewhere: URL[] = []

const deps = {
  clock,
  fetch: (async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input))
    if (url.origin === origin) return fetch(input, init)
    elsewhere.push(url)
    throw new TypeError('fetch failed')
  }) satisfies typeof globalThis.fetch,
}

const url = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom(origin, `${origin}/`, `${origin}/mcp`, `${origin}/a?b#c`),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[
        'https://as.example',
        'http://as.example',
        'https://as.example/%00',
        'https://u:p@as.example',
      ],
      ...[
        'file:///etc/passwd',
        'javascript:alert(1)',
        'data:application/json,{}',
        'ftp://x',
        '//x/y',
      ],
      ...[
        'http://169.254.169.254/latest',
        'http://[::1]:1/',
        'https://10.0.0.1',
        'http://localhost:1',
      ],
      ...[
        'http://2130706433/',
        'http://0x7f.1/',
        'https://as.example:0',
        '/relative',
        '',
        '\u0000',
      ],
    ),
  },
  { weight: 1, arbitrary: fc.webUrl() },
  { weight: 1, arbitrary: fc.string() },
)

const scalar = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 1e308, 'S256', 'Bearer', 'none', 'code', ''),
  fc.string({ maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom('\u001b[2J', '\u0000', '\r\n', '"', '\\', '\ud800'),
    maxLength: 9,
  }),
)

const value = fc.oneof(
  scalar,
  url,
  fc.array(fc.oneof(url, scalar), { maxLength: 12 }),
  fc.jsonValue(),
)

const members = [
  ...['resource', 'authorization_servers', 'scopes_supported', 'issuer', 'authorization_endpoint'],
  ...['token_endpoint', 'registration_endpoint', 'revocation_endpoint', 'grant_types_supported'],
  ...['code_challenge_methods_supported', 'token_endpoint_auth_methods_supported', 'access_token'],
  ...[
    'token_type',
    'expires_in',
    'refresh_token',
    'scope',
    'error',
    'error_description',
    'errorCode',
  ],
  '__proto__',
]

/** Good in most of its members, so that more than the first check is reached. */
const good = {
  resource: `${origin}/mcp`,
  authorization_servers: [origin],
  issuer: origin,
  authorization_endpoint: `${origin}/authorize`,
  token_endpoint: `${origin}/token`,
  code_challenge_methods_supported: ['S256'],
  response_types_supported: ['code'],
}

const document = fc
  .array(fc.tuple(fc.constantFrom(...members), value), { maxLength: 4 })
  .chain((changes) =>
    fc.constantFrom(good, {}).map((base) => {
      const all = [...Object.entries(base), ...changes]
      return `{${all.map(([name, own]) => `${JSON.stringify(name)}:${JSON.stringify(own)}`).join(',')}}`
    }),
  )

const page: fc.Arbitrary<Page> = fc.record({
  status: fc.constantFrom(200, 200, 200, 200, 302, 307, 401, 404, 429, 500),
  body: fc.oneof(
    { weight: 6, arbitrary: document },
    { weight: 1, arbitrary: fc.json() },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        '[',
        '['.repeat(50_000),
        '{"a":'.repeat(50_000),
        '\ufeff{}',
        '<html>',
      ),
    },
  ),
  location: fc.option(
    url.map((text) => encodeURI(text.replace(/[\ud800-\udfff]/g, ''))),
    { nil: undefined },
  ),
})

const challenge = fc
  .tuple(url, url, fc.string({ maxLength: 20 }))
  .chain(([one, other, text]) =>
    fc.constantFrom(
      `Bearer resource_metadata="${one}"`,
      `Bearer resource_metadata=${one}, scope="${text}"`,
      `Basic realm="x", Bearer resource_metadata="${one}", resource_metadata="${other}"`,
      `Bearer error="${text}", Bearer resource_metadata="${one}"`,
      text,
      `Bearer ${`resource_metadata="${one}",`.repeat(500)}`,
    ),
  )

/** Neither may be talked to in the clear: what is asked there could come from anybody. */
const isSafe = ({ protocol, hostname }: URL) =>
  protocol === 'https:' || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)

/** A challenge names 4 places, 2 are guessed; 8 servers have 3 each; each may redirect 3 times. */
const MOST_REQUESTS = (4 + 2 + 8 * 3) * 4

/** The longest that anything of a foreign document may fill of an error. */
const MOST_TEXT = 5_000

async function expectOnlyProxyErrors(task: () => Promise<unknown>): Promise<unknown> {
  try {
    return await task()
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    expect(error.code).not.toBe('INTERNAL')
    expect(error.message.length).toBeLessThan(MOST_TEXT)
    return undefined
  }
}

describe('the OAuth client, whatever it is answered', () => {
  it('finds an authorization server or says why not, asks little, and nothing in the clear', async () => {
    let found = 0
    await fc.assert(
      fc.asyncProperty(fc.array(page, { maxLength: 5 }), challenge, async (answers, header) => {
        ;[pages, asked, elsewhere] = [answers, 0, []]
        const target = { kind: 'server', url: new URL(`${origin}/mcp`) } as const
        const read = readBearerChallenge(header)
        const plan = await expectOnlyProxyErrors(() => discoverGrantPlan(deps, target, read))
        expect(asked + elsewhere.length).toBeLessThanOrEqual(MOST_REQUESTS)
        for (const place of elsewhere)
          expect([place.href, isSafe(place)]).toEqual([place.href, true])
        if (plan === undefined) return
        found += 1
        const { server: described } = plan as Awaited<ReturnType<typeof discoverGrantPlan>>
        for (const endpoint of [
          described.authorizationEndpoint,
          described.tokenEndpoint,
          described.registrationEndpoint,
          described.revocationEndpoint,
          described.deviceAuthorizationEndpoint,
        ]) {
          if (endpoint !== undefined)
            expect([endpoint, isSafe(new URL(endpoint))]).toEqual([endpoint, true])
        }
      }),
      { numRuns: 250 },
    )
    expect(found).toBeGreaterThan(10)
    expect(Object.keys(Object.prototype)).toEqual([])
  }, 90_000)

  it('takes a token or says why not, and asks the token endpoint twice at most', async () => {
    const clients: OAuthClient[] = [
      { id: 'c', secret: undefined, authMethod: 'none', redirectUris: [], source: 'static' },
      {
        id: 'c',
        secret: 's',
        authMethod: 'client_secret_post',
        redirectUris: [],
        source: 'static',
      },
    ]
    const described = {
      ...{ issuer: origin, metadataUrl: undefined, authorizationEndpoint: `${origin}/authorize` },
      ...{ tokenEndpoint: `${origin}/token`, registrationEndpoint: undefined },
      ...{
        revocationEndpoint: undefined,
        deviceAuthorizationEndpoint: undefined,
        scopesSupported: [],
      },
      ...{
        grantTypes: [],
        tokenAuthMethods: [],
        clientIdMetadataDocuments: false,
        issInResponses: false,
      },
    }
    const answer = fc
      .tuple(page, fc.boolean(), document)
      .map(([given, withToken, rest]) => (withToken ? { ...given, body: tokenBody(rest) } : given))
    await fc.assert(
      fc.asyncProperty(
        fc.array(answer, { minLength: 1, maxLength: 2 }),
        fc.constantFrom(...clients),
        async (answers, client) => {
          ;[pages, asked, elsewhere] = [answers, 0, []]
          const request = { server: described, client, resource: undefined, refreshToken: 'r' }
          const grant = await expectOnlyProxyErrors(() => refreshGrant(deps, request))
          expect(asked).toBeLessThanOrEqual(2)
          expect(elsewhere).toEqual([])
          if (grant === undefined) return
          const { accessToken, expiresIn } = grant as Awaited<ReturnType<typeof refreshGrant>>
          expect(accessToken).toEqual(expect.any(String))
          expect(accessToken).not.toBe('')
          const { expiresAt } = grantTimes(0, { expiresIn })
          expect(expiresAt === undefined || Number.isSafeInteger(expiresAt)).toBe(true)
        },
      ),
      { numRuns: 300 },
    )
  }, 90_000)
})

const tokenBody = (rest: string) =>
  `${rest.slice(0, -1)}${rest === '{}' ? '' : ','}"access_token":"t"}`
