import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import { createDescope } from '../../../src/auth/resource-server.js'
import type { TokenError } from '../../../src/auth/verify/token-error.js'
import type { DescopeConfig } from '../../../src/config/types.js'
import type { JsonObject } from '../../../src/util/json.js'
import {
  AGENTIC_PATH,
  accessClaims,
  createSigningKey,
  createTestClock,
  createTestLogger,
  discoveryDocument,
  type Handler,
  JWKS_PATH,
  listen,
  OAUTH_PATH,
  OPENID_PATH,
  PROJECT,
  SERVER,
  type SigningKey,
  sendJson,
  signToken,
  until,
} from './support.js'

const RESOURCE = 'https://proxy.example.com/mcp'

let key: SigningKey

/** Without chance, pauses are exact. */
beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(0)
})

beforeAll(async () => {
  key = await createSigningKey()
})

/** A small Descope: documents and keys, unless `answer` is exchanged. */
function emulate(base: () => string, overrides: JsonObject = {}): Handler {
  return (request, response) => {
    if (request.url === JWKS_PATH) return sendJson(response, { keys: [key.jwk] })
    if (request.url?.startsWith(AGENTIC_PATH)) {
      return sendJson(response, discoveryDocument(base(), overrides))
    }
    return sendJson(response, { errorCode: 'E1' }, 404)
  }
}

async function setUp(settings: Partial<DescopeConfig> = {}, overrides: JsonObject = {}) {
  const good: Handler = (...both) => emulate(() => server.base, overrides)(...both)
  const state = { answer: good }
  const server = await listen((request, response) => state.answer(request, response))
  const clock = createTestClock()
  const logger = createTestLogger()
  const descope = createDescope({
    runtime: { fetch, clock },
    config: {
      configUrl: `${server.base}${AGENTIC_PATH}`,
      audience: [],
      requiredScopes: [],
      issuers: [],
      ...settings,
    },
    resource: RESOURCE,
    logger,
  })
  const token = (claims: JsonObject = {}) => signToken(key, accessClaims(server.base, claims))
  const paths = () => server.requests.map(({ path }) => path)
  const down: Handler = (_request, response) => void response.writeHead(503).end()
  return { descope, server, clock, logger, token, paths, state, good, down }
}

