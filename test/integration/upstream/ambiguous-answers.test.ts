import { type AddressInfo, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'

const RESULT = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'

const FOREIGN = '{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"stolen"}]}}'

const head = (...fields: string[]) =>
  ['HTTP/1.1 200 OK', 'Content-Type: application/json', ...fields, '', ''].join('\r\n')

let answer = ''
let connections = 0
let stack: Stack

const target = createServer((socket) => {
  connections += 1
  socket.on('error', () => {})
  socket.on('data', () => socket.write(answer))
})

beforeAll(async () => {
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  const { port } = target.address() as AddressInfo
  const url = `http://127.0.0.1:${port}/mcp`
  stack = await startStack({ targets: { target: { url, transport: 'http', prefix: '' } } })
})

afterAll(async () => {
  await stack.close()
  target.close()
})

const call = async (id: number) => {
  const params = { name: 'echo', arguments: {} }
  return readMessage(await stack.post({ jsonrpc: '2.0', id, method: 'tools/call', params }))
}

describe('an answer of a target', () => {
  it.each([
    [
      'both a length and chunks',
      `${head(`Content-Length: ${RESULT.length}`, 'Transfer-Encoding: chunked')}${RESULT}`,
    ],
    ['two lengths', `${head(`Content-Length: ${RESULT.length}`, 'Content-Length: 1')}${RESULT}`],
    ['an unknown coding', `${head('Transfer-Encoding: chunked, x')}${RESULT}`],
    ['a folded line', `${head(`Content-Length:\r\n ${RESULT.length}`)}${RESULT}`],
    ['a bare line feed', `${head(`X: y\nContent-Length: ${RESULT.length}`)}${RESULT}`],
  ])('with %s is invalid, and its connection is closed', async (_what, text) => {
    answer = text
    const before = connections
    expect(await call(1)).toMatchObject({
      id: 1,
      error: {
        message: expect.stringContaining('its answer is not HTTP'),
        data: { cause: 'invalid_answer' },
      },
    })
    expect(connections).toBe(before + 1)
  })

  it('is never what came behind the one before', async () => {
    const one = (text: string) => `${head(`Content-Length: ${text.length}`)}${text}`
    answer = one(RESULT) + one(FOREIGN)
    expect(await call(1)).toMatchObject({ id: 1, result: { content: [] } })
    answer = one(RESULT.replace('"id":1', '"id":2'))
    const before = connections
    expect(await call(2)).toEqual({ jsonrpc: '2.0', id: 2, result: { content: [] } })
    expect(connections).toBe(before + 1)
  })
})
