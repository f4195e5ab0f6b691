import { afterEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type Listening, listen } from '../../helpers/targets/listen.js'

const META = 'io.modelcontextprotocol/protocolVersion'
const VERSION = '2026-07-28'

type Write = (message: string) => { type: string; body: string }
const json = (write: (message: string) => string): Write => {
  return (message) => ({ type: 'application/json', body: write(message) })
}
const events = (write: (message: string) => string): Write => {
  return (message) => ({ type: 'text/event-stream', body: write(message) })
}

/** A server with sessions for older clients, and of 2026-07-28 for others. */
function startBothEras(write: Write): Promise<Listening> {
  return listen(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const { id, method, params = {} } = text === '' ? {} : JSON.parse(text)
    if (method === undefined) return void response.writeHead(405).end()
    if (id === undefined) return void response.writeHead(202).end()
    const answer = (message: object, headers = {}) => {
      const { type, body } = write(JSON.stringify({ jsonrpc: '2.0', id, ...message }))
      response.writeHead(200, { 'content-type': type, ...headers }).end(body)
    }
    const capabilities = { tools: {} }
    if (method === 'initialize') {
      const serverInfo = { name: 'both', version: '1' }
      const result = { protocolVersion: '2025-11-25', capabilities, serverInfo }
      return answer({ result }, { 'mcp-session-id': 'S' })
    }
    if (method === 'server/discover') {
      const supportedVersions = [VERSION, '2025-11-25']
      return answer({ result: { resultType: 'complete', supportedVersions, capabilities } })
    }
    if (params._meta?.[META] === VERSION) {
      return answer({ result: { resultType: 'complete', tools: [] } })
    }
    const isKnown = request.headers['mcp-session-id'] === 'S'
    if (isKnown) return answer({ result: { tools: [{ name: 'state', inputSchema: {} }] } })
    const error = { code: -32000, message: 'Mcp-Session-Id is missing' }
    response.writeHead(400, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ jsonrpc: '2.0', id, error }))
  })
}

let target: Listening
let stack: Stack
afterEach(async () => {
  await stack.close()
  await target.close()
})

const LIST = { jsonrpc: '2.0', id: 1, method: 'tools/list' }

describe('a target of both eras stays one of sessions for older clients', () => {
  it.each<[string, Write]>([
    ['as it should be', json((message) => message)],
    ['behind a byte order mark', json((message) => `\ufeff${message}`)],
    ['as an array of one', json((message) => `[${message}]`)],
    [
      'on a stream behind a ping',
      events((message) => `event: ping\ndata: {"result":{}}\n\ndata: ${message}\n\n`),
    ],
    ['on a stream as an array of one', events((message) => `data: [${message}]\n\n`)],
  ])('that answers %s', async (_title, write) => {
    target = await startBothEras(write)
    stack = await startStack({ targets: { t: `${target.origin}/mcp` } })
    const cold = await readMessage(await stack.post(LIST))
    expect([cold].flat()[0].result.tools).toMatchObject([{ name: 't_state' }])
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
    const opened = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    expect((await readMessage(opened)).result.serverInfo.name).toBe('both')
    const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' }
    const { result } = await readMessage(await stack.post(LIST, session))
    expect(result.tools).toMatchObject([{ name: 't_state' }])
    expect(stack.logs().map(({ event }) => event)).not.toContain('translating')
  })
})
