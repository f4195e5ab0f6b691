import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type Exchange,
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'
import type { SseStyle } from '../../helpers/targets/sse-writer.js'

let identity: Identity
let target: RecordingTarget
let stack: Stack
let several: Stack
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget()
  const config = { timeouts: { heartbeat: 0.1 } }
  stack = await startStack({ identity, targets: { target: target.url }, config })
  several = await startStack({ identity, targets: { a: target.url, b: target.url }, config })
})
afterEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await several.close()
  await target.close()
  await identity.close()
})

const callOf = (name = 'target_echo', id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
})

/** Reads a stream piece by piece. */
function reading(response: Response) {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const bytes: Buffer[] = []
  const text = () => Buffer.concat(bytes).toString()
  return {
    text,
    async until(part: string | RegExp) {
      while (text().search(part) < 0) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`The stream ended without ${part}: ${text()}`)
        bytes.push(Buffer.from(value))
      }
      return text()
    },
    cancel: () => reader.cancel(),
  }
}

const heartbeats = (text: string) => text.replaceAll(': keep-alive\n\n', '')

/** The messages of an event stream, read as a client does. */
function messagesOf(stream: string): Record<string, unknown>[] {
  return stream
    .replace(/\r\n|\r/g, '\n')
    .split('\n\n')
    .map((event) => event.split('\n').filter((line) => line.startsWith('data:')))
    .map((lines) => lines.map((line) => line.replace(/^data: ?/, '')).join('\n'))
    .filter((data) => data !== '')
    .map((data) => JSON.parse(data))
}

/** Ids are bound to their caller where the target gives no session. */
const EVENT_ID = /id: ?[^\r\n]+/g

describe('an event stream', () => {
  const STYLES: [string, SseStyle][] = [
    ['with LF', {}],
    ['with CRLF', { lineEnd: '\r\n' }],
    ['with lone CR', { lineEnd: '\r' }],
    ['without names and spaces', { named: false, tight: true }],
    ['with comments', { comments: true }],
    ['with ids, priming and retry', { eventIds: true, priming: true, retryMs: 1234 }],
    ['with several data lines', { multiline: true }],
    ['with a byte order mark', { byteOrderMark: true }],
    ['in pieces of 1 byte', { chunkBytes: 1 }],
    ['in pieces of 7 bytes, with CRLF', { chunkBytes: 7, lineEnd: '\r\n', comments: true }],
    ['in pieces of 1 byte, with CRLF', { chunkBytes: 1, lineEnd: '\r\n', multiline: true }],
    ['in pieces of 1 byte, with CR and ids', { chunkBytes: 1, lineEnd: '\r', eventIds: true }],
  ]

  it.each(STYLES)('%s passes byte for byte from one target', async (_title, sse) => {
    const styled = await startRecordingTarget({ sse, answerWith: 'sse' })
    const front = await startStack({ identity, targets: { target: styled.url } })
    try {
      styled.on('tools/call', async (_params, { notify }) => {
        await notify('notifications/progress', { progressToken: 1, progress: 1, message: 'é€😀' })
        return { content: [{ type: 'text', text: 'a\nb' }] }
      })
      const direct = await fetch(styled.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(callOf('echo')),
      })
      const expected = (await direct.text()).replace(EVENT_ID, 'id')
      const text = await (await front.post(callOf())).text()
      expect(text.replace(EVENT_ID, 'id')).toBe(expected)
      expect(messagesOf(text).map(({ method }) => method)).toEqual([
        'notifications/progress',
        undefined,
      ])
    } finally {
      await front.close()
      await styled.close()
    }
  })

  it.each(STYLES)('%s keeps its meaning where a list is rewritten', async (_title, sse) => {
    const styled = await startRecordingTarget({ sse, answerWith: 'sse' })
    const front = await startStack({ identity, targets: { target: styled.url, other: target.url } })
    const single = await startStack({ identity, targets: { target: styled.url } })
    try {
      const list = { jsonrpc: '2.0', id: 'l', method: 'tools/list' }
      const text = await (await single.post(list)).text()
      const [message] = messagesOf(text.replace(/^\ufeff/, ''))
      expect(JSON.stringify(message)).toContain('"name":"target_echo"')
      if (sse.eventIds) expect(text).toMatch(/^id: e\.\S+$/m)
      if (sse.retryMs) expect(text).toContain('retry: 1234')
      const { result } = await readMessage(await front.post(list))
      expect(result.tools.map(({ name }: { name: string }) => name)).toEqual([
        'target_echo',
        'other_echo',
      ])
    } finally {
      await front.close()
      await single.close()
      await styled.close()
    }
  })

  it('comes event by event, without waiting for the next', async () => {
    let go: () => void = () => {}
    target.on('tools/call', async (_params, { stream, notify }) => {
      await stream.comment('first')
      await notify('notifications/message', { level: 'info', data: 1 })
      await new Promise<void>((resolve) => {
        go = resolve
      })
      return { content: [] }
    })
    const stream = reading(await stack.post(callOf()))
    await stream.until('"data":1')
    expect(stream.text()).toContain(': first')
    expect(stream.text()).not.toContain('"result"')
    go()
    await stream.until('"result"')
  })

  it('gets heartbeats between its events and never inside one', async () => {
    target.on('tools/call', async (_params, { stream, id }) => {
      const text = `data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } })}\n\n`
      await stream.raw('event: message\n')
      await new Promise((resolve) => setTimeout(resolve, 350))
      await stream.raw(text.slice(0, 20))
      await new Promise((resolve) => setTimeout(resolve, 350))
      await stream.raw(text.slice(20))
      await stream.end()
      return NO_ANSWER
    })
    const text = await (await stack.post(callOf())).text()
    expect(text).toContain(': keep-alive\n\n')
    expect(heartbeats(text)).toMatch(/^event: message\ndata: \{.*\}\n\n$/)
    expect(messagesOf(heartbeats(text))).toHaveLength(1)
  })
})

