import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { type RawRequest, send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const PAGE = 'https://app.example.com'
const WELL_KNOWN = '/.well-known/oauth-protected-resource'

let target: RecordingTarget
let stack: Stack
let authorization: string
beforeAll(async () => {
  target = await startRecordingTarget()
  stack = await startStack({
    targets: { target: { url: target.url, tools: { scopes: { secret: ['docs:write'] } } } },
    config: { server: { publicUrl: 'https://mcp.example.com', allowedOrigins: [PAGE] } },
  })
  authorization = `Bearer ${await stack.token()}`
})
afterEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await target.close()
})

const callOf = (name = 'target_echo') => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name, arguments: {} },
})

const ask = (path: string, options: RawRequest = {}) => send(stack.origin + path, options)

const callWith = (headers: Record<string, string>, at = stack) =>
  send(at.url, { body: callOf(), headers: { authorization, ...headers } })

describe('the Host header', () => {
  it.each([
    ['mcp.example.com', 200],
    ['MCP.example.com', 200],
    ['localhost', 200],
    ['localhost:1', 200],
    ['127.0.0.1:65535', 200],
    ['[::1]:80', 200],
    ['evil.example', 421],
    ['mcp.example.com.evil.example', 421],
    ['localhost.evil.example', 421],
    ['localhost@evil.example', 421],
    ['10.0.0.1', 421],
  ])('%s is answered with %i', async (host, status) => {
    expect((await callWith({ host })).status).toBe(status)
    expect(target.of('tools/call')).toHaveLength(status === 200 ? 1 : 0)
    expect((await ask(WELL_KNOWN, { method: 'GET', headers: { host } })).status).toBe(status)
    expect((await ask('/', { method: 'GET', headers: { host } })).status).toBe(status)
    expect((await ask('/healthz', { method: 'GET', headers: { host } })).status).toBe(200)
    expect((await ask('/readyz', { method: 'GET', headers: { host } })).status).toBe(200)
  })

  it('of the allowed hosts is let in, and loopback names only while bound to loopback', async () => {
    const open = await startStack({
      targets: { target: target.url },
      config: {
        server: {
          host: '0.0.0.0',
          publicUrl: 'https://mcp.example.com',
          allowedHosts: ['Inner.example.com'],
        },
      },
    })
    try {
      const token = { authorization: `Bearer ${await open.token()}` }
      const statusOf = async (headers: Record<string, string>) =>
        (
          await send(`http://127.0.0.1:${open.server.port}/mcp`, {
            body: callOf(),
            headers: { ...token, ...headers },
          })
        ).status
      expect(await statusOf({ host: 'mcp.example.com' })).toBe(200)
      expect(await statusOf({ host: 'inner.example.com' })).toBe(200)
      expect(await statusOf({ host: 'localhost' })).toBe(421)
      expect(await statusOf({ host: '127.0.0.1' })).toBe(421)
      const host = 'mcp.example.com'
      expect(await statusOf({ host, origin: 'http://localhost:3000' })).toBe(403)
      expect(await statusOf({ host, origin: 'https://mcp.example.com' })).toBe(200)
    } finally {
      await open.close()
    }
  })
})

describe('the Origin header', () => {
  it.each([
    'https://mcp.example.com',
    PAGE,
    'http://localhost:3000',
    'http://127.0.0.1:1',
    'http://[::1]:5',
    'https://localhost',
  ])('%s is let in and named in the answer', async (origin) => {
    const answer = await callWith({ origin })
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': origin,
      vary: 'Origin',
    })
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined()
  })

  it.each([
    'null',
    'https://evil.example',
    'http://mcp.example.com',
    'https://mcp.example.com.evil.example',
    'https://mcp.example.com:8443',
    'http://localhost.evil.example',
    'file://localhost',
    'chrome-extension://localhost',
    '*',
    'https://mcp.example.com/',
  ])('%s is refused, preflight too, and allowed nothing', async (origin) => {
    for (const answer of [
      await callWith({ origin }),
      await ask('/mcp', { method: 'GET', headers: { authorization, origin } }),
      await ask('/mcp', {
        method: 'OPTIONS',
        headers: { origin, 'access-control-request-method': 'POST' },
      }),
      await ask('/elsewhere', { method: 'GET', headers: { origin } }),
    ]) {
      expect(answer.status).toBe(403)
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
    expect(target.requests).toHaveLength(0)
  })
})

