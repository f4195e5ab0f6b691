import { describe, expect, it } from 'vitest'
import {
  discover,
  fetchDiscovery,
  parseConfigUrl,
  processDiscovery,
} from '../../../../src/auth/descope/discovery.js'
import {
  AGENTIC_PATH,
  createTestClock,
  discoveryDocument,
  type Handler,
  JWKS_PATH,
  listen,
  OAUTH_PATH,
  OPENID_PATH,
  OTHER_PROJECT,
  OTHER_SERVER,
  PROJECT,
  SERVER,
  sendJson,
  until,
} from '../support.js'

const BASE = 'https://api.descope.com'

const project = parseConfigUrl(`${BASE}${AGENTIC_PATH}`)

const URL_ASKED = project.discoveryUrls[0]

const process = (body: unknown, status = 200, extraIssuers: string[] = []) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return processDiscovery(
    { status, headers: new Headers(), text },
    URL_ASKED,
    project,
    extraIssuers,
  )
}

describe('processDiscovery', () => {
  it('reads what is needed and keeps the document as it is', () => {
    const document = discoveryDocument(BASE, { unknown_member: { a: 1 } })
    expect(process(document)).toEqual({
      document,
      issuer: project.issuer,
      jwksUri: `${BASE}${JWKS_PATH}`,
      jwksUriRefused: false,
      tokenEndpoint: `${BASE}/oauth2/v1/apps/agentic/${PROJECT}/${SERVER}/token`,
      scopesSupported: ['mcp:use', 'offline_access'],
    })
  })

  it.each([201, 400, 404, 500])('takes a document that comes with status %i', (status) => {
    expect(process(discoveryDocument(BASE), status).issuer).toBe(project.issuer)
  })

  it.each([`${BASE}/v1/apps/${PROJECT}`, `${BASE}/v1/apps/${PROJECT}/T2tenant`])(
    'accepts the issuer %s of the family',
    (issuer) => {
      expect(process(discoveryDocument(BASE, { issuer })).issuer).toBe(issuer)
    },
  )

  it('accepts the issuer that a configuration of the bare project names', () => {
    const bare = parseConfigUrl(`${BASE}/${PROJECT}`)
    const text = JSON.stringify(discoveryDocument(BASE, { issuer: bare.issuer }))
    const reply = { status: 200, headers: new Headers(), text }
    expect(processDiscovery(reply, bare.discoveryUrls[0], bare).issuer).toBe(bare.issuer)
  })

  it.each([
    `${BASE}/v1/apps/agentic/${PROJECT}/${OTHER_SERVER}`,
    `${BASE}/v1/apps/${OTHER_PROJECT}`,
    `https://evil.example${AGENTIC_PATH}`,
    `${BASE}${AGENTIC_PATH}/`,
    '',
  ])('refuses the issuer "%s"', (issuer) => {
    const refused = () => process(discoveryDocument(BASE, { issuer }))
    expect(refused).toThrow(
      expect.objectContaining({
        code: 'DISCOVERY_INVALID',
        message: `${URL_ASKED} names the issuer ${JSON.stringify(issuer)}`,
        hint: expect.stringContaining(project.issuer),
      }),
    )
    expect(process(discoveryDocument(BASE, { issuer }), 200, [issuer]).issuer).toBe(issuer)
  })

  it.each([
    'https://evil.example/jwks.json',
    `https://api.descope.com.evil.example${JWKS_PATH}`,
    `https://api.descope.com@evil.example${JWKS_PATH}`,
    `https://user:pw@api.descope.com${JWKS_PATH}`,
    `https://api.descope.com:8443${JWKS_PATH}`,
    `http://api.descope.com${JWKS_PATH}`,
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    'javascript:alert(1)',
    '/relative/jwks.json',
    '$(touch x)',
    '',
    7,
    null,
  ])('falls back to the own key set instead of %s', (jwks_uri) => {
    const document = discoveryDocument(BASE, { jwks_uri, token_endpoint: jwks_uri })
    expect(process(document)).toMatchObject({
      jwksUri: `${BASE}${JWKS_PATH}`,
      jwksUriRefused: true,
      tokenEndpoint: undefined,
    })
  })

  it('falls back without a word when no key set is named', () => {
    expect(process(discoveryDocument(BASE, { jwks_uri: undefined }))).toMatchObject({
      jwksUri: `${BASE}${JWKS_PATH}`,
      jwksUriRefused: false,
    })
  })

  it.each([
    { body: '', status: 500, code: 'ISSUER_UNREACHABLE', says: 'answered 500' },
    { body: '{}', status: 503, code: 'ISSUER_UNREACHABLE', says: 'answered 503' },
    { body: 'slow down', status: 429, code: 'ISSUER_UNREACHABLE', says: 'answered 429' },
    { body: '<html>', status: 200, code: 'DISCOVERY_INVALID', says: 'answers 200 without a disc' },
    { body: '[]', status: 200, code: 'DISCOVERY_INVALID', says: 'answers 200 without a disc' },
    { body: 'null', status: 200, code: 'DISCOVERY_INVALID', says: 'answers 200 without a disc' },
    { body: '{"issuer":1}', status: 200, code: 'DISCOVERY_INVALID', says: 'answers 200 without' },
    { body: '', status: 302, code: 'DISCOVERY_INVALID', says: 'redirects (302)' },
    { body: '', status: 404, code: 'DISCOVERY_INVALID', says: 'answers 404 without a discovery' },
    {
      body: '{"errorCode":"E074130","errorMessage":"Invalid \\u001b[31mid"}',
      status: 400,
      code: 'DISCOVERY_INVALID',
      says: 'answers 400: "E074130" "Invalid \\u001b[31mid"',
    },
  ])('answers $status $body with $code', ({ body, status, code, says }) => {
    expect(() => process(body, status)).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringContaining(`${URL_ASKED} ${says}`),
        hint: expect.any(String),
      }),
    )
  })
})