describe('a request of the target to the client', () => {
  const METHODS = ['sampling/createMessage', 'elicitation/create', 'roots/list']

  it.each(METHODS)(
    '%s is bound to its caller with one target that gives no session',
    async (method) => {
      let reply: unknown
      target.on('tools/call', async (_params, { ask }) => {
        reply = await ask(method, { a: 1 })
        return { content: [] }
      })
      const stream = reading(await stack.post(callOf()))
      const [asked] = messagesOf(heartbeats(await stream.until(/"method".*\n\n/)))
      expect(asked).toMatchObject({ method, params: { a: 1 }, id: expect.stringMatching(/^p\./) })
      const response = await stack.post({ jsonrpc: '2.0', id: asked?.['id'], result: { b: 2 } })
      expect(response.status).toBe(202)
      await stream.until('"result"')
      expect(reply).toMatchObject({ id: expect.stringMatching(/^ask-/), result: { b: 2 } })
    },
  )

  it.each(METHODS)('%s finds its way back with two targets', async (method) => {
    const replies: Record<string, unknown> = {}
    const other = await startRecordingTarget()
    const front = await startStack({ identity, targets: { a: target.url, b: other.url } })
    try {
      const asking =
        (name: string) =>
        async (_params: unknown, { ask }: Exchange) => {
          replies[name] = await ask(method, { of: name })
          return { content: [{ type: 'text', text: name }] }
        }
      target.on('tools/call', asking('a'))
      other.on('tools/call', asking('b'))
      const streams = [
        reading(await front.post(callOf('a_echo'))),
        reading(await front.post(callOf('b_echo'))),
      ] as const
      const asked = []
      for (const stream of streams) {
        asked.push(messagesOf(heartbeats(await stream.until(/"method".*\n\n/)))[0])
      }
      expect(asked.map((message) => message?.['params'])).toEqual([{ of: 'a' }, { of: 'b' }])
      for (const [index, message] of [...asked.entries()].reverse()) {
        const answer = { jsonrpc: '2.0', id: message?.['id'], result: { index } }
        expect((await front.post(answer)).status).toBe(202)
      }
      for (const stream of streams) await stream.until('"result"')
      expect(replies).toMatchObject({ a: { result: { index: 0 } }, b: { result: { index: 1 } } })
      for (const reply of Object.values(replies) as { id: string }[]) {
        expect(reply.id).toMatch(/^ask-/)
      }
    } finally {
      await front.close()
      await other.close()
    }
  })

  it('is declined with an error that reaches the target too', async () => {
    let reply: unknown
    target.on('tools/call', async (_params, { ask }) => {
      reply = await ask('elicitation/create')
      return { content: [] }
    })
    const stream = reading(await several.post(callOf('b_echo')))
    const [asked] = messagesOf(heartbeats(await stream.until(/"method".*\n\n/)))
    const error = { code: -1, message: 'no' }
    await several.post({ jsonrpc: '2.0', id: asked?.['id'], error })
    await stream.until('"result"')
    expect(reply).toMatchObject({ error })
  })

  it.each([
    'ask-1',
    7,
    'p.WyJhIiwiYXNrLTEiXQ.AAAAAAAAAAAA',
    'p..',
    'p.WyJhIiwiYXNrLTEiXQ',
    `p.${'x'.repeat(5000)}.y`,
  ])('is not answered under the forged id %j', async (id) => {
    const response = await several.post({ jsonrpc: '2.0', id, result: {} })
    expect(response.status).toBe(400)
    expect((await readMessage(response)).error.code).toBe(-32600)
    expect(target.requests).toHaveLength(0)
  })
})

