import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { call as post } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'
import type { SseStyle } from '../../helpers/targets/sse-writer.js'

let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  target = await startRecordingTarget({
    answerWith: 'sse',
    prompts: [{ name: 'hello' }],
    resources: [{ uri: 'test://one', name: 'one' }],
  })
  stack = await startStack({
    targets: { target: target.url },
    config: { timeouts: { heartbeat: 0.2 } },
  })
})
beforeEach(() => {
  target.clear()
  target.intercept(undefined)
  target.on('tools/call', () => ({ content: [] }))
})
afterAll(async () => {
  await stack.close()
  await target.close()
})

const call = (args = '{}', id: unknown = 1) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"tools/call","params":{"name":"target_echo","arguments":${args}}}`
const message = (method: string, params: object = {}, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
})
/** Reads a response piece by piece. */
function readStream(response: Response) {
  const reader = response.body?.getReader()
  let text = ''
  return {
    async until(pattern: RegExp): Promise<string> {
      while (!pattern.test(text)) {
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true }
        if (done) throw new Error(`The stream ended without ${pattern}: ${text}`)
        text += Buffer.from(value ?? []).toString()
      }
      return text
    },
    cancel: () => reader?.cancel(),
  }
}

describe('an answer', () => {
  it('as JSON passes byte for byte', async () => {
    const body =
      '{ "id":1, "jsonrpc":"2.0","result":{"n":12345678901234567890,"e":1e400,"s":"\\u00e9"} }\n'
    target.intercept(({ rpc }, response) => {
      if (rpc !== 'tools/call') return false
      response.writeHead(200, { 'content-type': 'application/json' }).end(body)
      return true
    })
    expect(await (await stack.post(call())).text()).toBe(body)
  })

  it('as events passes notifications before the response, in order', async () => {
    target.on('tools/call', async (_params, { notify }) => {
      for (let i = 1; i <= 3; i++) await notify('notifications/progress', { progress: i })
      return { content: [] }
    })
    const text = await (await stack.post(call())).text()
    const seen = [...text.matchAll(/"progress":(\d)|"result"/g)].map(([match]) => match)
    expect(seen).toEqual(['"progress":1', '"progress":2', '"progress":3', '"result"'])
  })

  it('comes event by event, not at the end', async () => {
    let go: () => void = () => undefined
    const gone = new Promise<void>((resolve) => {
      go = resolve
    })
    target.on('tools/call', async (_params, { notify }) => {
      await notify('notifications/progress', { progress: 1 })
      await gone
      return { content: [] }
    })
    const response = await stack.post(call())
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    expect(response.headers.get('cache-control')).toContain('no-transform')
    const stream = readStream(response)
    expect(await stream.until(/"progress":1/)).not.toContain('"result"')
    go()
    await stream.until(/"result"/)
  })

  it('is kept alive while it is awaited', async () => {
    target.on('tools/call', async (_params, { notify }) => {
      await notify('notifications/progress', { progress: 1 })
      await new Promise((resolve) => setTimeout(resolve, 700))
      return { content: [] }
    })
    const text = await (await stack.post(call())).text()
    expect(text).toContain(': keep-alive\n\n')
    expect(text).toContain('"result"')
  })

  it.each<[string, SseStyle]>([
    [
      'ids, a priming event, retry and comments',
      { eventIds: true, priming: true, retryMs: 1_500, comments: true },
    ],
    ['CRLF', { lineEnd: '\r\n', comments: true }],
    ['CR alone', { lineEnd: '\r' }],
    ['no name and no space', { named: false, tight: true }],
    ['data over several lines', { multiline: true }],
    ['a byte order mark', { byteOrderMark: true, named: false }],
    ['a segment for each byte', { chunkBytes: 1, lineEnd: '\r\n' }],
  ])('[mcp-sse-untouched] with %s passes byte for byte', async (_title, sse) => {
    const styled = await startRecordingTarget({ answerWith: 'sse', sse })
    const front = await startStack({
      identity: stack.identity,
      targets: { target: { url: styled.url, prefix: '' } },
    })
    styled.on('tools/call', async (_params, { notify }) => {
      await notify('notifications/message', { level: 'info', data: 'wörk 🛠' })
      return { content: [{ type: 'text', text: 'dönë' }] }
    })
    try {
      const headers = { authorization: `Bearer ${await front.token()}` }
      const direct = await post(styled.url, 'tools/call', { name: 'echo' })
      const through = await post(front.url, 'tools/call', { name: 'echo' }, { headers })
      const anyId = (text: string) => text.replace(/id: ?[^\r\n]+/g, 'id')
      expect(anyId(through.body)).toBe(anyId(direct.body))
      expect(through.body).not.toContain('"error"')
    } finally {
      await front.close()
      await styled.close()
    }
  })

  it('that is a list is rewritten in any of these forms, with its other fields kept', async () => {
    const sse = {
      eventIds: true,
      priming: true,
      retryMs: 9,
      comments: true,
      lineEnd: '\r\n',
      multiline: true,
    } as const
    const styled = await startRecordingTarget({ answerWith: 'sse', sse, tools: [tool('echo')] })
    const front = await startStack({ identity: stack.identity, targets: { target: styled.url } })
    try {
      const text = await (await front.post(message('tools/list'))).text()
      expect(text).toContain('"name": "target_echo"')
      expect(text).toMatch(/retry: 9/)
      expect(text.match(/^id: e\.\S+$/gm)?.length).toBe(2)
    } finally {
      await front.close()
      await styled.close()
    }
  })

  it('that is a list is rewritten behind a byte order mark, too', async () => {
    const sse = { byteOrderMark: true, named: false, chunkBytes: 2 }
    const styled = await startRecordingTarget({ answerWith: 'sse', sse })
    const front = await startStack({ identity: stack.identity, targets: { target: styled.url } })
    try {
      const text = await (await front.post(message('tools/list'))).text()
      expect(text).toContain('"name":"target_echo"')
      expect(text).not.toContain('"error"')
    } finally {
      await front.close()
      await styled.close()
    }
  })

  it('survives any cut of its bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 12 }),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.string({ unit: 'binary', maxLength: 30 }), { maxLength: 4 }),
        async (cuts, end, texts) => {
          const events = [
            ...texts.map((data) => ({ method: 'notifications/message', params: { data } })),
            { id: 1, result: { content: [] } },
          ].map((event) => `data: ${JSON.stringify({ jsonrpc: '2.0', ...event })}${end}${end}`)
          const bytes = Buffer.from(events.join(''))
          target.intercept(async ({ rpc }, response) => {
            if (rpc !== 'tools/call') return false
            response.writeHead(200, { 'content-type': 'text/event-stream' })
            let from = 0
            for (const length of cuts) {
              await new Promise((resolve) =>
                response.write(bytes.subarray(from, from + length), resolve),
              )
              from += length
              await new Promise((resolve) => setImmediate(resolve))
            }
            response.end(bytes.subarray(from))
            return true
          })
          const text = await (await stack.post(call())).text()
          expect(text.replaceAll(': keep-alive\n\n', '')).toBe(bytes.toString())
        },
      ),
      { numRuns: 25 },
    )
  })

  it('of 200 clients with the same id stays apart', async () => {
    target.on('tools/call', async (params) => {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 50))
      return { content: [], echo: params['arguments'] }
    })
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) =>
        readMessage(await stack.post(call(`{"i":${i}}`))),
      ),
    )
    expect(answers.map(({ result }) => result.echo.i)).toEqual(answers.map((_, i) => i))
  })
})

describe('a request of the target to the client', () => {
  it.each([
    ['sampling/createMessage', { role: 'assistant', content: { type: 'text', text: 'x' } }],
    ['elicitation/create', { action: 'accept', content: { n: 1 } }],
    ['roots/list', { roots: [{ uri: 'file:///home' }] }],
  ])('%s is answered by the client', async (method, result) => {
    let answer: unknown
    target.on('tools/call', async (_params, { ask }) => {
      answer = await ask(method, { message: 'Sure?' })
      return { content: [{ type: 'text', text: 'asked' }] }
    })
    const stream = readStream(await stack.post(call()))
    const text = await stream.until(/data: (.*)\n\n/)
    expect(text).toContain(method)
    expect(answer).toBeUndefined()
    const { id } = JSON.parse(/data: (.*)/.exec(text)?.[1] ?? '{}')
    expect((await stack.post({ jsonrpc: '2.0', id, result })).status).toBe(202)
    await stream.until(/asked/)
    expect(answer).toEqual({ jsonrpc: '2.0', id: expect.stringMatching(/^ask-/), result })
  })
})

it.each([
  [
    'prompts/get',
    { name: 'target_hello', arguments: { a: 'b' } },
    { name: 'hello', arguments: { a: 'b' } },
  ],
  [
    'completion/complete',
    { ref: { type: 'ref/prompt', name: 'target_hello' }, argument: { name: 'a', value: 'x' } },
    { ref: { type: 'ref/prompt', name: 'hello' }, argument: { name: 'a', value: 'x' } },
  ],
  [
    'completion/complete',
    { ref: { type: 'ref/resource', uri: 'test://{x}' }, argument: { name: 'x', value: 'x' } },
    { ref: { type: 'ref/resource', uri: 'test://{x}' }, argument: { name: 'x', value: 'x' } },
  ],
  ['resources/read', { uri: 'test://one' }, { uri: 'test://one' }],
  ['resources/subscribe', { uri: 'test://one' }, { uri: 'test://one' }],
  ['resources/unsubscribe', { uri: 'test://one' }, { uri: 'test://one' }],
  ['logging/setLevel', { level: 'debug' }, { level: 'debug' }],
  ['ping', {}, {}],
  ['vendor/unknown', { name: 'target_x' }, { name: 'target_x' }],
])('%s reaches a single target with its own names and URIs', async (method, sent, received) => {
  const response = await stack.post(message(method, sent))
  await response.text()
  expect(target.of(method)[0]?.message).toEqual(message(method, received))
})

it('[mcp-notification-202] notifications of the client reach the target, and are accepted without a body', async () => {
  const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
  const response = await stack.post(cancelled)
  expect(response.status).toBe(202)
  expect(await response.text()).toBe('')
  expect(target.of('notifications/cancelled')[0]?.message).toEqual(cancelled)
})