describe('Descope when it answers', () => {
  it('is ready after start and knows its tokens', async () => {
    const { descope, token, paths, logger } = await setUp()
    expect(descope.keysState()).toBe('missing')
    await descope.start()
    expect(descope.keysState()).toBe('ok')
    expect(paths()).toEqual([OPENID_PATH, JWKS_PATH])
    const first = (await descope.authenticate(await token())) as Principal
    expect(first.subject).toBe('U2user')
    expect(logger.records).toEqual([])
  })

  it('refuses what is no token of its own', async () => {
    const { descope, token } = await setUp({ requiredScopes: ['admin'] })
    await descope.start()
    const stranger = await createSigningKey(key.kid)
    const forged = await signToken(stranger, accessClaims('https://evil.example'))
    await expect(descope.authenticate(forged)).rejects.toMatchObject({ reason: 'wrong_issuer' })
    await expect(descope.authenticate('x')).rejects.toMatchObject({ reason: 'malformed' })
    await expect(descope.authenticate(await token())).rejects.toMatchObject({
      reason: 'insufficient_scope',
      scopes: ['admin'],
    })
  })

  it('fetches keys once for 10,000 tokens with unknown keys', async () => {
    const { descope, server, paths } = await setUp()
    await descope.start()
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = part(accessClaims(server.base))
    const reasons = new Set<string>()
    for (let round = 0; round < 100; round++) {
      const tokens = Array.from({ length: 100 }, (_, index) => {
        const header = part({ alg: 'RS256', kid: `${round}-${index}` })
        return `${header}.${claims}.eA`
      })
      const outcomes = await Promise.all(
        tokens.map((text) =>
          Promise.resolve(descope.authenticate(text)).catch((error: TokenError) => error.reason),
        ),
      )
      for (const outcome of outcomes) reasons.add(String(outcome))
    }
    expect(reasons).toEqual(new Set(['unknown_key']))
    expect(paths()).toEqual([OPENID_PATH, JWKS_PATH, JWKS_PATH])
  })

  it('accepts a listed issuer and a listed audience, and warns of the latter', async () => {
    const { descope, token, logger } = await setUp({ issuers: [PROJECT], audience: [PROJECT] })
    await descope.start()
    await expect(
      descope.authenticate(await token({ iss: PROJECT, aud: PROJECT })),
    ).resolves.toBeDefined()
    expect(logger.events()).toEqual(['audience_widened'])
  })

  it('advertises the issuer of the document and the scopes to ask for', async () => {
    const { descope, server } = await setUp()
    expect(descope.issuer()).toBe(`${server.base}${AGENTIC_PATH}`)
    expect(descope.scopesSupported()).toEqual([])
    await descope.start()
    expect(descope.issuer()).toBe(`${server.base}${AGENTIC_PATH}`)
    expect(descope.scopesSupported()).toEqual(['mcp:use'])
    await expect(descope.tokenEndpoint()).resolves.toBe(
      `${server.base}/oauth2/v1/apps/agentic/${PROJECT}/${SERVER}/token`,
    )
  })

  it('[mcp-authz-r13] advertises required scopes before what Descope offers', async () => {
    const { descope } = await setUp({ requiredScopes: ['tools:use'] })
    await descope.start()
    expect(descope.scopesSupported()).toEqual(['tools:use'])
  })

  it('uses its own key set and warns when the document names foreign keys', async () => {
    const foreign = await listen((_request, response) => sendJson(response, { keys: [] }))
    const { descope, token, logger } = await setUp({}, { jwks_uri: `${foreign.base}/jwks.json` })
    await descope.start()
    await expect(descope.authenticate(await token())).resolves.toBeDefined()
    expect(foreign.requests).toEqual([])
    expect(logger.events()).toEqual(['jwks_uri_refused'])
  })

  it('names no token endpoint outside Descope', async () => {
    const { descope } = await setUp({}, { token_endpoint: 'https://evil.example/token' })
    await descope.start()
    await expect(descope.tokenEndpoint()).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
  })
})

