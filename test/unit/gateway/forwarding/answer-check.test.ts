import { describe, expect, it } from 'vitest'
import { checkAnswer, classifyRefusal } from '../../../../src/gateway/forwarding/answer-check.js'

const check = (text: string, id: string | number = 1) => checkAnswer(Buffer.from(text), id)

const big = `"${'x'.repeat(1024 * 1024)}"`

describe('checkAnswer', () => {
  it.each([
    ['a result', '{"jsonrpc":"2.0","id":1,"result":{}}'],
    ['a result that is null', '{"jsonrpc":"2.0","id":1,"result":null}'],
    ['an error', '{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}'],
    ['a large object', `{"jsonrpc":"2.0","id":1,"result":${big}}`],
    ['a large object with its id behind', `{"result":[{"id":2},${big}],"jsonrpc":"2.0","id": 1 }`],
    [
      'a large object that speaks of ids',
      `{"id":1,"result":[${big},"\\\\",{"id":2},"\\"id\\":2"]}`,
    ],
    ['a large object within white space', ` \r\n{"id":1,"result":${big}}\n `],
  ])('accepts %s', (_title, text) => {
    expect(check(text)).toBeUndefined()
  })

  it.each([
    ['nothing', '', 'not valid JSON'],
    ['a page', '<html>', 'not valid JSON'],
    ['half a message', '{"jsonrpc":"2.0","id":1,"result":{', 'not valid JSON'],
    ['an array', '[{"jsonrpc":"2.0","id":1,"result":{}}]', 'not valid JSON'],
    ['another id', '{"jsonrpc":"2.0","id":2,"result":{}}', 'not a response to this request'],
    ['an id of another type', '{"jsonrpc":"2.0","id":"1","result":{}}', 'not a response'],
    ['no id', '{"jsonrpc":"2.0","result":{}}', 'not a response'],
    ['a request', '{"jsonrpc":"2.0","id":1,"method":"ping"}', 'not a response'],
    ['an error that is text', '{"jsonrpc":"2.0","id":1,"error":"x"}', 'not a response'],
    [
      'a second id in another case',
      '{"jsonrpc":"2.0","id":1,"ID":9,"result":{}}',
      'not a response',
    ],
    ['a second result', '{"jsonrpc":"2.0","id":1,"result":{},"reſult":{}}', 'not a response'],
    ['a large array', `[${big}]`, 'not a JSON object'],
    ['a large object without an id', `{"result":${big}}`, 'not a response'],
    ['a large one with a second id behind', `{"id":1,"result":${big},"id":2}`, 'not a response'],
    [
      'a large one with a second id within',
      `{"id":1,"a":${big},"id":2,"b":${big}}`,
      'not a response',
    ],
    ['a large one with an escaped id', `{"id":1,"a":${big},"\\u0069d":2}`, 'not a response'],
    ['a large one with an id in another case', `{"id":1,"a":${big},"ID":2}`, 'not a JSON object'],
    [
      'a large one with a second result',
      `{"id":1,"reſult":1,"result":${big}}`,
      'not a JSON object',
    ],
    ['a large half', `{"result":${big}`, 'not a JSON object'],
    [
      'a large one with a second id among blanks',
      `{"id":1,"result":${big},"id${' '.repeat(60)}":2}`,
      'not a JSON object',
    ],
  ])('refuses %s', (_title, text, reason) => {
    expect(check(text)).toContain(reason)
  })
})

describe('judgeRefusal', () => {
  const error = (code: unknown, id: unknown = 1, extra: object = {}) =>
    JSON.stringify({ jsonrpc: '2.0', id, error: { code, message: 'no', ...extra } })
  const judge = (status: number, body: string, inSession: boolean, id: number | undefined = 1) =>
    classifyRefusal(status, Buffer.from(body), { id, inSession })

  it.each([
    ['404 in a session', 404, error(-32001), true, 'session_lost'],
    ['404 in a session with a protocol error', 404, error(-32601), true, 'session_lost'],
    ['400 without a session', 400, error(-32000), false, 'session_required'],
    ['400 without a session or a body', 400, '', false, 'session_required'],
    ['400 without a session that speaks of parameters', 400, error(-32602), false, undefined],
    ['400 in a session', 400, error(-32000), true, undefined],
    ['400 in a session without a body', 400, '', true, 'http_status'],
    ['404 without a session', 404, error(-32601), false, undefined],
    ['404 without a session or MCP', 404, '<html>', false, 'http_status'],
    ['406', 406, error(-32000), true, undefined],
    ['an error without a number', 422, error('x'), true, 'http_status'],
    ['an error without a message', 422, error(1, 1, { message: 7 }), true, 'http_status'],
    ['an array', 422, `[${error(1)}]`, true, 'http_status'],
  ])('judges %s', (_title, status, body, inSession, cause) => {
    expect(judge(status, body, inSession).cause).toBe(cause)
  })

  it('passes an error on byte for byte when it has the id of the request', () => {
    const body = ` ${error(-32601)} `
    expect(judge(404, body, false).answer?.toString()).toBe(body)
  })

  it('gives an error the id of the request and nothing that is not of JSON-RPC', () => {
    const answer = judge(
      404,
      error(-32601, null, { data: { a: 1 }, stack: 'secret' }),
      false,
    ).answer
    expect(JSON.parse(String(answer))).toEqual({
      jsonrpc: '2.0',
      id: 1,
      error: { code: -32601, message: 'no', data: { a: 1 } },
    })
    const odd = judge(404, error(-32601, 9, { data: 'text' }), false).answer
    expect(JSON.parse(String(odd)).error).toEqual({ code: -32601, message: 'no' })
  })

  it('has no answer for a message without id', () => {
    const verdict = classifyRefusal(422, Buffer.from(error(1)), { id: undefined, inSession: true })
    expect(verdict).toMatchObject({ cause: 'http_status', answer: undefined })
  })
})
