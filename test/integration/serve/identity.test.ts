import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { TargetInput } from '../../../src/config/types.js'
import type { JsonObject } from '../../../src/util/json.js'
import { readMessage, type Stack, type StackOptions, startStack } from '../../helpers/stack.js'
import { realClock } from '../../helpers/targets/clock.js'
import { echoProgram } from '../../helpers/targets/echo-program.js'
import { startModernTarget } from '../../helpers/targets/modern.js'
import { connectAs } from '../../helpers/targets/programs.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSseTarget } from '../../helpers/targets/sse-v1.js'

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const ED = generateKeyPairSync('ed25519').privateKey
const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }).toString()
const jwk = (key: KeyObject, more = {}) =>
  JSON.stringify({ ...key.export({ format: 'jwk' }), ...more })

const CALL = {
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'echo', arguments: {} },
}
const FORGED = {
  'X-User-Claims': '{"sub":"forged"}',
  'x-user-jwt': 'forged',
  X_User_Claims: '{"sub":"forged"}',
  X_USER_JWT: 'forged',
  'x-who': 'forged',
  X_Who: 'forged',
}

let target: RecordingTarget
beforeAll(async () => {
  target = await startRecordingTarget({ sessions: 'required' })
})
afterAll(() => target.close())

async function stackWith(
  identity: TargetInput['identity'],
  { config, ...more }: Partial<StackOptions> & { target?: TargetInput } = {},
): Promise<Stack> {
  target.clear()
  const stack = await startStack({
    targets: { notes: { url: target.url, prefix: '', identity, ...more.target } },
    ...more,
    ...(config && { config }),
  })
  onTestFinished(async () => {
    await stack.close()
    // a session that was opened for one call is ended behind its answer
    await expect.poll(() => target.openSockets).toBe(0)
  })
  return stack
}

const headersNamed = (name: string) =>
  target.requests.map(({ headers }) => headers[name] as string | undefined)

const sent = () => target.requests.flatMap(({ rawHeaders }) => rawHeaders).join('\n')

async function callAs(stack: Stack, claims: Record<string, unknown>, headers = {}) {
  const authorization = `Bearer ${await stack.token(claims)}`
  return readMessage(await stack.post(CALL, { authorization, ...FORGED, ...headers }))
}

describe('a target that is told nothing', () => {
  it('gets no header about the caller, and there is no key set', async () => {
    const stack = await stackWith(undefined)
    await callAs(stack, { sub: 'U1' })
    expect(target.requests.length).toBeGreaterThan(0)
    expect(sent()).not.toMatch(/x.user|forged|x.who/i)
    expect((await fetch(`${stack.origin}/.well-known/jwks.json`)).status).toBe(401)
  })
})