describe('a notification of the client', () => {
  const cancelled = {
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { requestId: 5, reason: 'enough' },
  }

  it('passes as it is to one target, and to each of several', async () => {
    expect((await stack.post(cancelled)).status).toBe(202)
    await eventually(() => expect(target.of(cancelled.method)).toHaveLength(1))
    target.clear()
    expect((await several.post(cancelled)).status).toBe(202)
    await eventually(() => expect(target.of(cancelled.method)).toHaveLength(2))
    for (const { body } of target.requests) expect(body).toBe(JSON.stringify(cancelled))
  })
})

/** Sends a call whose answer can be given up. */
async function abortable(at: Stack, message: object = callOf()) {
  const abort = new AbortController()
  const running = fetch(at.url, {
    method: 'POST',
    signal: abort.signal,
    headers: {
      authorization: `Bearer ${await at.token()}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify(message),
  })
  running.catch(() => {})
  return { abort, running }
}

describe('a client that leaves', () => {
  it('before the head of the answer ends the call at the target', async () => {
    target.on('tools/call', () => NO_ANSWER)
    const { abort } = await abortable(stack)
    const request = await target.until(({ rpc }) => rpc === 'tools/call')
    abort.abort()
    expect(await request.closed).toBe('aborted')
  })

  it('in the middle of a stream ends it at the target', async () => {
    target.on('tools/call', async (_params, { notify }) => {
      await notify('notifications/message', { level: 'info', data: 'x' })
      return NO_ANSWER
    })
    const { abort, running } = await abortable(several, callOf('a_echo'))
    await reading(await running).until('notifications/message')
    const request = await target.until(({ rpc }) => rpc === 'tools/call')
    abort.abort()
    expect(await request.closed).toBe('aborted')
  })

  it('while several targets are asked for their lists disturbs nobody', async () => {
    target.on('tools/list', () => new Promise(() => {}))
    const { abort } = await abortable(several, { jsonrpc: '2.0', id: 1, method: 'tools/list' })
    await eventually(() => expect(target.of('tools/list')).toHaveLength(2))
    abort.abort()
    target.on('tools/list', () => ({ tools: target.contents.tools }))
    const again = await several.post({ jsonrpc: '2.0', id: 2, method: 'tools/list' })
    expect((await readMessage(again)).result.tools).toHaveLength(2)
  })

  it('300 times leaves no connection to the target and no stream open', async () => {
    const own = await startRecordingTarget()
    const front = await startStack({ identity, targets: { target: own.url } })
    try {
      own.on('tools/call', async (params, { notify }) => {
        if (JSON.stringify(params).includes('stream')) await notify('notifications/message')
        return NO_ANSWER
      })
      for (let round = 0; round < 6; round++) {
        const clients = await Promise.all(
          Array.from({ length: 50 }, (_, i) =>
            abortable(front, {
              ...callOf(),
              params: { name: 'target_echo', arguments: { kind: i % 2 ? 'stream' : 'json' } },
            }),
          ),
        )
        await eventually(() => expect(own.of('tools/call')).toHaveLength(50 * (round + 1)))
        for (const { abort } of clients) abort.abort()
      }
      await eventually(() => expect(own.openSockets).toBe(0))
      expect(own.socketCount).toBeGreaterThan(49)
      own.on('tools/call', () => ({ content: [] }))
      expect((await front.post(callOf())).status).toBe(200)
      // none was connected again for a call that nobody waits for
      expect(own.socketCount).toBeLessThanOrEqual(301)
    } finally {
      await front.close()
      await own.close()
    }
  })
})

describe('200 clients at once', () => {
  it('with equal ids and answers out of order get their own each, over streams too', async () => {
    target.on('tools/call', async (params, { notify }) => {
      const args = params['arguments'] as { i: number }
      if (args.i % 2) await notify('notifications/message', { level: 'info', data: args.i })
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 80))
      return { content: [], echo: args.i }
    })
    const fronts = [stack, several] as const
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const front = fronts[i % 4 < 2 ? 0 : 1]
        const name = front === stack ? 'target_echo' : 'b_echo'
        const params = { name, arguments: { i } }
        const text = await (await front.post({ ...callOf(), params })).text()
        const messages = text.startsWith('{') ? [JSON.parse(text)] : messagesOf(heartbeats(text))
        return messages.map(({ params, result }) => params?.data ?? result.echo)
      }),
    )
    expect(answers).toEqual(answers.map((_, i) => (i % 2 ? [i, i] : [i])))
  })
})

describe('the GET stream', () => {
  const open = async (at: Stack, headers: Record<string, string> = {}) =>
    fetch(at.url, { headers: { authorization: `Bearer ${await at.token()}`, ...headers } })

  it('opens before any event, and ends at the target when the client leaves', async () => {
    const stream = reading(await open(stack))
    const [request] = target.requests
    expect(request).toMatchObject({ method: 'GET', aborted: false })
    await stream.until(': keep-alive\n\n')
    await stream.cancel()
    expect(await request?.closed).toBe('aborted')
  })

  it('gets no heartbeat inside an event that comes in pieces', async () => {
    const stream = reading(await open(stack))
    const [own] = target.getStreams()
    const message = '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}'
    await own?.raw('data: {"jsonrpc":"2.0",')
    await new Promise((resolve) => setTimeout(resolve, 350))
    await own?.raw(`${message.slice('{"jsonrpc":"2.0",'.length)}\n\n`)
    await stream.until('list_changed')
    expect(heartbeats(stream.text())).toBe(`data: ${message}\n\n`)
    await stream.cancel()
  })

  it('carries requests of one target, and the answers go back', async () => {
    const stream = reading(await open(stack))
    const reply = target.ask('roots/list')
    const [asked] = messagesOf(heartbeats(await stream.until(/roots\/list.*\n\n/)))
    await stack.post({ jsonrpc: '2.0', id: asked?.['id'], result: { roots: [] } })
    expect(await reply).toMatchObject({ result: { roots: [] } })
    await stream.cancel()
  })

  it('resumes a call: the target gets the last event id and sends the rest', async () => {
    const resumable = await startRecordingTarget({ sse: { eventIds: true, priming: true } })
    const front = await startStack({ identity, targets: { target: resumable.url } })
    try {
      resumable.on('tools/call', async (_params, { stream, notify, id }) => {
        await notify('notifications/message', { level: 'info', data: 'before' })
        await stream.disconnect()
        await stream.send({ jsonrpc: '2.0', id, result: { content: [], late: true } })
        return NO_ANSWER
      })
      const first = await (await front.post(callOf())).text()
      expect(first).not.toContain('"error"')
      const lastEventId = [...first.matchAll(/^id: ?(.+)$/gm)].at(-1)?.[1] as string
      const stream = reading(await open(front, { 'last-event-id': lastEventId }))
      expect(messagesOf(await stream.until('"late":true'))).toHaveLength(1)
      await stream.cancel()
    } finally {
      await front.close()
      await resumable.close()
    }
  })
})

describe('DELETE', () => {
  it('ends the session at the target, and the sealed id is then unknown there', async () => {
    const stateful = await startRecordingTarget({ sessions: 'required' })
    const front = await startStack({ identity, targets: { target: stateful.url } })
    try {
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
      const hello = await front.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params })
      const id = hello.headers.get('mcp-session-id') as string
      const [own] = stateful.sessions
      expect(id).not.toContain(own)
      const headers = { authorization: `Bearer ${await front.token()}`, 'mcp-session-id': id }
      const response = await fetch(front.url, { method: 'DELETE', headers })
      expect(response.status).toBe(200)
      expect(stateful.requests.at(-1)).toMatchObject({ method: 'DELETE', sessionId: own })
      expect(stateful.sessions.size).toBe(0)
      expect((await front.post(callOf(), { 'mcp-session-id': id })).status).toBe(404)
    } finally {
      await front.close()
      await stateful.close()
    }
  })
})
