import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  target = await startRecordingTarget({ answerWith: 'sse' })
  stack = await startStack({
    targets: { target: target.url },
    config: { timeouts: { heartbeat: 0.2 }, limits: { bodyBytes: 8_000_000 } },
  })
})
beforeEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await target.close()
})

const call = (args: string, id: unknown = 1) =>
  `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"tools/call","params":{"name":"target_echo","arguments":${args}}}`

describe('a call', () => {
  it('reaches the target byte for byte but for its name', async () => {
    const odd = '{ "n":12345678901234567890,"e":1e400,"z":-0,"f":1.0,"s":"\\u00e9\\/" , "a":[ ] }'
    await stack.post(call(odd))
    expect(target.of('tools/call')[0]?.body).toBe(call(odd).replace('target_echo', 'echo'))
  })

  it('passes notifications before the answer, in order', async () => {
    target.on('tools/call', async (_params, { notify }) => {
      for (let i = 1; i <= 3; i++) await notify('notifications/progress', { progress: i })
      return { content: [] }
    })
    const text = await (await stack.post(call('{}'))).text()
    const seen = [...text.matchAll(/"progress":(\d)|"result"/g)].map(([match]) => match)
    expect(seen).toEqual(['"progress":1', '"progress":2', '"progress":3', '"result"'])
  })

  it('lets the target ask the client, and the answer finds its way', async () => {
    let answer: unknown
    target.on('tools/call', async (_params, { ask }) => {
      answer = await ask('elicitation/create', { message: 'Sure?' })
      return { content: [] }
    })
    const running = stack.post(call('{}'))
    const reader = (await running).body?.getReader()
    const { value } = (await reader?.read()) ?? {}
    const asked = JSON.parse(/data: (.*)/.exec(Buffer.from(value ?? []).toString())?.[1] ?? '{}')
    const reply = { jsonrpc: '2.0', id: asked.id, result: { action: 'accept' } }
    expect((await stack.post(reply)).status).toBe(202)
    await eventually(() => expect(answer).toMatchObject({ result: { action: 'accept' } }))
    await reader?.cancel()
  })

  it('that the client gives up is given up at the target', async () => {
    target.on('tools/call', () => NO_ANSWER)
    const abort = new AbortController()
    const headers = {
      authorization: `Bearer ${await stack.token()}`,
      'content-type': 'application/json',
    }
    const running = fetch(stack.url, {
      method: 'POST',
      headers,
      body: call('{}'),
      signal: abort.signal,
    })
    const request = await target.until(({ rpc }) => rpc === 'tools/call')
    abort.abort()
    await expect(running).rejects.toThrow()
    expect(await request.closed).toBe('aborted')
  })

  it('keeps the answers of 200 clients with the same id apart', async () => {
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

  it('may be 5 MB large, and its answer too', async () => {
    target.on('tools/call', (params) => ({ content: [], echo: params['arguments'] }))
    const text = 'é"\\'.repeat(1_000_000)
    const { result } = await readMessage(await stack.post(call(JSON.stringify({ text }))))
    expect(result.echo.text).toBe(text)
  })
})

describe('the GET stream', () => {
  it('opens at once, carries events as they come, and is kept alive between them', async () => {
    const headers = { authorization: `Bearer ${await stack.token()}`, 'last-event-id': 'e-7' }
    const response = await fetch(stack.url, { headers })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('x-accel-buffering')).toBe('no')
    expect(target.requests.find(({ method }) => method === 'GET')?.headers).toMatchObject({
      'last-event-id': 'e-7',
    })
    await target.notify('notifications/tools/list_changed')
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('list_changed') && text.includes(': keep-alive\n\n')) break
    }
    expect(text).toContain('notifications/tools/list_changed')
  })

  it('passes a 405 of the target on', async () => {
    const bare = await startRecordingTarget({ getStream: false })
    const front = await startStack({ targets: { target: bare.url } })
    const headers = { authorization: `Bearer ${await front.token()}` }
    expect((await fetch(front.url, { headers })).status).toBe(405)
    await front.close()
    await bare.close()
  })
})

describe('a message that two parsers could read differently', () => {
  it.each([
    ['not JSON', '{"jsonrpc":', -32700],
    ['a batch', `[${call('{}')}]`, -32600],
    ['a member twice', call('{}').replace('"id":1', '"id":1,"id":2'), -32600],
    ['an escaped name twice', call('{}').replace('"name"', '"n\\u0061me":"x","name"'), -32600],
    ['another case', call('{}').replace('"name"', '"Name"'), -32600],
    ['too deep a value', call('['.repeat(200) + ']'.repeat(200)), -32600],
    ['another version', call('{}').replace('"2.0"', '"1.0"'), -32600],
  ])('%s is refused', async (_title, body, code) => {
    const response = await stack.post(body)
    expect(response.status).toBe(400)
    expect((await readMessage(response)).error.code).toBe(code)
    expect(target.requests).toHaveLength(0)
  })

  it('and other bodies are refused by their size and type', async () => {
    expect((await stack.post('x'.repeat(9_000_000))).status).toBe(413)
    expect((await stack.post(call('{}'), { 'content-type': 'text/plain' })).status).toBe(415)
  })
})

describe('Host and Origin', () => {
  it.each([
    ['http://localhost:3000', 200],
    ['https://evil.example', 403],
    ['null', 403],
  ])('origin %s gives %i', async (origin, status) => {
    target.on('tools/call', () => ({ content: [] }))
    const response = await stack.post(call('{}'), { origin })
    expect(response.status).toBe(status)
    if (status === 200) expect(response.headers.get('access-control-allow-origin')).toBe(origin)
  })
})
