import { describe, expect, it } from 'vitest'
import { corsHeaders, type HeaderList, preflightHeaders } from '../../../src/serve/origins.js'

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
