import { describe, expect, it } from 'vitest'
import {
  cookieHeader,
  createCookieJar,
  sessionCookies,
  withCookies,
} from '../../../../src/upstream/http/cookie-jar.js'
import type { Upstream, UpstreamRequest } from '../../../../src/upstream/upstream.js'
import { createManualClock } from '../../../helpers/runtime.js'

describe('createCookieJar', () => {
  it.each([
    { what: 'name and value', set: ['lb=node-1'], sent: 'lb=node-1' },
    { what: 'attributes', set: ['lb=1; Path=/; HttpOnly; Secure; SameSite=None'], sent: 'lb=1' },
    { what: 'several', set: ['a=1', 'b="2"; Path=/mcp'], sent: 'a=1; b="2"' },
    { what: 'the later of two', set: ['a=1', 'a=2'], sent: 'a=2' },
    { what: 'an empty value', set: ['a='], sent: 'a=' },
    { what: 'one for another path', set: ['a=1; Path=/other', 'b=1; Path=/mc'], sent: undefined },
    { what: 'one that is taken back', set: ['a=1', 'a=x; Max-Age=0'], sent: undefined },
    {
      what: 'one of the past',
      set: ['a=1; Expires=Thu, 01 Jan 2015 00:00:00 GMT'],
      sent: undefined,
    },
    { what: 'no name', set: ['=1', 'x', ''], sent: undefined },
    {
      what: 'what splits a header',
      set: ['a=1\r\nx: y', 'b=1 2', 'c=1,2', 'd=ü'],
      sent: undefined,
    },
    { what: 'a long one', set: [`a=${'x'.repeat(5_000)}`], sent: undefined },
  ])('[bridge-cookies] keeps $what as it should', ({ set, sent }) => {
    const jar = createCookieJar(createManualClock())
    jar.keep(set)
    expect(jar.header('/mcp')).toBe(sent)
  })

  it('[bridge-cookies] keeps no more than 20, and drops the oldest', () => {
    const jar = createCookieJar(createManualClock())
    for (let n = 0; n < 100; n++) jar.keep(`c${n}=${n}`)
    const names = jar.header('/')?.split('; ')
    expect(names).toHaveLength(20)
    expect(names?.[0]).toBe('c80=80')
  })

  it('[bridge-cookies] forgets one whose time is over', async () => {
    const clock = createManualClock()
    const jar = createCookieJar(clock)
    jar.keep('a=1; Max-Age=60; Expires=Thu, 01 Jan 2015 00:00:00 GMT')
    expect(jar.header('/')).toBe('a=1')
    await clock.advance(60_000)
    expect(jar.header('/')).toBeUndefined()
  })
})

describe('withCookies', () => {
  it('[bridge-cookies] puts them behind those of the user', () => {
    const sent: UpstreamRequest[] = []
    const upstream: Upstream = {
      send: (request) => void sent.push(request),
      close: async () => {},
    }
    const jar = createCookieJar(createManualClock())
    const url = new URL('http://target/mcp')
    const request = { method: 'POST', headersTimeout: 0, bodyTimeout: 0 } as const
    const wrapped = withCookies(upstream, url, jar)
    wrapped.send({ ...request, headers: ['Cookie', 'mine=1'] }, {})
    jar.keep('lb=1')
    wrapped.send({ ...request, headers: ['Cookie', 'mine=1'] }, {})
    wrapped.send({ ...request, headers: ['x-cookie', 'cookie'] }, {})
    expect(sent.map(({ headers }) => headers)).toEqual([
      ['Cookie', 'mine=1'],
      ['Cookie', 'mine=1; lb=1'],
      ['x-cookie', 'cookie', 'cookie', 'lb=1'],
    ])
  })
})

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