describe('a page of an allowed origin', () => {
  const REFUSALS: [number, string, RawRequest, string?][] = [
    [401, 'POST', { body: callOf(), headers: { authorization: '' } }],
    [401, 'POST', { body: callOf(), headers: { authorization: 'Bearer nonsense' } }],
    [403, 'POST', { body: callOf('target_secret') }],
    [404, 'POST', { body: callOf(), headers: { 'mcp-session-id': 'v1.unknown' } }],
    [404, 'GET', {}, '/elsewhere'],
    [401, 'GET', { headers: { authorization: '' } }, '/elsewhere'],
    [400, 'POST', { body: [] }],
    [405, 'PUT', { body: callOf() }],
    [415, 'POST', { body: callOf(), headers: { 'content-type': 'text/plain' } }],
  ]

  it.each(REFUSALS)('can read a %i to its %s', async (status, method, request, path = '/mcp') => {
    const headers = { authorization, origin: PAGE, ...request.headers }
    const answer = await ask(path, { ...request, method, headers })
    expect(answer.status).toBe(status)
    expect(answer.headers['access-control-allow-origin']).toBe(PAGE)
    expect(answer.headers.vary).toBe('Origin')
    expect(answer.headers['access-control-expose-headers']).toContain('WWW-Authenticate')
    expect(answer.headers['access-control-expose-headers']).toContain('Mcp-Session-Id')
  })

  it('can read the GET stream of a target that is down, and a 503 without keys', async () => {
    const identity = await startIdentity({ clock })
    const options = {
      identity,
      targets: { target: 'http://127.0.0.1:9/mcp' },
      config: { server: { publicUrl: 'https://mcp.example.com', allowedOrigins: [PAGE] } },
    }
    const get = async (at: Stack) => {
      const headers = { authorization: `Bearer ${await at.token()}`, origin: PAGE }
      const response = await fetch(at.url, { headers })
      void response.body?.cancel()
      return { status: response.status, headers: Object.fromEntries(response.headers) }
    }
    const up = await startStack(options)
    const unreachable = await get(up)
    await identity.close()
    const down = await startStack(options)
    const unready = await get(down)
    const nowhere = await send(new URL('/nowhere', down.url).href, {
      headers: { authorization: `Bearer ${await down.token()}`, origin: PAGE },
    })
    await down.close()
    await up.close()
    expect([unreachable.status, unready.status, nowhere.status]).toEqual([200, 503, 503])
    expect(unready.headers['retry-after']).toBe('5')
    for (const { headers } of [unreachable, unready]) {
      expect(headers['access-control-allow-origin']).toBe(PAGE)
    }
  })

  it('is told in the preflight what it may send, each header by its name', async () => {
    const answer = await ask('/mcp', {
      method: 'OPTIONS',
      headers: {
        origin: PAGE,
        'access-control-request-method': 'POST',
        'access-control-request-headers':
          'authorization, Mcp-Param-Region, mcp-param-tenant-id,X-Other, no name',
      },
    })
    expect(answer.status).toBe(204)
    expect(answer.headers['access-control-allow-origin']).toBe(PAGE)
    expect(answer.headers['access-control-allow-methods']).toBe('GET, POST, DELETE, OPTIONS')
    const allowed = String(answer.headers['access-control-allow-headers']).split(', ')
    for (const name of [
      ...['authorization', 'content-type', 'accept', 'last-event-id', 'mcp-protocol-version'],
      ...['mcp-session-id', 'mcp-method', 'mcp-name', 'mcp-param-region', 'mcp-param-tenant-id'],
    ]) {
      expect(allowed).toContain(name)
    }
    expect(allowed).toContain('x-other')
    expect(allowed).not.toContain('no name')
    expect(allowed).not.toContain('*')
  })
})