describe('Descope when it does not answer', () => {
  it('starts all the same, retries with growing pauses, and recovers', async () => {
    const { descope, clock, logger, token, paths, state, good, down } = await setUp()
    state.answer = down
    await descope.start()
    expect(logger.records[0]).toMatchObject({
      level: 'warn',
      event: 'descope_unreachable',
      message: expect.stringMatching(/answered 503; requests are refused with 503 until/),
    })
    await expect(descope.authenticate(await token())).rejects.toMatchObject({
      reason: 'keys_unavailable',
      status: 503,
    })
    for (const [index, pause] of [1, 2, 4, 8, 16, 30, 30].entries()) {
      clock.advance(pause * 1000 - 1)
      expect(paths()).toHaveLength(1 + index)
      clock.advance(1)
      await until(() => logger.events().length === 2 + index)
      expect(logger.events().at(-1)).toBe('descope_unavailable')
    }
    state.answer = good
    clock.advance(30_000)
    await until(() => descope.keysState() === 'ok')
    await until(() => logger.events().at(-1) === 'descope_ready')
    await expect(descope.authenticate(await token())).resolves.toBeDefined()
    expect(clock.waiting).toBe(0)
  })

  it('does not ask again for discovery when only the keys were missing', async () => {
    const { descope, clock, paths, state, good } = await setUp()
    state.answer = (request, response) =>
      request.url === JWKS_PATH ? void response.writeHead(500).end() : good(request, response)
    await descope.start()
    expect(descope.keysState()).toBe('missing')
    state.answer = good
    clock.advance(1_000)
    await until(() => descope.keysState() === 'ok')
    expect(paths()).toEqual([OPENID_PATH, JWKS_PATH, JWKS_PATH])
  })

  it('stops retrying when it is stopped', async () => {
    const { descope, clock, state, down, paths } = await setUp()
    state.answer = down
    await descope.start()
    descope.stop()
    clock.advance(600_000)
    expect(clock.waiting).toBe(0)
    expect(paths()).toHaveLength(1)
  })

  it('does not wait again when it is stopped during a retry', async () => {
    const { descope, clock, logger, state, down, paths } = await setUp()
    state.answer = down
    await descope.start()
    let answerNow = () => {}
    state.answer = (...both) => {
      answerNow = () => void down(...both)
    }
    clock.advance(1_000)
    await until(() => paths().length === 2)
    descope.stop()
    answerNow()
    await until(() => logger.events().includes('descope_unavailable'))
    expect(clock.waiting).toBe(0)
  })

  it.each([
    { name: 'a page', body: '<html>' },
    { name: 'another project', body: JSON.stringify(discoveryDocument('https://evil.example')) },
  ])('refuses to start on $name', async ({ body }) => {
    const { descope, state } = await setUp()
    state.answer = (_request, response) => void response.end(body)
    await expect(descope.start()).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
  })

  it('refuses to start on a key set without keys', async () => {
    const { descope, state, good } = await setUp()
    state.answer = (request, response) =>
      request.url === JWKS_PATH ? sendJson(response, { keys: [] }) : good(request, response)
    await expect(descope.start()).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
  })

  it('cannot be made without a configuration URL', () => {
    const make = () =>
      createDescope({
        runtime: { fetch, clock: createTestClock() },
        config: { configUrl: undefined, audience: [], requiredScopes: [], issuers: [] },
        resource: RESOURCE,
        logger: createTestLogger(),
      })
    expect(make).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

describe('the mirrored documents', () => {
  it('are what Descope sent, asked for once in 5 minutes', async () => {
    const { descope, clock, server, paths } = await setUp({}, { extra: { deep: [1] } })
    const documents = await Promise.all([
      descope.document('openid-configuration'),
      descope.document('openid-configuration'),
      descope.document('oauth-authorization-server'),
    ])
    const document = discoveryDocument(server.base, { extra: { deep: [1] } })
    expect(documents).toEqual([document, document, document])
    clock.advance(299_999)
    await descope.document('openid-configuration')
    expect(paths().toSorted()).toEqual([OAUTH_PATH, OPENID_PATH])
    clock.advance(1)
    await descope.document('openid-configuration')
    expect(paths()).toHaveLength(3)
  })

  it('stand for each other when Descope has only one', async () => {
    const { descope, state, good, server } = await setUp()
    state.answer = (request, response) =>
      request.url === OAUTH_PATH ? sendJson(response, {}, 404) : good(request, response)
    await expect(descope.document('oauth-authorization-server')).resolves.toEqual(
      discoveryDocument(server.base),
    )
  })

  it('outlive an outage, during which Descope is asked once in 30 s', async () => {
    const { descope, clock, state, down, paths, server } = await setUp()
    await descope.document('openid-configuration')
    state.answer = down
    clock.advance(300_000)
    for (let call = 0; call < 100; call++) {
      const document = await descope.document('openid-configuration')
      expect(document).toEqual(discoveryDocument(server.base))
    }
    expect(paths()).toHaveLength(2)
    clock.advance(30_000)
    await descope.document('openid-configuration')
    expect(paths()).toHaveLength(3)
  })

  it('are missing when Descope never answered', async () => {
    const { descope, state, down, paths } = await setUp()
    state.answer = down
    await expect(descope.document('openid-configuration')).resolves.toBeUndefined()
    await expect(descope.document('openid-configuration')).resolves.toBeUndefined()
    expect(paths().toSorted()).toEqual([OAUTH_PATH, OPENID_PATH])
  })
})