describe('identity by claims', () => {
  it('is compact JSON in ASCII in X-User-Claims of every request, and nothing of the client passes', async () => {
    const stack = await stackWith({
      method: 'claims',
      claims: ['sub', 'tenant', 'roles', 'email', 'team'],
    })
    const claims = {
      ...{ sub: 'Uß\u{1F600}\u007f', dct: 'T1', tenants: { T1: { roles: ['admin'] } } },
      ...{ roles: ['user'], email: 'a@example.com', team: { lead: 'Żółć' } },
    }
    await callAs(stack, claims)
    const values = headersNamed('x-user-claims')
    expect(target.requests.map(({ rpc }) => rpc)).toContain('initialize')
    expect(values.length).toBeGreaterThan(1)
    expect(new Set(values).size).toBe(1)
    expect(values[0]).toMatch(/^[ -~]+$/)
    expect(values[0]).not.toMatch(/[:,] /)
    expect(JSON.parse(values[0] ?? '')).toEqual({
      ...{ sub: claims.sub, tenant: 'T1', roles: ['user', 'admin'] },
      ...{ email: 'a@example.com', team: claims.team },
    })
    expect(sent()).not.toContain('forged')
  })

  it('tells sub, tenant, roles, permissions, scope and client_id where nothing else is asked', async () => {
    const stack = await stackWith({ method: 'claims' })
    const more = { scope: 'a b', azp: 'client-1', permissions: ['p'] }
    await callAs(stack, { sub: 'U1', dct: 'T1', ...more, email: 'not told' })
    expect(JSON.parse(headersNamed('x-user-claims')[0] ?? '')).toEqual({
      ...{
        sub: 'U1',
        tenant: 'T1',
        roles: [],
        permissions: ['p'],
        scope: 'a b',
        client_id: 'client-1',
      },
    })
  })

  it('goes in a header of the configured name, and no variant of that name passes', async () => {
    const stack = await stackWith({ method: 'claims', claims: ['sub'], header: 'X-Who' })
    await callAs(stack, { sub: 'U1' })
    expect(headersNamed('x-who')[0]).toBe('{"sub":"U1"}')
    expect(sent()).not.toContain('forged')
  })

  it('refuses a call whose claims are larger than 4 KB, and names the setting', async () => {
    const stack = await stackWith({ method: 'claims', claims: ['sub', 'big'] })
    const answer = await callAs(stack, { sub: 'U1', big: 'ü'.repeat(1000) })
    expect(answer.error.message).toMatch(/take 6\d\d\d bytes, and at most 4096/)
    expect(answer.error.message).toContain('targets.notes.identity.claims')
    expect(target.requests).toEqual([])
  })

  it('makes lists that differ by caller, which nobody else gets while the target is away', async () => {
    const own = await startRecordingTarget({
      handlers: {
        'tools/list': (_params, { request }) => {
          const { sub } = JSON.parse(String(request.headers['x-user-claims']))
          return { tools: [{ name: `of_${sub}`, inputSchema: { type: 'object' } }] }
        },
      },
    })
    const stack = await startStack({
      targets: {
        own: { url: own.url, identity: { method: 'claims', claims: ['sub'] } },
        notes: target.url,
      },
    })
    onTestFinished(() => stack.close())
    const list = async (sub: string) => {
      const authorization = `Bearer ${await stack.token({ sub })}`
      const message = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
      return JSON.stringify(await readMessage(await stack.post(message, { authorization })))
    }
    expect(await list('UA')).toContain('own_of_UA')
    await own.close()
    expect(await list('UB')).toContain('notes_')
    expect(await list('UB')).not.toContain('own_of_UA')
  })

  it('is of each caller alone, in concurrent calls too', async () => {
    const stack = await stackWith({ method: 'claims', claims: ['sub'] })
    const subjects = Array.from({ length: 20 }, (_, at) => `U${at}`)
    const tokens = await Promise.all(subjects.map((sub) => stack.token({ sub })))
    await Promise.all(
      tokens.map((token, at) => {
        const params = { name: 'echo', arguments: { who: subjects[at] } }
        return stack.post({ ...CALL, params }, { authorization: `Bearer ${token}` })
      }),
    )
    const calls = target.of('tools/call').filter(({ sessionId }) => sessionId !== undefined)
    expect(calls).toHaveLength(20)
    for (const { headers, message } of calls) {
      const told = JSON.parse(String(headers['x-user-claims']))
      expect(message).toMatchObject({ params: { arguments: { who: told.sub } } })
    }
  })
})

