import { describe, expect, it } from 'vitest'
import {
  isPrivateHost,
  isWildcard,
  parseHttpUrl,
  peerUrlProblem,
} from '../../../src/util/private-addresses.js'

const hostOf = (host: string) => new URL(`http://${host}/`).hostname

describe('isPrivateHost', () => {
  it.each([
    'localhost',
    'vault',
    'db.internal',
    'printer.local',
    'router.home.arpa',
    '0.0.0.0',
    '10.1.2.3',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '224.0.0.1',
    '255.255.255.255',
    '2130706433',
    '0x7f.1',
    '017700000001',
    '[::]',
    '[::1]',
    '[::ffff:10.0.0.1]',
    '[::ffff:8.8.8.8]',
    '[::127.0.0.1]',
    '[64:ff9b::a00:1]',
    '[64:ff9b:1::1]',
    '[2001::1]',
    '[2002:a00:1::]',
    '[fc00::1]',
    '[fd12::1]',
    '[fe80::1]',
    '[fec0::1]',
    '[ff02::1]',
  ])('is true for %s', (host) => expect(isPrivateHost(hostOf(host))).toBe(true))

  it.each([
    'api.descope.com',
    '8.8.8.8',
    '172.32.0.1',
    '172.15.0.1',
    '100.128.0.1',
    '192.169.0.1',
    '[2606:4700::1]',
    '[2001:4860::1]',
    'internal.example',
  ])('is false for %s', (host) => expect(isPrivateHost(hostOf(host))).toBe(false))
})

describe('parseHttpUrl', () => {
  it.each([
    '',
    'x',
    '/path',
    'ftp://a.example',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://u:p@a.example',
    'https://u@a.example',
    'https://a.example/#f',
    'https://$(x)/',
  ])('refuses %s', (text) => expect(parseHttpUrl(text)).toBeUndefined())
  it('accepts http and https', () => {
    expect(parseHttpUrl('https://a.example/x?y')?.href).toBe('https://a.example/x?y')
    expect(parseHttpUrl('http://a.example')?.href).toBe('http://a.example/')
  })
})

describe('peerUrlProblem', () => {
  const far = new URL('https://mcp.example.com/mcp')
  const inner = new URL('https://10.0.0.5/mcp')
  const local = new URL('http://127.0.0.1:8000/mcp')
  it.each([
    { text: 'https://as.example.com/token', near: far, problem: undefined },
    { text: 'http://as.example.com/token', near: far, problem: 'does not use https' },
    { text: 'https://127.0.0.1/token', near: far, problem: 'is on loopback' },
    { text: 'https://localhost/token', near: inner, problem: 'is on loopback' },
    { text: 'https://169.254.169.254/latest', near: far, problem: 'is in a private network' },
    { text: 'https://[64:ff9b::a9fe:a9fe]/', near: far, problem: 'is in a private network' },
    { text: 'https://10.0.0.6/token', near: inner, problem: undefined },
    { text: 'http://10.0.0.6/token', near: inner, problem: 'does not use https' },
    { text: 'http://127.0.0.1:9/token', near: local, problem: undefined },
    { text: 'https://as.example.com/token', near: local, problem: undefined },
    { text: 'http://as.example.com/token', near: local, problem: 'does not use https' },
    {
      text: 'nonsense',
      near: local,
      problem: 'is not an http(s) URL without credentials and fragment',
    },
  ])('says "$problem" of $text near $near.host', ({ text, near, problem }) => {
    expect(peerUrlProblem(text, near)).toBe(problem)
  })
})

describe('isWildcard', () => {
  it.each([
    ['0.0.0.0', true],
    ['::', true],
    ['::0', true],
    ['0:0:0:0:0:0:0:0', true],
    ['127.0.0.1', false],
    ['::1', false],
    ['10.0.0.0', false],
    ['fe80::1%eth0', false],
    ['0.0.0.0.example.com', false],
    ['', false],
  ])('of "%s" is %s', (address, is) => expect(isWildcard(address)).toBe(is))
})
