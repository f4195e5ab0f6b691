import { describe, expect, it } from 'vitest'
import { proxyFor } from '../../../../src/upstream/http/network.js'

const P = 'http://proxy:3128'

describe('proxyFor', () => {
  it.each([
    ['https://a.example/mcp', { HTTPS_PROXY: P }, 'http://proxy:3128/'],
    [
      'https://a.example/mcp',
      { https_proxy: P, HTTPS_PROXY: 'http://other' },
      'http://proxy:3128/',
    ],
    ['https://a.example/mcp', { ALL_PROXY: P }, 'http://proxy:3128/'],
    ['https://a.example/mcp', { HTTPS_PROXY: 'proxy:3128' }, 'http://proxy:3128/'],
    ['https://a.example/mcp', { HTTP_PROXY: P }, undefined],
    ['http://a.example/mcp', { HTTP_PROXY: P }, 'http://proxy:3128/'],
    ['http://a.example/mcp', { HTTPS_PROXY: P }, undefined],
    ['https://a.example/mcp', { HTTPS_PROXY: 'socks5://proxy' }, undefined],
    ['https://a.example/mcp', { HTTPS_PROXY: '' }, undefined],
    ['https://localhost/mcp', { HTTPS_PROXY: P }, undefined],
    ['https://127.0.0.2:1/mcp', { ALL_PROXY: P }, undefined],
    ['https://[::1]/mcp', { ALL_PROXY: P }, undefined],
  ])('[bridge-proxy] finds for %s and %o the proxy %s', (url, env, expected) => {
    expect(proxyFor(new URL(url), env)?.href).toBe(expected)
  })

  it.each([
    ['a.example', true],
    ['example', true],
    ['.example', true],
    ['*.example', true],
    ['b.example, a.example', true],
    ['a.example:443', true],
    ['a.example:8443', false],
    ['.a.example', true],
    ['xa.example', false],
    ['ample', false],
    ['*', true],
    ['', false],
  ])('[bridge-proxy] reads NO_PROXY %j', (list, isExcepted) => {
    const found = proxyFor(new URL('https://a.example/'), { ALL_PROXY: P, NO_PROXY: list })
    expect(found === undefined).toBe(isExcepted)
  })
})
