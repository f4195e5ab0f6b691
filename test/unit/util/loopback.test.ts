import { describe, expect, it } from 'vitest'
import { createAccess } from '../../../src/serve/origins.js'
import { isLoopback, isReadableOnTheWay } from '../../../src/util/private-addresses.js'

const LOOPBACK = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'a.localhost',
  'a.b.localhost.',
  '127.0.0.1',
  '127.9.9.9',
  '127.255.255.255',
  '::1',
  '[::1]',
  '0:0:0:0:0:0:0:1',
  '::ffff:127.0.0.1',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '::FFFF:127.8.8.8',
]

const OTHERS = [
  '',
  '.',
  'localhost.example',
  'localhost..',
  'notlocalhost',
  '127.example.com',
  '127.0.0.1.example',
  '127.0.0.1.nip.io',
  '127.0.0.256',
  '128.0.0.1',
  '0.0.0.0',
  '10.0.0.1',
  '169.254.169.254',
  '::',
  '::2',
  '[::]',
  '[::1',
  '::1]',
  '::ffff:10.0.0.1',
  '::ffff:128.0.0.1',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  'fe80::1',
]

describe('isLoopback', () => {
  it.each(LOOPBACK)('is true for %j', (host) => expect(isLoopback(host)).toBe(true))
  it.each(OTHERS)('is false for %j', (host) => expect(isLoopback(host)).toBe(false))

  it.each(['0x7f.1', '2130706433', '017700000001', '127.1'])(
    'is true for %s, as a URL writes it',
    (host) => expect(isLoopback(new URL(`http://${host}/`).hostname)).toBe(true),
  )
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
