import { describe, expect, it } from 'vitest'
import {
  corsHeaders,
  createAccess,
  type HeaderList,
  preflightHeaders,
} from '../../../src/serve/origins.js'

const PUBLIC = 'https://p.example:8443/mcp'

const config = { host: '0.0.0.0', allowedHosts: [] as string[], allowedOrigins: [] as string[] }

const access = (change: Partial<typeof config> = {}, publicUrl = PUBLIC, extra: string[] = []) =>
  createAccess({ ...config, ...change }, publicUrl, extra)

describe('the Host header', () => {
  it.each([
    ['p.example:8443', true],
    ['P.Example:8443', true],
    ['p.example', false],
    ['p.example:8444', false],
    ['evil.example', false],
    ['p.example:8443.evil.example', false],
    ['p.example:8443@evil.example', false],
    ['localhost', false],
    ['127.0.0.1:3000', false],
    ['', false],
    [undefined, false],
  ])('%j is let in: %s', (host, allowed) => {
    expect(access().allowsHost(host)).toBe(allowed)
  })

  it('has any port when the public URL names none', () => {
    const { allowsHost } = access({}, 'https://p.example/mcp')
    expect(['p.example', 'p.example:443', 'p.example:3000'].map(allowsHost)).toEqual([
      true,
      true,
      true,
    ])
  })

  it('is also one that is configured, or that the platform made', () => {
    const { allowsHost } = access({ allowedHosts: ['Inner.example'] }, PUBLIC, ['x.vercel.app'])
    expect(['inner.example:80', 'x.vercel.app', 'y.vercel.app'].map(allowsHost)).toEqual([
      true,
      true,
      false,
    ])
  })

  it.each(['127.0.0.1', 'localhost', '::1', '[::1]', '127.0.0.2'])(
    '[mcp-dns-rebinding] is a loopback name only while we listen on loopback: %s',
    (host) => {
      const names = ['localhost:3000', '127.0.0.1', '[::1]:3000', 'LOCALHOST', 'evil.example:3000']
      expect(names.map(access({ host }).allowsHost)).toEqual([true, true, true, true, false])
    },
  )
})

describe('loopback names', () => {
  it.each(['127.example.com', '127.0.0.1.example', 'localhost.example', '0.0.0.0', ''])(
    'are not let in while we listen on %j',
    (host) => {
      expect(access({ host }).allowsHost('localhost:3000')).toBe(false)
      expect(access({ host }).allowsOrigin('http://localhost:3000')).toBe(false)
    },
  )
})

describe('the Origin header', () => {
  it.each([
    [undefined, true],
    ['https://p.example:8443', true],
    ['https://p.example', false],
    ['http://p.example:8443', false],
    ['https://p.example:8443.evil.example', false],
    ['https://ok.example', true],
    ['https://not-ok.example', false],
    ['null', false],
    ['', false],
    ['*', false],
    ['http://localhost:3000', false],
  ])('[mcp-origin] %j is let in: %s', (origin, allowed) => {
    expect(access({ allowedOrigins: ['https://ok.example'] }).allowsOrigin(origin)).toBe(allowed)
  })

  it.each([
    ['http://localhost:3000', true],
    ['https://127.0.0.1', true],
    ['http://[::1]:8080', true],
    ['http://localhost.evil.example', false],
    ['http://127.0.0.1.evil.example', false],
    ['http://localhost@evil.example', false],
    ['file://localhost', false],
    ['localhost', false],
  ])('[mcp-origin] %j is let in while we listen on loopback: %s', (origin, allowed) => {
    expect(access({ host: '127.0.0.1' }).allowsOrigin(origin)).toBe(allowed)
  })
})

function fields(list: HeaderList): Record<string, string> {
  const pairs = list.flatMap((name, i) => (i % 2 === 0 ? [[name, list[i + 1] ?? '']] : []))
  return Object.fromEntries(pairs)
}

const allowed = (requested?: string) =>
  fields(preflightHeaders('https://a.example', requested))['access-control-allow-headers']?.split(
    ', ',
  )

describe('corsHeaders', () => {
  it('are none without an origin', () => {
    expect(corsHeaders(undefined)).toEqual([])
  })

  it('name the origin and let its pages read what they need', () => {
    const { vary, ...headers } = fields(corsHeaders('https://a.example'))
    expect(vary).toBe('Origin')
    expect(headers['access-control-allow-origin']).toBe('https://a.example')
    for (const name of ['WWW-Authenticate', 'Mcp-Session-Id', 'MCP-Protocol-Version']) {
      expect(headers['access-control-expose-headers']?.split(', ')).toContain(name)
    }
    expect(headers).not.toHaveProperty('access-control-allow-credentials')
  })
})

describe('preflightHeaders', () => {
  it('allow the methods and headers of all revisions', () => {
    expect(fields(preflightHeaders('https://a.example', undefined))).toMatchObject({
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
    })
    expect(allowed()).toEqual(
      expect.arrayContaining([
        'authorization',
        'content-type',
        'last-event-id',
        'mcp-protocol-version',
        'mcp-session-id',
        'mcp-method',
        'mcp-name',
      ]),
    )
  })

  it('allow the headers that are asked for by name, and no text that is none', () => {
    const extra = (requested: string) => allowed(requested)?.slice(allowed()?.length)
    expect(extra('Mcp-Param-Region,  mcp-param-a-1 ,x-evil, authorization')).toEqual([
      'mcp-param-region',
      'mcp-param-a-1',
      'x-evil',
    ])
    expect(extra('mcp-param-a b, mcp-param-\r\nset-cookie, mcp-param-é, a(b), ,')).toEqual([])
    expect(extra(`mcp-param-${'x'.repeat(120)}`)).toEqual([])
  })

  it('allow any origin when the request names none', () => {
    expect(fields(preflightHeaders(undefined, ''))['access-control-allow-origin']).toBe('*')
  })
})
