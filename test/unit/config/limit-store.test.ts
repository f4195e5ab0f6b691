import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../../src/config/load.js'
import { createPublicValue } from '../../../src/config/public-value.js'
import { createRedactor } from '../../../src/util/redact.js'
import { parseStoreUrl } from '../../../src/util/store-url.js'

const BASE = {
  server: { insecureNoAuth: true },
  targets: { t: { url: 'http://127.0.0.1:9000/mcp' } },
}

const load = (store: string) => resolveConfig(BASE, { env: { MCP_DESCOPE_LIMITS_STORE: store } })

describe('the store of limits', () => {
  it.each([
    ['redis://valkey', { host: 'valkey', port: 6379, isTls: false, db: 0 }],
    [
      'rediss://valkey.example.com:6380/3',
      { host: 'valkey.example.com', port: 6380, isTls: true, db: 3 },
    ],
    ['redis://[::1]:6379/', { host: '::1', port: 6379, db: 0 }],
    ['valkeys://me:p%40ss%2Fw@h', { host: 'h', isTls: true, username: 'me', password: 'p@ss/w' }],
    ['redis://:only@h', { username: undefined, password: 'only' }],
  ])('is read from %s', (url, expected) => {
    expect(load(url).config.limits.store).toBe(url)
    expect(parseStoreUrl(url)).toMatchObject(expected)
  })

  it.each([
    ['http://user:canary-password@h', /is no redis:\/\/ or rediss:\/\/ URL/],
    ['localhost:6379', /is no redis/],
    ['redis://', /names no host/],
    ['redis://:canary/password@h', /names no host.*%2F/],
    ['redis://h:99999', /no port up to 65535/],
    ['redis://h/canary-password', /path that is no number/],
    ['redis://h?password=canary-password', /has a query/],
    ['redis://:canary%password@h', /write it as %25/],
  ])('%s is refused, and says why without repeating it', (url, why) => {
    const problem = (() => {
      try {
        load(url)
      } catch (error) {
        return String(error)
      }
      return ''
    })()
    expect(problem).toMatch(why)
    expect(problem).toContain('env MCP_DESCOPE_LIMITS_STORE')
    expect(problem).not.toContain('canary')
  })

  it('has a password that no log and no report shows, however it is written', () => {
    const url = 'redis://:pass%20word%2Fwith%3Asigns@valkey.example.com'
    const loaded = load(url)
    const redact = createRedactor(loaded.secrets)
    expect(redact('AUTH pass word/with:signs failed')).not.toContain('with:signs')
    expect(redact(`cannot reach ${url}`)).not.toContain('with%3Asigns')
    const shown = createPublicValue({ secrets: new Set(loaded.secrets) })
    expect(shown('limits.store', url)).toBe('[redacted]')
  })
})
