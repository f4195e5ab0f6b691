import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { outcomeOfAnswer, outcomeOfMessage } from '../../../../src/gateway/forwarding/outcome.js'

const content = [{ type: 'text', text: 'x' }]

const long = 'y'.repeat(100_000)

const ANSWERS: [string, string][] = [
  ['ok', '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'],
  ['ok', '{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}'],
  ['tool_error', '{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}'],
  ['tool_error', '{ "result" : { "isError" : true , "content" : [] } , "id" : 1 }'],
  ['tool_error', '{"result":{"isError":\n\ttrue},"id":1}'],
  ['rpc_error', '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}'],
  ['rpc_error', '{"error":{"code":1,"message":"\\"result\\""},"id":1}'],
  ['ok', '{"result":{"structuredContent":{"isError":true}},"id":1}'],
  ['ok', '{"result":{"isError":"true"},"id":1}'],
  ['ok', '{"result":{"error":{"code":1}},"id":1}'],
  ['ok', '{"id":"\\"error\\":","result":{}}'],
  ['ok', JSON.stringify({ id: 1, result: { content: [{ text: '{"isError":true}' }] } })],
  ['ok', JSON.stringify({ id: 1, result: { content: [{ text: '"isError":true', error: 1 }] } })],
  ['tool_error', JSON.stringify({ id: 1, result: { isError: true, text: long } })],
  ['tool_error', JSON.stringify({ id: 1, result: { text: long, isError: true } })],
  ['ok', JSON.stringify({ id: 1, result: { text: `${long}"isError":true` } })],
  ['ok', JSON.stringify({ id: 1, result: { text: long, data: { isError: true } } })],
]

describe('how an answer ended', () => {
  it.each(ANSWERS)('is %s for %.70s, as text and as bytes', (outcome, answer) => {
    expect(outcomeOfAnswer(answer)).toBe(outcome)
    expect(outcomeOfAnswer(Buffer.from(answer))).toBe(outcome)
    expect(outcomeOfMessage(JSON.parse(answer))).toBe(outcome)
  })

  it('is the same whether it is read from bytes or from the parsed message', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom<unknown>(true, false, null, 1, 'true', '"isError":true', '"error":{'),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('isError', 'error', 'result', 'a"b'), tie('any')),
      ),
    })).any
    const answers = fc.oneof(
      fc.record({ jsonrpc: fc.constant('2.0'), id: fc.string(), result: value }),
      fc.record({ id: fc.nat(), error: fc.record({ code: fc.integer(), data: value }) }),
    )
    fc.assert(
      fc.property(answers, fc.constantFrom(0, 2), (answer, indent) => {
        const text = JSON.stringify(answer, null, indent)
        const parsed = outcomeOfMessage(JSON.parse(text))
        expect(outcomeOfAnswer(text)).toBe(parsed)
        expect(outcomeOfAnswer(Buffer.from(text))).toBe(parsed)
      }),
      { numRuns: 500 },
    )
    expect(outcomeOfMessage({ result: { content, isError: true } })).toBe('tool_error')
  })
})
