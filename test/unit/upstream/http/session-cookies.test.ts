import { expect, it } from 'vitest'
import { cookieHeader, sessionCookies } from '../../../../src/upstream/http/cookie-jar.js'

const NOW = 1_000_000

const read = (url: string, ...set: string[]) =>
  cookieHeader(sessionCookies(set, new URL(url), NOW), NOW)

it.each([
  ['https://mcp.example.com/mcp', ['a=1; Secure', 'b=2; Domain=.example.com'], 'a=1; b=2'],
  ['http://mcp.example.com/mcp', ['a=1; Secure', 'b=2; Domain=ample.com'], undefined],
  ['http://127.0.0.1:1/mcp', ['a=1; secure', 'b=2; Domain=0.0.1'], 'a=1'],
  ['http://h/mcp/x', ['a=1; Path=/mcp', 'b=2; Path=/mcp/xy', 'c=3; Path=/'], 'a=1; c=3'],
  ['http://h/mcp', ['a=1', 'a=2'], 'a=2'],
  ['http://h/mcp', ['a=1', 'a=; Max-Age=0'], undefined],
  ['http://h/mcp', ['a=1\r\nx: y', '__proto__=1'], '__proto__=1'],
  [
    'http://h/mcp',
    Array.from({ length: 20 }, (_, n) => `c${n}=1`),
    'c0=1; c1=1; c2=1; c3=1; c4=1; c5=1; c6=1; c7=1',
  ],
] as const)('the cookies of a session at %s that sets %j are %s', (url, set, sent) => {
  expect(read(url, ...set)).toBe(sent)
})

it('a cookie of a session is sent until it expires', () => {
  const cookies = sessionCookies(['a=1; Max-Age=10', 'b=2'], new URL('http://h/mcp'), NOW)
  expect(cookieHeader(cookies, NOW + 9_000)).toBe('a=1; b=2')
  expect(cookieHeader(cookies, NOW + 11_000)).toBe('b=2')
})
