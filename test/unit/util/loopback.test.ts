import { describe, expect, it } from 'vitest'
import { createAccess } from '../../../src/serve/origins.js'
import {
  isLoopback,
  isLoopbackOrigin,
  isReadableOnTheWay,
  withoutPort,
} from '../../../src/util/private-addresses.js'

/** Names and addresses as they stand in a setting or, without its port, in a Host header. */
const HOSTS: readonly (readonly [host: string, isLoopback: boolean])[] = [
  ['localhost', true],
  ['LOCALHOST', true],
  ['localhost.', true],
  ['x.localhost', true],
  ['a.b.localhost.', true],
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['127.255.255.255', true],
  ['::1', true],
  ['[::1]', true],
  ['0:0:0:0:0:0:0:1', true],
  ['::ffff:127.0.0.1', true],
  ['[::ffff:127.0.0.1]', true],
  ['[::ffff:7f00:1]', true],
  ['::FFFF:127.8.8.8', true],
  // these begin or end like a loopback name
  ['', false],
  ['.', false],
  ['localhost.example.com', false],
  ['localhost..', false],
  ['notlocalhost', false],
  ['127.example.com', false],
  ['127.0.0.1.example', false],
  ['127.0.0.1.nip.io', false],
  ['127.0.0.256', false],
  ['localhost:999999', false],
  ['[::1', false],
  ['::1]', false],
  // systems resolve these to loopback, but not all of them do
  ['127.1', false],
  ['2130706433', false],
  ['::1%lo', false],
  // every address of this machine, also those that others reach
  ['0.0.0.0', false],
  ['::', false],
  ['[::]', false],
  ['128.0.0.1', false],
  ['10.0.0.1', false],
  ['169.254.169.254', false],
  ['::2', false],
  ['::ffff:10.0.0.1', false],
  ['::ffff:128.0.0.1', false],
  // routers may carry these elsewhere
  ['::127.0.0.1', false],
  ['64:ff9b::7f00:1', false],
  ['fe80::1', false],
]

describe('isLoopback', () => {
  it.each(HOSTS)('of %j is %s', (host, expected) => expect(isLoopback(host)).toBe(expected))

  it.each(['0x7f.1', '2130706433', '017700000001', '127.1', '127.0.0.1.', '[0::1]'])(
    'is true for %s, as a URL writes it',
    (host) => expect(isLoopback(new URL(`http://${host}/`).hostname)).toBe(true),
  )
})

describe('isLoopbackOrigin', () => {
  it.each([
    ['http://localhost:3000', true],
    ['https://x.localhost', true],
    ['http://127.0.0.1', true],
    ['http://127.1', true],
    ['http://[::1]:6274', true],
    ['http://[::ffff:127.0.0.1]', true],
    ['http://127.example.com', false],
    ['http://localhost.example.com', false],
    ['http://0.0.0.0', false],
    ['httpx://localhost', false],
    ['chrome-extension://localhost', false],
    ['null', false],
    ['', false],
  ])('of %j is %s', (origin, expected) => expect(isLoopbackOrigin(origin)).toBe(expected))
})

describe('withoutPort', () => {
  it.each([
    ['localhost:3000', 'localhost'],
    ['[::1]:3000', '[::1]'],
    ['[::1]', '[::1]'],
    ['localhost', 'localhost'],
    ['localhost:', 'localhost:'],
    ['localhost:x', 'localhost:x'],
    ['localhost:999999', 'localhost:999999'],
  ])('makes %s %s', (host, expected) => expect(withoutPort(host)).toBe(expected))
})

describe('isReadableOnTheWay', () => {
  it.each([
    ['http://mcp.example/mcp', true],
    ['HTTP://mcp.example/mcp', true],
    ['http://10.0.0.7:8000/mcp', true],
    ['http://127.example.com/mcp', true],
    ['https://mcp.example/mcp', false],
    ['http://localhost:3000/mcp', false],
    ['http://127.0.0.1/mcp', false],
    ['http://[::1]:3000/mcp', false],
  ])('%s: %s', (url, expected) => expect(isReadableOnTheWay(url)).toBe(expected))
})

describe('a server on loopback', () => {
  const server = { host: '127.example.com', allowedHosts: [], allowedOrigins: [] }

  it('is none whose host only begins like an address', () => {
    const access = createAccess(server, 'https://mcp.example/mcp')
    expect(access.allowsHost('localhost:8000')).toBe(false)
    expect(access.allowsOrigin('http://localhost:3000')).toBe(false)
  })

  it.each(['127.0.0.1', '127.0.0.2', '::1', 'localhost.', '::ffff:127.0.0.1'])(
    'at %s takes loopback names',
    (host) => {
      const access = createAccess({ ...server, host }, 'https://mcp.example/mcp')
      expect(access.allowsHost('localhost:8000')).toBe(true)
      expect(access.allowsHost('[::1]:8000')).toBe(true)
      expect(access.allowsHost('127.example.com:8000')).toBe(false)
    },
  )
})
