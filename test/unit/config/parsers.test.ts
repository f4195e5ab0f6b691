import { describe, expect, it } from 'vitest'
import { PARSERS } from '../../../src/config/parsers.js'

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
