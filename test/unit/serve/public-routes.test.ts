import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import {
  createPublicRoutes,
  type PublicEndpoint,
  type PublicRoutesOptions,
} from '../../../src/serve/public-routes.js'

const ISSUER = 'https://api.descope.example/v1/apps/P1'
type Descope = NonNullable<PublicEndpoint['descope']>
type Change = Partial<PublicRoutesOptions> & Partial<PublicEndpoint>

function descope(change: Partial<Descope> = {}): Descope {
  return {
    issuer: () => ISSUER,
    document: (kind) => Promise.resolve({ issuer: ISSUER, kind }),
    scopesSupported: () => ['tools:read'],
    dpop: 'off',
    keysState: () => 'ok',
    ...change,
  }
}

function routes(change: Change = {}) {
  const { path = '/mcp', resource = 'https://p.example/mcp' } = change
  return createPublicRoutes({
    endpoints: [
      {
        ...{ target: undefined, path, resource },
        descope: 'descope' in change ? change.descope : descope(),
      },
    ],
    targets: [{ name: 'docs', state: 'ok' }],
    frontUrl: resource.slice(0, resource.length - path.length),
    isDraining: () => false,
    offers: () => [],
    ...change,
  })
}

async function get(path: string, change: Change = {}) {
  const route = routes(change).get(path)
  if (route === undefined) throw new Error(`there is no route ${path}`)
  return new Promise<{ status: number; headers: Record<string, string>; body: string }>((done) => {
    let head = { status: 0, headers: {} }
    const response = {
      writeHead(status: number, given: readonly string[] | Record<string, string>) {
        const list = Array.isArray(given) ? (given as string[]) : Object.entries(given).flat()
        const pairs = list.flatMap((name, i) => (i % 2 === 0 ? [[name, String(list[i + 1])]] : []))
        head = { status, headers: Object.fromEntries(pairs) }
      },
      end: (body: string) => done({ ...head, body }),
    }
    route.handle({} as IncomingMessage, response as unknown as ServerResponse)
  })
}

describe('the routes without a token', () => {
  it('are these and no others', () => {
    const wellKnown = ['protected-resource', 'authorization-server'].map((name) => `oauth-${name}`)
    const documents = [...wellKnown, 'openid-configuration'].flatMap((name) => [
      `/.well-known/${name}`,
      `/.well-known/${name}/mcp`,
    ])
    expect([...routes().keys()].sort()).toEqual(['/', '/healthz', '/readyz', ...documents].sort())
    expect([...routes({ descope: undefined }).keys()].sort()).toEqual(['/', '/healthz', '/readyz'])
  })

  it('answer under any Host for health checks only', () => {
    const open = [...routes()].filter(([, { anyHost }]) => anyHost).map(([path]) => path)
    expect(open).toEqual(['/healthz', '/readyz'])
  })

  it('[rfc9728-3.1] stand at the path of the public URL and at our own', () => {
    const paths = [...routes({ resource: 'https://p.example/base/mcp' }).keys()]
    for (const suffix of ['', '/mcp', '/base/mcp']) {
      expect(paths).toContain(`/.well-known/oauth-protected-resource${suffix}`)
    }
    const atRoot = [...routes({ resource: 'https://p.example/', path: '/' }).keys()]
    expect(atRoot.filter((path) => path.includes('protected-resource'))).toHaveLength(1)
  })
})

describe('the metadata of the resource', () => {
  it.each(['', '/mcp'])('[mcp-authz-r1] [mcp-authz-r3] names the issuer at %j', async (suffix) => {
    const { status, headers, body } = await get(`/.well-known/oauth-protected-resource${suffix}`)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'access-control-allow-origin': '*',
      'content-length': String(Buffer.byteLength(body)),
    })
    expect(JSON.parse(body)).toEqual({
      resource: 'https://p.example/mcp',
      authorization_servers: [ISSUER],
      scopes_supported: ['tools:read'],
      bearer_methods_supported: ['header'],
      resource_name: 'docs',
    })
  })

  it('[rfc9728-2] leaves out scopes that there are none of', async () => {
    const none = descope({ scopesSupported: () => [] })
    const { body } = await get('/.well-known/oauth-protected-resource', { descope: none })
    expect(JSON.parse(body)).not.toHaveProperty('scopes_supported')
  })
})

describe('the documents of the authorization server', () => {
  it.each(['oauth-authorization-server', 'openid-configuration'])(
    'are passed on: %s',
    async (kind) => {
      const { status, body } = await get(`/.well-known/${kind}/mcp`)
      expect(status).toBe(200)
      expect(JSON.parse(body)).toEqual({ issuer: ISSUER, kind })
    },
  )

  it.each([
    ['are not known', () => Promise.resolve(undefined)],
    ['cannot be had', () => Promise.reject(new Error('https://secret.example'))],
  ])('are a 503 when they %s', async (_title, document) => {
    const { status, headers, body } = await get('/.well-known/openid-configuration', {
      descope: descope({ document }),
    })
    expect(status).toBe(503)
    expect(headers).toMatchObject({ 'retry-after': '5', 'cache-control': 'no-store' })
    expect(body).not.toContain('secret')
  })
})

describe('the health checks', () => {
  it('say that the process lives, whatever else is wrong', async () => {
    const change = {
      descope: descope({ dpop: 'off', keysState: () => 'missing' }),
      isDraining: () => true,
    }
    expect(await get('/healthz', change)).toMatchObject({ status: 200, body: '{"ok":true}' })
  })

  it.each<[string, Change, number, boolean]>([
    ['all is well', {}, 200, true],
    [
      'keys are missing',
      { descope: descope({ dpop: 'off', keysState: () => 'missing' }) },
      503,
      false,
    ],
    ['keys are old', { descope: descope({ dpop: 'off', keysState: () => 'stale' }) }, 200, true],
    ['it drains', { isDraining: () => true }, 503, false],
    ['a target is down', { targets: [{ name: 'docs', state: 'down' }] }, 200, true],
    ['there is no authentication', { descope: undefined }, 200, true],
  ])('say whether it takes requests when %s', async (_title, change, status, ready) => {
    const answer = await get('/readyz', change)
    expect(answer.status).toBe(status)
    const [target] = change.targets ?? [{ name: 'docs', state: 'ok' }]
    expect(JSON.parse(answer.body)).toMatchObject({ ready, targets: { docs: target?.state } })
  })
})

describe('the landing page', () => {
  it('is HTML with its length in bytes', async () => {
    const { status, headers, body } = await get('/', { targets: [{ name: 'Grüße', state: 'ok' }] })
    expect(status).toBe(200)
    expect(headers['content-type']).toContain('text/html')
    expect(headers['content-length']).toBe(String(Buffer.byteLength(body)))
    expect(body).toContain('Grüße')
  })
})