describe('the public routes', () => {
  const DOCUMENTS = ['oauth-protected-resource', 'oauth-authorization-server']
    .concat('openid-configuration')
    .flatMap((name) => [`/.well-known/${name}`, `/.well-known/${name}/mcp`])

  it.each([...DOCUMENTS, '/healthz', '/readyz'])('%s is open to every origin', async (path) => {
    const headers = { origin: 'https://anything.example' }
    const [get, head, options, post] = await Promise.all(
      ['GET', 'HEAD', 'OPTIONS', 'POST'].map((method) => ask(path, { method, headers })),
    )
    expect([get, head, options, post].map((answer) => answer?.status)).toEqual([200, 200, 204, 405])
    for (const answer of [get, head, options, post]) {
      expect(answer?.headers['access-control-allow-origin']).toBe('*')
    }
    expect(head?.body).toBe('')
    expect(head?.headers['content-length']).toBe(get?.headers['content-length'])
    expect(JSON.parse(get?.body ?? '')).toBeTypeOf('object')
  })

  it.each(['oauth-authorization-server', 'openid-configuration'])(
    "mirror Descope's %s",
    async (name) => {
      const own = (await (await fetch(`${stack.identity.issuer}/.well-known/${name}`)).json()) as {
        issuer: string
      }
      expect(own.issuer).toBe(stack.identity.issuer)
      for (const suffix of ['', '/mcp']) {
        const mirrored = await ask(`/.well-known/${name}${suffix}`, { method: 'GET' })
        expect(JSON.parse(mirrored.body)).toEqual(own)
      }
    },
  )

  it('have a page for people that can load nothing and lead nowhere', async () => {
    const { status, headers, body } = await ask('/', { method: 'GET' })
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('text/html; charset=utf-8')
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(body).toContain('<code>https://mcp.example.com/mcp</code>')
    // its one script is let through by its hash, as landing.test.ts proves
    expect(headers['content-security-policy']).toMatch(/script-src 'sha256-[^']+';/)
    expect(body.match(/<script/gi)).toHaveLength(1)
    expect(body).not.toMatch(/\ssrc=|\son\w+=/i)
  })

  it.each([
    '/.well-known/oauth-protected-resource/mcp/',
    '/.well-known/oauth-protected-resource/',
    '/.well-known/oauth-authorization-server/mcp/',
    '/.well-known/openid-configuration/mcp/',
  ])('include %s, as of a URL with a slash at its end', async (path) => {
    expect((await fetch(stack.origin + path)).status).toBe(200)
  })

  it.each([
    '/.well-known/oauth-protected-resource//',
    '/.well-known/oauth-protected-resource/other',
    '/.well-known/oauth-protected-resource/other/',
    '/.well-known//oauth-protected-resource',
    '/healthz/',
    '/HEALTHZ',
    '/mcp/../healthz',
    '/%6dcp',
    '/mcp//',
    '/metrics',
  ])('do not include %s', async (path) => {
    const { hostname, port } = new URL(stack.origin)
    const statusOf = (headers: string) =>
      raw(Number(port), `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n${headers}\r\n\r\n`)
    expect(await statusOf('Connection: close')).toMatch(/^HTTP\/1.1 401 /)
    const withToken = await statusOf(`Authorization: ${authorization}\r\nConnection: close`)
    expect(withToken).toMatch(/^HTTP\/1.1 404 /)
  })
})

describe('the public MCP URL', () => {
  it.each([
    ['http://localhost:8123', 'http://localhost:8123/mcp'],
    ['https://mcp.example.com/', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com//', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/mcp', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/mcp/', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/team-a', 'https://mcp.example.com/team-a/mcp'],
    ['https://mcp.example.com:8443/team-a/mcp/', 'https://mcp.example.com:8443/team-a/mcp'],
  ])('of %s is %s wherever it is named', async (publicUrl, resource) => {
    const front = await startStack({
      targets: { target: target.url },
      env: { SERVER_URL: publicUrl },
    })
    try {
      expect(front.server.resource).toBe(resource)
      const { status, headers } = await send(front.url, { body: callOf() })
      expect(status).toBe(401)
      const challenge = String(headers['www-authenticate'])
      const metadata = /resource_metadata="([^"]*)"/.exec(challenge)?.[1] ?? ''
      const { origin, pathname } = new URL(resource)
      expect(metadata).toBe(`${origin}${WELL_KNOWN}${pathname}`)
      for (const path of [new URL(metadata).pathname, WELL_KNOWN, `${WELL_KNOWN}/mcp`]) {
        const document = await send(front.origin + path, { method: 'GET' })
        expect(document.body).toContain(`"resource":"${resource}"`)
      }
    } finally {
      await front.close()
    }
  })

  it('is served with a trailing slash and a query too', async () => {
    for (const path of ['/mcp/', '/mcp?x=1', '/mcp/?x=1']) {
      expect((await ask(path, { body: callOf(), headers: { authorization } })).status).toBe(200)
      expect((await ask(path, { body: callOf() })).status).toBe(401)
    }
    expect(target.of('tools/call')).toHaveLength(3)
  })
})

/** Writes text to the server as it is; resolves with all that comes back until the end. */
function raw(port: number, text: string, patienceMs = 1_000): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(text))
    const timer = setTimeout(() => socket.destroy(), patienceMs)
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      resolve(answer)
    })
  })
}

