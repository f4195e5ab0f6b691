import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedactor } from '../../../src/util/redact.js'
import {
  likelyEndpoint,
  parseRequestTarget,
  shownUrl,
  showUrls,
  wellKnownPath,
} from '../../../src/util/url-text.js'

describe('what is shown of a URL', () => {
  it.each([
    ['https://mcp.example/mcp', 'https://mcp.example/mcp'],
    ['https://mcp.example/mcp?api_key=hidden', 'https://mcp.example/mcp'],
    ['https://mcp.example?hidden', 'https://mcp.example'],
    ['https://mcp.example/mcp#hidden', 'https://mcp.example/mcp'],
    ['https://mcp.example/mcp#x?hidden', 'https://mcp.example/mcp'],
    ['https://me:hidden@mcp.example:8443/a@b', 'https://mcp.example:8443/a@b'],
    ['https://me:hid@den@mcp.example/', 'https://mcp.example/'],
    ['https://mcp.example/?next=https://hidden', 'https://mcp.example/'],
    ['no URL?hidden', 'no URL'],
    ['', ''],
  ])('%j is %j', (url, shown) => {
    expect(shownUrl(url)).toBe(shown)
    if (URL.canParse(url)) expect(shownUrl(new URL(url))).toBe(shownUrl(new URL(shown)))
  })

  it.each([
    ['See https://a.example/x?k=hidden.', 'See https://a.example/x.'],
    ['(https://a.example/?k=hidden), then', '(https://a.example/), then'],
    ['"HTTPS://u:hidden@a.example/" <http://b/#hidden>', '"HTTPS://a.example/" <http://b/>'],
    ['login https://a.example/mcp?k=hidden`', 'login https://a.example/mcp`'],
    ['note://docs/a?k=1 and why?', 'note://docs/a?k=1 and why?'],
  ])('stands for it within a text: %j', (text, shown) => {
    expect(showUrls(text)).toBe(shown)
  })

  it('leaves JSON what it was', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const text = `${before}https://a.example/?k=${after}`
        expect(() => JSON.parse(createRedactor()(JSON.stringify({ text })))).not.toThrow()
      }),
      { numRuns: 500 },
    )
  })

  it('holds nothing of user name, password, query and fragment', () => {
    const part = fc.string({
      unit: fc.constantFrom('Q', 'Z', '%40', '=', '&', '%3F'),
      minLength: 1,
    })
    fc.assert(
      fc.property(part, part, part, part, (user, password, query, fragment) => {
        const url = `https://${user.replace(/[=&]/g, 'Q')}:${password.replace(/[=&]/g, 'Q')}@a.example/mcp?${query}#${fragment}`
        expect(createRedactor()(`at ${url}: ${url}`)).toBe(
          'at https://a.example/mcp: https://a.example/mcp',
        )
      }),
    )
  })
})

it.each([
  ['/', '/', ''],
  ['//', '//', ''],
  ['//evil.example/callback?a=1', '//evil.example/callback', 'a=1'],
  ['/callback?state=a&code=b', '/callback', 'state=a&code=b'],
  ['/callback?a=1#b', '/callback', 'a=1'],
  ['http://127.0.0.1:1/callback?a=1', '/callback', 'a=1'],
  ['http://[', '/', ''],
  ['http://?a=1', '/', 'a=1'],
  ['/%', '/%', ''],
  ['/?%zz=%', '/', '%25zz=%25'],
  ['/a/../b', '/a/../b', ''],
])('the request target %j has the path %j and the query %j', (target, path, query) => {
  const found = parseRequestTarget(target)
  expect(found?.path).toBe(path)
  expect(found?.query.toString()).toBe(query)
})

it.each([undefined, '', '*', 'example.com:443', 'ftp://a/b', 'x', `/${'a'.repeat(20_000)}`])(
  'the request target %j is none',
  (target) => expect(parseRequestTarget(target)).toBeUndefined(),
)

it.each([
  ['http://localhost:8000/mpc', 'http://localhost:8000/mcp'],
  ['https://a.example/v1/mcps/?k=1', 'https://a.example/v1/mcp'],
  ['https://a.example/', 'https://a.example/mcp'],
  ['https://a.example/docs', 'https://a.example/docs/mcp'],
  ['https://a.example/mcp/', undefined],
])('the endpoint that %s may stand for is %s', (url, expected) => {
  expect(likelyEndpoint(new URL(url))).toBe(expected)
})

describe('wellKnownPath', () => {
  it.each([
    ['oauth-protected-resource', '', '/.well-known/oauth-protected-resource'],
    ['oauth-protected-resource', '/', '/.well-known/oauth-protected-resource'],
    ['oauth-protected-resource', '/mcp', '/.well-known/oauth-protected-resource/mcp'],
    ['oauth-protected-resource', '/a/mcp/', '/.well-known/oauth-protected-resource/a/mcp/'],
    ['oauth-authorization-server', '/tenant', '/.well-known/oauth-authorization-server/tenant'],
    ['openid-configuration', '/tenant', '/.well-known/openid-configuration/tenant'],
  ] as const)('of %s and %j is %s', (document, path, expected) => {
    expect(wellKnownPath(document, path)).toBe(expected)
  })
})