describe('identity by JWT', () => {
  it.each([
    ['ES256', pem(EC)],
    ['RS256', pem(RSA)],
    ['EdDSA', pem(ED)],
    ['ES256', jwk(EC, { kid: 'one' })],
    ['PS256', jwk(RSA, { alg: 'PS256', use: 'sig' })],
    ['ES256', EC.export({ format: 'pem', type: 'sec1' }).toString()],
    ['RS256', RSA.export({ format: 'pem', type: 'pkcs1' }).toString().replaceAll('\n', '\\n')],
  ])(
    'is signed with %s and checked with the key set, which has public members only',
    async (alg, key) => {
      const stack = await stackWith({ method: 'jwt' }, { config: { identity: { key } } })
      const keySet = new URL('/.well-known/jwks.json', stack.origin)
      await callAs(stack, { sub: 'U1', roles: ['admin'] })
      const [jwt] = headersNamed('x-user-jwt')
      const issuer = stack.server.resource.replace(/\/mcp$/, '')
      const { payload, protectedHeader } = await jwtVerify(jwt ?? '', createRemoteJWKSet(keySet), {
        ...{ issuer, audience: target.url, algorithms: [alg] },
      })
      expect(payload).toMatchObject({
        sub: 'U1',
        roles: ['admin'],
        jti: expect.stringMatching(/./),
      })
      expect(protectedHeader).toMatchObject({ alg, kid: expect.stringMatching(/./) })
      const answer = await fetch(keySet)
      expect(answer.headers.get('content-type')).toBe('application/json')
      const { keys } = (await answer.json()) as { keys: JsonObject[] }
      expect(keys).toHaveLength(1)
      expect(keys[0]).toMatchObject({ alg, use: 'sig', kid: protectedHeader.kid })
      for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'oth'])
        expect(keys[0]).not.toHaveProperty(name)
      expect(stack.logText()).not.toContain(jwt)
    },
  )

  it('is signed once per caller and minute, by a caller of its own for each token', async () => {
    let now = Date.now()
    const clock = { ...realClock, now: () => now }
    const stack = await stackWith({ method: 'jwt' }, { clock })
    const [alice, bob] = await Promise.all(['UA', 'UB'].map((sub) => stack.token({ sub })))
    const post = (token?: string) => stack.post(CALL, { authorization: `Bearer ${token}` })
    for (let call = 0; call < 3; call++) await Promise.all([post(alice), post(bob)])
    const first = new Set(headersNamed('x-user-jwt'))
    expect(first.size).toBe(2)
    expect([...first].map((jwt) => decodeJwt(jwt ?? '').sub).sort()).toEqual(['UA', 'UB'])
    now += 61_000
    target.clear()
    await post(alice)
    const later = String(target.of('tools/call').at(-1)?.headers['x-user-jwt'])
    expect(first.has(later)).toBe(false)
    expect(decodeJwt(later).jti).toMatch(/./)
  })

  it('ends after 300 seconds at most, and no later than the token', async () => {
    const now = Math.floor(Date.now() / 1000)
    const clock = { ...realClock, now: () => now * 1000 }
    const stack = await stackWith({ method: 'jwt' }, { clock })
    await callAs(stack, { sub: 'U1', exp: now + 40 })
    await callAs(stack, { sub: 'U2', exp: now + 4_000 })
    // ended, and still taken
    await callAs(stack, { sub: 'U3', exp: now - 2 })
    const ends = new Map(
      headersNamed('x-user-jwt').map((jwt) => {
        const { sub, exp = 0, iat = 0 } = decodeJwt(jwt ?? '')
        return [sub, { exp, life: exp - iat }]
      }),
    )
    expect(ends.get('U1')?.exp).toBe(now + 40)
    expect(ends.get('U2')?.life).toBe(300)
    expect(ends.get('U3')).toEqual({ exp: now - 2, life: 0 })
  })

  it('names the public URL, without the path of the endpoint, and keys are found below it', async () => {
    const config = { server: { publicUrl: 'https://mcp.example.com/base', path: '/rpc' } }
    const stack = await stackWith({ method: 'jwt' }, { config })
    const host = { host: 'mcp.example.com' }
    const { request } = await import('undici')
    const get = (path: string) => request(new URL(path, stack.origin), { headers: host })
    for (const path of ['/.well-known/jwks.json', '/base/.well-known/jwks.json']) {
      expect((await get(path)).statusCode).toBe(200)
    }
    const headers = {
      ...{
        ...host,
        authorization: `Bearer ${await stack.token()}`,
        'content-type': 'application/json',
      },
      accept: 'application/json, text/event-stream',
    }
    await request(stack.url, { method: 'POST', headers, body: JSON.stringify(CALL) })
    expect(decodeJwt(headersNamed('x-user-jwt')[0] ?? '').iss).toBe('https://mcp.example.com/base')
  })

  it('publishes earlier keys too, of a private key the public part', async () => {
    const previousKeys = [pem(RSA), jwk(ED)]
    const stack = await stackWith(
      { method: 'jwt' },
      { config: { identity: { key: pem(EC), previousKeys } } },
    )
    const body = await (await fetch(`${stack.origin}/.well-known/jwks.json`)).text()
    const { keys } = JSON.parse(body) as { keys: JsonObject[] }
    expect(keys.map(({ alg }) => alg).sort()).toEqual(['ES256', 'EdDSA', 'RS256'])
    expect(body).not.toContain('"d"')
    await callAs(stack, {})
    const { kid } = decodeProtectedHeader(headersNamed('x-user-jwt')[0] ?? '')
    expect(keys.find((key) => key['kid'] === kid)).toMatchObject({ alg: 'ES256' })
  })

  it('is made anew for each target, and is for that target alone', async () => {
    const other = await startRecordingTarget()
    const identity = { method: 'jwt' } as const
    const stack = await startStack({
      targets: {
        notes: { url: target.url, identity },
        other: { url: other.url, identity },
        none: other.url,
      },
    })
    target.clear()
    const authorization = `Bearer ${await stack.token({ sub: 'U1' })}`
    await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }, { authorization })
    const audiences = (requests: typeof other.requests) =>
      new Set(
        requests
          .map(({ headers }) => headers['x-user-jwt'])
          .filter((jwt) => jwt !== undefined)
          .map((jwt) => decodeJwt(String(jwt)).aud),
      )
    expect(audiences(target.requests)).toEqual(new Set([target.url]))
    expect(audiences(other.requests)).toEqual(new Set([other.url]))
    expect(other.requests.some(({ headers }) => headers['x-user-jwt'] === undefined)).toBe(true)
    await stack.close()
    await other.close()
  })

  it('tells nobody when sign-in is off', async () => {
    const stack = await stackWith(
      { method: 'jwt' },
      { config: { server: { insecureNoAuth: true } } },
    )
    await stack.post(CALL, FORGED)
    expect(target.requests.length).toBeGreaterThan(0)
    expect(sent()).not.toMatch(/x-user|forged/i)
  })
})

