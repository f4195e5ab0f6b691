import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeHeaderValue, encodeHeaderValue, headerMismatch } from '../../../src/mcp/headers.js'
import {
  envelopeVersion,
  isStateless,
  type Message,
  parseMessageText,
} from '../../../src/mcp/message.js'

const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion'

function message(method: string, params: object = {}, version: unknown = '2026-07-28'): Message {
  const given = { ...params, _meta: { [VERSION_KEY]: version } }
  return parseMessageText(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: given }))
}

function mismatch(of: Message, headers: Record<string, string>): string | undefined {
  return headerMismatch(of, (name) => headers[name])
}

describe('a header value', () => {
  it('keeps any text through a round trip, in characters that a header may have', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const value = encodeHeaderValue(text)
        expect(value).toMatch(/^[\x21-\x7e][\x20-\x7e]*$/)
        expect(value.trim()).toBe(value)
        expect(decodeHeaderValue(value)).toBe(text)
      }),
    )
  })

  it.each([
    ['get_weather', 'get_weather'],
    ['a b', 'a b'],
    ['', '=?base64??='],
    [' a', '=?base64?IGE=?='],
    ['a\r\nX: 1', '=?base64?YQ0KWDogMQ==?='],
    ['Grüße', '=?base64?R3LDvMOfZQ==?='],
    ['=?base64?YQ==?=', '=?base64?PT9iYXNlNjQ/WVE9PT89?='],
    ['=?BASE64?YQ==?=', '=?base64?PT9CQVNFNjQ/WVE9PT89?='],
    ['=?utf-8?YQ==?=', '=?utf-8?YQ==?='],
  ])('[mcp-header-encoding] writes %j as %s', (text, value) => {
    expect(encodeHeaderValue(text)).toBe(value)
    expect(decodeHeaderValue(value)).toBe(text)
  })
})

describe('the era of a message', () => {
  it.each([
    ['an envelope of 2026-07-28', message('tools/call'), true],
    ['an envelope of a later version', message('tools/call', {}, '2027-01-01'), true],
    ['an envelope of an earlier version', message('tools/call', {}, '2025-11-25'), false],
    ['an envelope that is no text', message('tools/call', {}, 7), false],
    ['server/discover', message('server/discover', {}, 7), true],
    ['subscriptions/listen', message('subscriptions/listen', {}, 7), true],
    ['initialize', message('initialize', {}, 7), false],
  ])('[mcp-era-by-body] is decided by the body: %s', (_title, of, modern) => {
    expect(isStateless(of)).toBe(modern)
  })

  it.each(['null', '"x"', '[]', '{}'])('is not decided by a _meta that is %s', (meta) => {
    const text = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":${meta}}}`
    expect(envelopeVersion(parseMessageText(text))).toBeUndefined()
    expect(isStateless(parseMessageText(text))).toBe(false)
  })
})

describe('headerMismatch', () => {
  const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' }

  it.each([
    ['tools/call', { name: 'a' }, 'a'],
    ['prompts/get', { name: 'é' }, '=?base64?w6k=?='],
    ['resources/read', { uri: 'data://a' }, 'data://a'],
    ['tasks/get', { taskId: '7' }, '7'],
    ['tools/list', { name: 'not mirrored' }, undefined],
    ['constructor', {}, undefined],
  ])('[mcp-header-equals-body] accepts the headers of %s', (method, params, name) => {
    const sent = { ...headers, 'mcp-method': method, ...(name && { 'mcp-name': name }) }
    expect(mismatch(message(method, params), sent)).toBeUndefined()
  })

  it.each([
    ['no version', { 'mcp-protocol-version': '' }, 'MCP-Protocol-Version'],
    ['another version', { 'mcp-protocol-version': '2025-11-25' }, 'MCP-Protocol-Version'],
    ['another method', { 'mcp-method': 'tools/list' }, 'Mcp-Method is "tools/list"'],
    ['a method in other case', { 'mcp-method': 'Tools/Call' }, 'Mcp-Method'],
    ['another name', { 'mcp-name': 'b' }, 'Mcp-Name is "b"; the body says "a"'],
    ['an encoded other name', { 'mcp-name': '=?base64?Yg==?=' }, 'Mcp-Name'],
  ])('[mcp-header-equals-body] names what differs: %s', (_title, change, what) => {
    const sent = { ...headers, 'mcp-name': 'a', ...change }
    expect(mismatch(message('tools/call', { name: 'a' }), sent)).toContain(what)
  })

  it('[mcp-header-equals-body] names what is missing', () => {
    const call = message('tools/call', { name: 'a' })
    expect(mismatch(call, {})).toContain('MCP-Protocol-Version is missing')
    expect(mismatch(call, { 'mcp-protocol-version': '2026-07-28' })).toContain(
      'Mcp-Method is missing',
    )
    expect(mismatch(call, headers)).toContain('Mcp-Name is missing')
  })

  it('lets notifications and responses alone', () => {
    const text = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"_meta":{"${VERSION_KEY}":"2026-07-28"}}}`
    expect(mismatch(parseMessageText(text), {})).toBeUndefined()
  })
})
