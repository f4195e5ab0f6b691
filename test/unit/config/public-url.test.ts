import { describe, expect, it } from 'vitest'
import { mcpUrlOf } from '../../../src/config/endpoints.js'

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
