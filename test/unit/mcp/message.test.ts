import { describe, expect, it } from 'vitest'
import { errorResponse, resultResponse } from '../../../src/mcp/jsonrpc.js'
import { InvalidMessageError, parseMessage, parseMessageText } from '../../../src/mcp/message.js'

const call = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`

function refusal(text: string): InvalidMessageError {
  try {
    parseMessageText(text)
  } catch (error) {
    if (error instanceof InvalidMessageError) return error
    throw error
  }
  throw new Error(`was accepted: ${text.slice(0, 80)}`)
}

function sliceAt(text: string, name: string): string | undefined {
  const span = parseMessageText(text).spans.get(name)
  return span && text.slice(span.start, span.end)
}

describe('parseMessage', () => {
  it.each([
    ['request', '{"jsonrpc":"2.0","id":1,"method":"ping"}', 'request', 1],
    ['request with a string id', '{"jsonrpc":"2.0","id":"","method":"ping"}', 'request', ''],
    ['notification', '{"jsonrpc":"2.0","method":"notifications/x"}', 'notification', undefined],
    ['result', '{"jsonrpc":"2.0","id":7,"result":null}', 'response', 7],
    ['error', '{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":""}}', 'response', 7],
  ] as const)('tells a %s by its members', (_title, text, kind, id) => {
    const message = parseMessage(Buffer.from(` \n${text} `))
    expect({ kind: message.kind, id: message.id }).toEqual({ kind, id })
    expect(message.text).toBe(` \n${text} `)
  })

  it('knows where the values stand that are renamed', () => {
    const text = call('{ "name" : "a\\u0062" , "ref": {"type":"ref/prompt", "name":"x"},"id":"in"}')
    expect(sliceAt(text, 'id')).toBe('1')
    expect(sliceAt(text, 'name')).toBe('"a\\u0062"')
    expect(sliceAt(text, 'ref.name')).toBe('"x"')
    expect(sliceAt(text, 'ref.uri')).toBeUndefined()
  })

  it('takes no other member for the place of a value that is renamed', () => {
    const ref = '"ref":{"type":"ref/prompt","name":"x"}'
    for (const params of [`{${ref},"ref.name":"evil"}`, `{"ref.name":"evil",${ref}}`]) {
      expect(sliceAt(call(params), 'ref.name')).toBe('"x"')
    }
    expect(sliceAt(call('{"name":"x","id":"inner"}'), 'id')).toBe('1')
  })

  it.each([
    ['no JSON', '{"jsonrpc":"2.0",}', -32700],
    ['nothing', '', -32700],
    ['a byte order mark', `\ufeff${call('{}')}`, -32700],
    ['two messages', `${call('{}')}\n${call('{}')}`, -32700],
    ['a batch', `[${call('{}')}]`, -32600],
    ['an empty batch', '[]', -32600],
    ['a string', '"x"', -32600],
    ['null', 'null', -32600],
    ['no version', '{"id":1,"method":"ping"}', -32600],
    ['another version', '{"jsonrpc":2.0,"id":1,"method":"ping"}', -32600],
    ['neither method nor result', '{"jsonrpc":"2.0","id":1}', -32600],
    ['both result and error', '{"jsonrpc":"2.0","id":1,"result":1,"error":{}}', -32600],
    ['an answer without an id', '{"jsonrpc":"2.0","id":null,"result":1}', -32600],
    ['a method that is no string', '{"jsonrpc":"2.0","id":1,"method":["ping"]}', -32600],
    ['a null id', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
    ['an id that is an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
    ['params that are a list', '{"jsonrpc":"2.0","id":1,"method":"x","params":[]}', -32600],
  ])('[jsonrpc-object] refuses %s', (_title, text, code) => {
    expect(refusal(text).wire.code).toBe(code)
  })

  it.each([
    ['params', '{"jsonrpc":"2.0","id":1,"method":"x" , "params" : null}'],
    ['params of a notification', '{"params":null,"jsonrpc":"2.0","method":"x"}'],
    [
      'a cursor',
      '{"jsonrpc":"2.0","id":12345678901234567890,"method":"x","params":{"cursor":null}}',
    ],
  ])('takes %s that is null for absent, and sends none on', (_title, text) => {
    const message = parseMessage(Buffer.from(text))
    expect(message.text).not.toContain('null')
    expect(message.params).toEqual({})
    const id = message.spans.get('id')
    expect(id && message.text.slice(id.start, id.end)).toBe(/"id":(\d+)/.exec(text)?.[1])
  })

  it('refuses bytes that are no UTF-8', () => {
    const body = Buffer.from(call('{"name":"\u00e9"}'), 'latin1')
    expect(() => parseMessage(body)).toThrow(
      expect.objectContaining({ wire: expect.objectContaining({ code: -32700 }) }),
    )
  })

  it.each([
    ['twice at the top', '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'],
    ['twice with an escape', call('{"n\\u0061me":"a","name":"b"}')],
    ['twice in params', call('{"arguments":{},"arguments":{}}')],
    ['twice though unknown', call('{"x":1,"x":2}')],
    ['twice in ref', call('{"ref":{"name":"a","name":"b"}}')],
    ['params twice', `{"jsonrpc":"2.0","id":1,"method":"x","params":{},"params":{"name":"x"}}`],
  ])('refuses a member that stands %s', (_title, text) => {
    expect(refusal(text).wire).toMatchObject({
      code: -32600,
      message: expect.stringContaining('twice'),
    })
  })

  it.each([
    ['Params', '{"jsonrpc":"2.0","id":1,"method":"x","Params":{}}', 'params'],
    ['METHOD', '{"jsonrpc":"2.0","id":1,"METHOD":"x"}', 'method'],
    ['Name', call('{"Name":"a"}'), 'name'],
    ['an escaped NAME', call('{"n\\u0041me":"a"}'), 'name'],
    ['URI in ref', call('{"ref":{"URI":"a"}}'), 'uri'],
    ['a long s', `{"jsonrpc":"2.0","id":1,"method":"x","param\u017f":{}}`, 'params'],
    ['a long s in params', call('{"argument\u017f":{}}'), 'arguments'],
    ['a Kelvin sign', call('{"tas\u212a":{}}'), 'task'],
  ])('refuses %s, which a lenient parser would take for another member', (_title, text, meant) => {
    expect(refusal(text).wire).toMatchObject({
      code: -32600,
      message: expect.stringContaining(`must be written "${meant}"`),
    })
  })

  it('names the id of a refused request, so that the client can find it', () => {
    expect(refusal(call('{"Name":"a"}')).id).toBe(1)
    expect(refusal('{"id":"x","method":"ping"}').id).toBe('x')
    expect(refusal('[]').id).toBeNull()
  })

  it('leaves alone what stands deeper, and what it does not know', () => {
    const text = call('{"name":"a","arguments":{"Name":1,"Name":2},"other":{"ID":1},"Other":2}')
    expect(parseMessageText(text).params['name']).toBe('a')
  })

  it('takes a message of depth 128 and refuses one of 129', () => {
    const nested = (depth: number) => call(`{"arguments":${'['.repeat(depth)}${']'.repeat(depth)}}`)
    expect(parseMessageText(nested(126)).method).toBe('tools/call')
    expect(refusal(nested(127)).wire.message).toContain('deeper than 128')
    expect(refusal(nested(100_000)).wire.message).toContain('deeper than 128')
  })

  it('takes a message with 100,000 members', () => {
    const members = Array.from({ length: 100_000 }, (_, i) => `"k${i}":${i}`).join()
    expect(Object.keys(parseMessageText(call(`{${members}}`)).params)).toHaveLength(100_000)
  })

  it('keeps "__proto__" a member like any other', () => {
    const { params } = parseMessageText(call('{"__proto__":{"name":"evil"}}'))
    expect(params['name']).toBeUndefined()
  })
})

describe('the responses that we write', () => {
  it('carry the id of the request, null when it is unknown', () => {
    expect(JSON.parse(resultResponse('7', {}))).toEqual({ jsonrpc: '2.0', id: '7', result: {} })
    expect(JSON.parse(errorResponse(null, { code: 1, message: 'x' }))).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: 1, message: 'x' },
    })
  })
})
