import { afterAll, beforeAll, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type Listening, listen } from '../../helpers/targets/listen.js'

/** What the target answers with. */
let status = 200
let target: Listening
let stack: Stack
beforeAll(async () => {
  target = await listen(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    if (text === '') return void response.writeHead(405).end()
    const { id } = JSON.parse(text)
    const result = { tools: [tool('read'), tool('delete')] }
    response.writeHead(status, { 'content-type': 'application/json' })
    const error = status < 400 ? undefined : { code: -32000, message: 'no' }
    response.end(JSON.stringify({ jsonrpc: '2.0', id, error, result }))
  })
  stack = await startStack({
    targets: { t: { url: `${target.origin}/mcp`, tools: { deny: ['delete'] } } },
  })
})
afterAll(async () => {
  await stack.close()
  await target.close()
})

it.each([200, 201, 202, 203, 206])(
  'a list that comes with status %i holds what its caller may see, and is an answer',
  async (given) => {
    status = given
    const response = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
    expect(response.status).toBe(200)
    const { result } = await readMessage(response)
    expect(result.tools.map(({ name }: { name: string }) => name)).toEqual(['t_read'])
    expect(stack.logs().at(-1)).toMatchObject({ outcome: 'ok' })
  },
)

it('an error that holds a list too shows no more of it', async () => {
  status = 422
  const response = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
  expect(response.status).toBe(422)
  const text = await response.text()
  expect(text).toContain('"error"')
  expect(text).not.toContain('"delete"')
})
