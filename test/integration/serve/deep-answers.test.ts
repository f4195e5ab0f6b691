import { randomUUID } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

/** So deep that whatever recurs runs out of stack, and still small enough to be parsed. */
const DEPTH = 50_000
const DEEP = `${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}`
const DEEP_OBJECT = `${'{"a":'.repeat(DEPTH)}1${'}'.repeat(DEPTH)}`

let target: RecordingTarget
let other: RecordingTarget
let one: Stack
let two: Stack
beforeAll(async () => {
  target = await startRecordingTarget({ sessions: 'required' })
  other = await startRecordingTarget({ sessions: 'required' })
  one = await startStack({ targets: { target: target.url } })
  two = await startStack({ targets: { target: target.url, other: other.url } })
})
beforeEach(() => target.intercept(undefined))
afterAll(async () => {
  await one.close()
  await two.close()
  await target.close()
  await other.close()
})

/** What the hostile target writes, with the id of the request. */
const BODIES: Record<string, (id: string) => string> = {
  'nothing but opening brackets': () => '['.repeat(DEPTH),
  'nothing but objects that open': () => '{"a":'.repeat(DEPTH),
  'a deep array': () => DEEP,
  'a deep object': () => DEEP_OBJECT,
  'a deep result': (id) => `{"jsonrpc":"2.0","id":${id},"result":${DEEP_OBJECT}}`,
  'a result with a deep member': (id) =>
    `{"jsonrpc":"2.0","id":${id},"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":${DEEP}},"serverInfo":{"name":"x","version":"1","x":${DEEP}},"_meta":${DEEP_OBJECT},"tools":[{"name":"t","inputSchema":${DEEP_OBJECT}}],"resources":[{"uri":"a://b","name":"n","_meta":${DEEP_OBJECT}}],"prompts":[${DEEP}],"content":[{"type":"resource","resource":{"uri":"a://b","text":"","x":${DEEP}}}],"structuredContent":${DEEP_OBJECT}}}`,
  'a deep error': (id) =>
    `{"jsonrpc":"2.0","id":${id},"error":{"code":-32000,"message":"no","data":${DEEP}}}`,
  'a deep id': () => `{"jsonrpc":"2.0","id":${DEEP},"result":{}}`,
  'an error without an id that is deep': () =>
    `{"jsonrpc":"2.0","id":null,"error":{"code":${DEEP},"message":${DEEP_OBJECT}}}`,
  'a deep batch': (id) => `[{"jsonrpc":"2.0","id":${id},"result":{"x":${DEEP}}},${DEEP}]`,
}

const FORMS: Record<string, (response: ServerResponse, body: string) => void> = {
  'as JSON': (response, body) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(body),
  'as an event': (response, body) =>
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(`data: ${body}\n\n`),
  'before the answer': (response, body) =>
    response
      .writeHead(200, { 'content-type': 'text/event-stream' })
      .end(
        `data: {"jsonrpc":"2.0","method":"notifications/message","params":${body}}\n\ndata: {"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":${body}}\n\n`,
      ),
  'with 400': (response, body) =>
    response.writeHead(400, { 'content-type': 'application/json' }).end(body),
  'with 401': (response, body) =>
    response.writeHead(401, { 'content-type': 'application/json' }).end(body),
}

/** What shows how a target's refusals are read. */
const SHORT = ['initialize', 'tools/list', 'tools/call']

const METHODS: Record<string, (name: string) => object> = {
  initialize: () => ({
    protocolVersion: '2025-06-18',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  }),
  'tools/list': () => ({}),
  'resources/list': () => ({}),
  'prompts/list': () => ({}),
  'resources/templates/list': () => ({}),
  'tools/call': (name) => ({ name, arguments: {} }),
  'resources/read': () => ({ uri: 'file://target/x' }),
  'logging/setLevel': () => ({ level: 'info' }),
  ping: () => ({}),
}

async function open(stack: Stack): Promise<Record<string, string>> {
  const params = METHODS['initialize']?.('')
  const answer = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  const headers = { 'mcp-session-id': answer.headers.get('mcp-session-id') ?? '' }
  await stack.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers)
  return headers
}

describe.each(['one', 'two'])('with %s of targets', (count) => {
  const stack = () => (count === 'one' ? one : two)

  describe.each(Object.keys(FORMS))('what is written %s', (form) => {
    it.each(Object.keys(BODIES))('and is %s costs one answer at most', async (body) => {
      const methods = form.startsWith('as') ? Object.keys(METHODS) : SHORT
      for (const method of methods) {
        target.intercept(undefined)
        const headers = method === 'initialize' ? {} : await open(stack())
        target.intercept(({ rpc, message }, response) => {
          if (rpc !== method) return false
          FORMS[form]?.(response, BODIES[body]?.(JSON.stringify(message?.['id'])) ?? '')
          return true
        })
        const params = METHODS[method]?.('target_echo')
        const id = randomUUID()
        const answer = await stack().post({ jsonrpc: '2.0', id, method, params }, headers)
        const text = await answer.text()
        expect([method, text.slice(0, 300)]).toEqual([method, expect.stringContaining('jsonrpc')])
      }
      const alive = {
        jsonrpc: '2.0',
        id: 'alive',
        method: 'tools/call',
        params: { name: count === 'one' ? 'target_echo' : 'other_echo', arguments: {} },
      }
      target.intercept(undefined)
      expect(await (await stack().post(alive, await open(stack()))).text()).toContain('content')
    })
  })
})

it('messages of great depth that come unasked on a stream leave the stream and the server alive', async () => {
  target.intercept(undefined)
  for (const stack of [one, two]) {
    const headers = await open(stack)
    target.intercept(({ method }, response) => {
      if (method !== 'GET') return false
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const body of Object.values(BODIES)) response.write(`data: ${body('1')}\n\n`)
      const params = '{"level":"info","data":"still here"}'
      response.write(
        `data: {"jsonrpc":"2.0","method":"notifications/message","params":${params}}\n\n`,
      )
      return true
    })
    const token = await stack.token()
    const answer = await fetch(stack.url, {
      headers: { ...headers, accept: 'text/event-stream', authorization: `Bearer ${token}` },
    })
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    let text = ''
    while (!text.includes('still here')) {
      const { value, done } = await reader.read()
      if (done) throw new Error('the stream ended')
      text = (text + Buffer.from(value).toString()).slice(-1_000)
    }
    await reader.cancel()
    target.intercept(undefined)
  }
})