describe('every way to a target tells who calls', () => {
  it('sessions, streams, notifications and their end', async () => {
    const stack = await stackWith({ method: 'jwt' })
    const { client, transport } = await connectAs(stack, 'U1')
    await target.until(({ method }) => method === 'GET')
    await client.listTools()
    await transport.terminateSession()
    await client.close()
    expect(target.requests.map(({ method }) => method)).toEqual(
      expect.arrayContaining(['POST', 'GET', 'DELETE']),
    )
    for (const jwt of headersNamed('x-user-jwt')) expect(decodeJwt(jwt ?? '').sub).toBe('U1')
  })

  it('HTTP+SSE: the stream and what is posted', async () => {
    const sse = await startSseTarget()
    const identity = { method: 'claims', claims: ['sub'] } as const
    const stack = await startStack({ targets: { notes: { url: sse.url, prefix: '', identity } } })
    const { client } = await connectAs(stack, 'U1')
    await client.listTools()
    await client.close()
    const seen = sse.requests.filter(
      ({ url, method }) => method === 'GET' || url.includes('messages'),
    )
    expect(seen.map(({ method }) => method)).toEqual(expect.arrayContaining(['GET', 'POST']))
    for (const { headers } of seen) expect(headers['x-user-claims']).toBe('{"sub":"U1"}')
    await stack.close()
    await sse.close()
  })

  it('a translated target, whose tools are not read again for each JWT', async () => {
    let now = Date.now()
    const clock = { ...realClock, now: () => now }
    const modern = await startModernTarget()
    const identity = { method: 'jwt' } as const
    const stack = await startStack({
      targets: { notes: { url: modern.url, prefix: '', identity } },
      clock,
    })
    const { client, call } = await connectAs(stack, 'U1')
    await client.listTools()
    await call('echo', { text: 'a', message: 'a' })
    now += 61_000
    modern.clear()
    await call('echo', { text: 'a', message: 'a' })
    expect(modern.of('tools/call')).toHaveLength(1)
    expect(modern.of('tools/list')).toHaveLength(0)
    for (const { headers } of modern.requests) {
      expect(decodeJwt(String(headers['x-user-jwt'])).sub).toBe('U1')
    }
    await client.close()
    await stack.close()
    await modern.close()
  })
})

describe('a program on stdio', () => {
  const NAME = 'mcp-descope-proxy/identity'

  async function linesFor(identity: TargetInput['identity'], meta: JsonObject) {
    const stack = await startStack({ targets: { notes: echoProgram({ prefix: '', identity }) } })
    onTestFinished(() => stack.close())
    const { client } = await connectAs(stack, 'U1')
    const result = await client.callTool({ name: 'lines', arguments: {}, _meta: meta })
    await client.close()
    const [{ text }] = result.content as [{ text: string }]
    const lines = (JSON.parse(text) as string[]).map((line) => JSON.parse(line))
    return { lines, stack, metas: lines.map(({ params }) => params?._meta) }
  }

  it('is told in _meta of every message, and what the client wrote there is gone', async () => {
    const forged = { [NAME]: { sub: 'forged' }, 'MCP-Descope-Proxy/Identity': 1, other: 12 }
    const { metas, lines } = await linesFor({ method: 'claims', claims: ['sub'] }, forged)
    expect(lines.map(({ method }) => method)).toEqual([
      ...['initialize', 'notifications/initialized', 'tools/call'],
    ])
    for (const meta of metas) expect(meta[NAME]).toEqual({ sub: 'U1' })
    expect(metas.at(-1)).toEqual({ other: 12, [NAME]: { sub: 'U1' } })
  })

  it('gets a JWT for itself as a text', async () => {
    const { metas, stack } = await linesFor({ method: 'jwt' }, {})
    const keySet = createRemoteJWKSet(new URL('/.well-known/jwks.json', stack.origin))
    const { payload } = await jwtVerify(metas.at(-1)[NAME], keySet, { audience: 'stdio:notes' })
    expect(payload.sub).toBe('U1')
  })

  it('that is told nothing does not get what a client wrote either', async () => {
    const { metas } = await linesFor(undefined, { [NAME]: { sub: 'forged' }, other: 12 })
    expect(metas.at(-1)).toEqual({ other: 12 })
  })
})
