import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readValueFromText } from '../../../src/config/layers.js'
import { PARSERS } from '../../../src/config/parsers.js'
import { mcpUrlOf } from '../../../src/config/public-url.js'
import { variableName } from '../../../src/config/table.js'
import { editDistance, nearest } from '../../../src/util/text.js'

describe('the URL of a server without a public one', () => {
  it.each([
    ['127.0.0.1', 'http://localhost:8123/mcp'],
    ['localhost', 'http://localhost:8123/mcp'],
    ['0.0.0.0', 'http://localhost:8123/mcp'],
    ['::', 'http://localhost:8123/mcp'],
    ['::1', 'http://[::1]:8123/mcp'],
    ['[::1]', 'http://[::1]:8123/mcp'],
    ['127.0.0.2', 'http://127.0.0.2:8123/mcp'],
    ['192.168.1.5', 'http://192.168.1.5:8123/mcp'],
    ['box.local', 'http://box.local:8123/mcp'],
  ])('on %s is %s', (host, expected) => {
    expect(mcpUrlOf({ publicUrl: undefined, path: '/mcp', host }, 8123)).toBe(expected)
  })
})

describe('mcpUrlOf', () => {
  it.each([
    [undefined, '/mcp', 'http://localhost:8123/mcp'],
    [undefined, '/', 'http://localhost:8123/'],
    ['https://mcp.example.com', '/mcp', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/', '/mcp', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/mcp', '/mcp', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/mcp/', '/mcp', 'https://mcp.example.com/mcp'],
    ['https://mcp.example.com/team', '/mcp', 'https://mcp.example.com/team/mcp'],
    ['https://mcp', '/mcp', 'https://mcp/mcp'],
  ])('of %s and %s is %s', (publicUrl, path, expected) => {
    expect(mcpUrlOf({ publicUrl, path }, 8123)).toBe(expected)
  })
})

describe('nearest', () => {
  it.each([
    ['prot', ['host', 'port', 'path'], 'port'],
    ['hots', ['host', 'port'], 'host'],
    ['PORT', ['port'], 'port'],
    ['zzzz', ['host', 'port'], undefined],
    ['x', [], undefined],
  ])('of %s in %j is %s', (word, candidates, expected) => {
    expect(nearest(word, candidates)).toBe(expected)
  })

  it('measures a distance that is 0 for the same word and the same both ways', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, a)).toBe(0)
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
  })
})

describe('text from flags and variables', () => {
  it.each([
    ['port', '80', 80],
    ['seconds', '0.5', 0.5],
    ['port', '0x50', '0x50'],
    ['boolean', 'YES', true],
    ['boolean', '0', false],
    ['boolean', 'maybe', 'maybe'],
    ['texts', 'a, b  c,', ['a', 'b', 'c']],
    ['text', ' a ', ' a '],
  ] as const)('of the kind %s turns "%s" into %j', (kind, text, value) => {
    expect(readValueFromText({ kind }, text)).toEqual(value)
  })
})

describe('the parsers', () => {
  it.each([
    ['path', '/mcp/', '/mcp'],
    ['path', '/', '/'],
    ['publicUrl', 'HTTPS://MCP.Example.com:443/', 'https://mcp.example.com'],
    [
      'origins',
      ['HTTPS://App.example.com/', 'vscode-webview://x'],
      ['https://app.example.com', 'vscode-webview://x'],
    ],
    ['hosts', ['Mcp.example.com:8443', '[::1]:80'], ['mcp.example.com:8443', '[::1]:80']],
    ['host', '[::1]', '::1'],
  ] as const)('of %s turn %j into %j', (kind, value, expected) => {
    expect(PARSERS[kind].parse(value)).toEqual(expected)
  })

  it.each([
    ['host', 'a:1'],
    ['origins', ['https://a.example/path']],
    ['origins', ['null']],
    ['hosts', ['https://a.example']],
    ['headerValue', 'a\r\nb'],
    ['headerName', 'a b'],
    ['token', 'a\nb'],
    ['url', 'https://a b'],
    ['url', 'http://'],
    ['seconds', 0],
    ['positive', 1.5],
  ] as const)('of %s refuse %j', (kind, value) => {
    expect(PARSERS[kind].safeParse(value).success).toBe(false)
  })
})

describe('variableName', () => {
  it('puts the words of a key in capitals', () => {
    expect(variableName('server.allowedOrigins')).toBe('MCP_DESCOPE_SERVER_ALLOWED_ORIGINS')
  })
})