describe('a request that two servers could cut differently', () => {
  const GOOD = JSON.stringify(callOf())
  const EVIL = GOOD.replace('"id":1', '"id":"smuggled"')
  const head = (framing: string, path = '/mcp') =>
    [
      `POST ${path} HTTP/1.1`,
      'Host: localhost',
      `Authorization: ${authorization}`,
      'Content-Type: application/json',
      framing,
    ].join('\r\n')
  const request = (body: string) => `${head(`Content-Length: ${body.length}`)}\r\n\r\n${body}`
  const chunked = (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`

  it('is told apart from two whole ones on one connection, which both pass', async () => {
    await raw(stack.server.port, request(GOOD) + request(EVIL), 500)
    expect(target.of('tools/call').map(({ message }) => message?.['id'])).toEqual([1, 'smuggled'])
  })

  const TE = 'Transfer-Encoding: chunked'
  it.each<[string, () => string]>([
    [
      'with Content-Length before Transfer-Encoding',
      () => {
        const rest = `0\r\n\r\n${request(EVIL)}`
        return `${head(`Content-Length: ${rest.length}\r\n${TE}`)}\r\n\r\n${rest}`
      },
    ],
    [
      'with Transfer-Encoding before Content-Length',
      () => `${head(`${TE}\r\nContent-Length: 4`)}\r\n\r\n${chunked(GOOD)}${request(EVIL)}`,
    ],
    [
      'with two different Content-Lengths',
      () =>
        `${head(`Content-Length: ${GOOD.length}\r\nContent-Length: ${GOOD.length + 1}`)}\r\n\r\n${GOOD}${request(EVIL)}`,
    ],
    [
      'with a list as Content-Length',
      () =>
        `${head(`Content-Length: ${GOOD.length}, ${GOOD.length}`)}\r\n\r\n${GOOD}${request(EVIL)}`,
    ],
    [
      'with a sign before its Content-Length',
      () => `${head(`Content-Length: +${GOOD.length}`)}\r\n\r\n${GOOD}${request(EVIL)}`,
    ],
    [
      'with a space before the colon',
      () => `${head(`Transfer-Encoding : chunked`)}\r\n\r\n${chunked(GOOD)}${request(EVIL)}`,
    ],
    [
      'with an unknown transfer coding',
      () =>
        `${head('Transfer-Encoding: xchunked\r\nContent-Length: 4')}\r\n\r\n${chunked(GOOD)}${request(EVIL)}`,
    ],
    [
      'with a coding after chunked',
      () =>
        `${head('Transfer-Encoding: chunked, identity')}\r\n\r\n${chunked(GOOD)}${request(EVIL)}`,
    ],
    [
      'with a chunk size that is no number',
      () => `${head(TE)}\r\n\r\n0x${chunked(GOOD)}${request(EVIL)}`,
    ],
    [
      'with a folded Transfer-Encoding',
      () =>
        `${head('Content-Length: 4\r\nTransfer-Encoding:\r\n chunked')}\r\n\r\n${chunked(GOOD)}${request(EVIL)}`,
    ],
  ])('%s is refused, and nothing in it passes', async (_title, textOf) => {
    const answer = await raw(stack.server.port, textOf())
    expect(answer).toMatch(/^HTTP\/1.1 400 /)
    expect(answer.match(/HTTP\/1.1/g)).toHaveLength(1)
    expect(target.requests).toHaveLength(0)
  })

  it.each([
    ['a refused token', () => head('Content-Length: 9999').replace(/Bearer .*/, 'Bearer x')],
    ['another path', () => head('Content-Length: 9999', '/elsewhere')],
    ['a foreign origin', () => head('Content-Length: 9999\r\nOrigin: https://evil.example')],
    ['the health check', () => head('Content-Length: 9999', '/healthz')],
  ])('is not read out of the body after %s', async (_title, headOf) => {
    const answer = await raw(stack.server.port, `${headOf()}\r\n\r\n${request(EVIL)}`, 300)
    expect(answer).toMatch(/^HTTP\/1.1 4/)
    expect(target.requests).toHaveLength(0)
  })
})

describe('the rate limit', () => {
  it('refuses what comes above it, per subject, and says when to try again', async () => {
    const limited = await startStack({
      targets: { target: target.url },
      config: { limits: { requestsPerMinute: 3 }, server: { allowedOrigins: [PAGE] } },
    })
    try {
      const answers = []
      for (let i = 0; i < 5; i++) answers.push(await limited.post(callOf(), { origin: PAGE }))
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429])
      const { headers } = answers[4] as Response
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60)
      expect(headers.get('access-control-allow-origin')).toBe(PAGE)
      expect(headers.get('access-control-expose-headers')).toContain('Retry-After')
      expect(target.of('tools/call')).toHaveLength(3)
      const other = { authorization: `Bearer ${await limited.token({ sub: 'Uother' })}` }
      expect((await limited.post(callOf(), other)).status).toBe(200)
    } finally {
      await limited.close()
    }
  })
})
