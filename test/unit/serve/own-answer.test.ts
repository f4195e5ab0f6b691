import { describe, expect, it } from 'vitest'
import { errorResponse, resultResponse } from '../../../src/mcp/jsonrpc.js'
import { isOwnError, withRequestId } from '../../../src/serve/request-id.js'

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