async function setUp(handler: Handler) {
  const server = await listen(handler)
  const clock = createTestClock()
  const runtime = { fetch, clock }
  return { ...server, clock, runtime, project: parseConfigUrl(`${server.base}${AGENTIC_PATH}`) }
}

describe('discover', () => {
  it('asks for the OpenID document and no more when that is there', async () => {
    const { base, runtime, project, requests } = await setUp((_request, response) =>
      sendJson(response, discoveryDocument(base)),
    )
    expect((await discover(runtime, project)).issuer).toBe(project.issuer)
    expect(requests.map(({ path }) => path)).toEqual([OPENID_PATH])
  })

  it('takes the OAuth document when only that is there', async () => {
    const { base, runtime, project } = await setUp((request, response) =>
      request.url === OAUTH_PATH
        ? sendJson(response, discoveryDocument(base))
        : sendJson(response, { errorCode: 'E1' }, 404),
    )
    expect((await discover(runtime, project)).issuer).toBe(project.issuer)
  })

  it('reports the first document when neither is there', async () => {
    const { base, runtime, project } = await setUp((_request, response) =>
      sendJson(response, {}, 404),
    )
    await expect(discover(runtime, project)).rejects.toMatchObject({
      code: 'DISCOVERY_INVALID',
      message: `${base}${OPENID_PATH} answers 404 without a discovery document`,
    })
  })

  it('does not follow redirects', async () => {
    const elsewhere = await listen((_request, response) => sendJson(response, {}))
    const { runtime, project } = await setUp((_request, response) => {
      response.writeHead(302, { location: elsewhere.base }).end()
    })
    await expect(discover(runtime, project)).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
    expect(elsewhere.requests).toEqual([])
  })

  it('stops reading a document without end', async () => {
    let written = 0
    const { runtime, project } = await setUp((_request, response) => {
      const more = () => {
        written += 65_536
        if (!response.destroyed) response.write('x'.repeat(65_536), more)
      }
      more()
    })
    await expect(discover(runtime, project)).rejects.toMatchObject({
      code: 'DISCOVERY_INVALID',
      message: expect.stringContaining('is too long for a discovery document'),
    })
    expect(written).toBeLessThan(50_000_000)
  })

  it('is unreachable when the server does not answer in time', async () => {
    const { runtime, project, clock, requests } = await setUp(() => {})
    const outcome = discover(runtime, project).catch((error: unknown) => error)
    await until(() => requests.length === 1)
    clock.advance(5_000)
    expect(await outcome).toMatchObject({
      code: 'ISSUER_UNREACHABLE',
      message: expect.stringContaining('did not answer: no complete answer within 5 s'),
    })
  })

  it('is unreachable when nobody listens, and says so without a query', async () => {
    const { base, runtime, project, close } = await setUp(() => {})
    await close()
    await expect(fetchDiscovery(runtime, project, 'openid-configuration')).rejects.toMatchObject({
      code: 'ISSUER_UNREACHABLE',
      message: `${base}${OPENID_PATH} did not answer: ECONNREFUSED`,
    })
  })
})
