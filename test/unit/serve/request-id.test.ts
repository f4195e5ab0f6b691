import { describe, expect, it } from 'vitest'
import { isOwnError, withRequestId } from '../../../src/mcp/json-text.js'
import { errorResponse, resultResponse } from '../../../src/mcp/jsonrpc.js'
import { nameRequest } from '../../../src/serve/http-exchange.js'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const name = (headers: Record<string, string>) => nameRequest({ headers })

describe('the name of a request', () => {
  it.each([
    ['of version 00', `00-${TRACE}-${SPAN}-01`],
    ['that is not sampled', `00-${TRACE}-${SPAN}-00`],
    ['of a later version', `01-${TRACE}-${SPAN}-01`],
    ['of a later version that says more', `cc-${TRACE}-${SPAN}-01-what-comes-later`],
  ])('is the trace id of a traceparent %s', (_title, traceparent) => {
    expect(name({ traceparent })).toEqual({ id: TRACE, traceparent: traceparent.slice(0, 55) })
  })

  it.each([
    ['empty', ''],
    ['of version ff', `ff-${TRACE}-${SPAN}-01`],
    ['without a trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['without a span', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['in capitals', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['of version 00 that says more', `00-${TRACE}-${SPAN}-01-more`],
    ['with something before it', ` 00-${TRACE}-${SPAN}-01`],
    ['sent twice', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
    ['that breaks a line', `00-${TRACE}-${SPAN}-01\nforged`],
    ['cut short', `00-${TRACE}-${SPAN}-0`],
  ])('is a new one where the traceparent is %s', (_title, traceparent) => {
    const first = name({ traceparent })
    expect(first.id).toMatch(UUID)
    expect(first.traceparent).toBeUndefined()
    expect(name({ traceparent }).id).not.toBe(first.id)
  })

  it('is never what the client calls it', () => {
    const { id } = name({ 'x-request-id': 'of-the-client' })
    expect(id).toMatch(UUID)
  })
})

const error = { code: -32602, message: 'no' }

describe('a message of ours', () => {
  it.each([null, 1, 'x', '","error":{"code":1},"', '","result":{'])(
    'is told to be an error or a result with the id %j',
    (id) => {
      expect(isOwnError(errorResponse(id, error))).toBe(true)
      if (id !== null) expect(isOwnError(resultResponse(id, { x: 1, error: {} }))).toBe(false)
    },
  )

  it.each([
    ['no data', undefined, { requestId: 'r' }],
    ['empty data', {}, { requestId: 'r' }],
    ['data', { target: 'a', deep: { b: 1 } }, { target: 'a', deep: { b: 1 }, requestId: 'r' }],
    ['a request id already', { requestId: 'of-before' }, { requestId: 'of-before' }],
  ])('names the request in an error with %s', (_title, data, expected) => {
    const text = errorResponse('7', data === undefined ? error : { ...error, data })
    expect(JSON.parse(withRequestId(text, 'r'))).toEqual({
      jsonrpc: '2.0',
      id: '7',
      error: { ...error, data: expected },
    })
  })

  it('keeps an id as it is written', () => {
    const text = `{"jsonrpc":"2.0","id":12345678901234567890,"error":${JSON.stringify(error)}}`
    expect(withRequestId(text, 'r')).toContain('"id":12345678901234567890,')
  })
})
