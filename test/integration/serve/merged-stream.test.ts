import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'
const config = {
  session: { secret: SECRET },
  server: { publicUrl: 'http://localhost:8123' },
  timeouts: { heartbeat: 0.2 },
  limits: { streamsPerCaller: 200 },
}
const README = 'data://readme'

let a: RecordingTarget
let b: RecordingTarget
let stack: Stack
/** Another process in front of the same targets. */
let replica: Stack
beforeAll(async () => {
  const options = { sessions: 'required', sse: { eventIds: true } } as const
  a = await startRecordingTarget({ ...options, listChanged: true })
  b = await startRecordingTarget({ ...options, sse: { ...options.sse, idPrefix: 'ü中' } })
  const targets = { a: a.url, b: b.url }
  stack = await startStack({ targets, config })
  replica = await startStack({ targets, config, identity: stack.identity })
})
afterAll(async () => {
  await Promise.all([stack.close(), replica.close()])
  await Promise.all([a.close(), b.close()])
})

const HELLO = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: { sampling: {}, elicitation: {}, roots: {} },
    clientInfo: { name: 'c', version: '1' },
  },
}

const opened = new Set<AbortController>()
let session: Record<string, string>
beforeEach(async () => {
  for (const target of [a, b]) {
    target.clear()
    target.intercept(undefined)
    target.on('tools/call', () => ({ content: [] }))
  }
  session = await initialize()
})
afterEach(async () => {
  for (const abort of opened) abort.abort()
  opened.clear()
  await eventually(() => expect([...a.getStreams(), ...b.getStreams()]).toEqual([]))
})

async function initialize(headers: Record<string, string> = {}, at = stack) {
  const response = await at.post(HELLO, headers)
  await response.text()
  return { ...headers, 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' }
}

interface Read {
  id: string | undefined
  data: string
  message: Record<string, unknown> & { id?: unknown; params?: Record<string, unknown> }
}

/** Opens the stream and reads its events. */
async function listen(at: Stack, headers: Record<string, string>, targets = [a, b]) {
  const abort = new AbortController()
  opened.add(abort)
  const before = targets.map((target) => target.getStreams().length)
  const authorization = `Bearer ${await at.token()}`
  const response = await fetch(at.url, {
    headers: { authorization, accept: 'text/event-stream', ...headers },
    signal: abort.signal,
  })
  const reader = response.body?.getReader()
  let text = ''
  const events: Read[] = []
  return {
    response,
    /** Waits until each target has the stream. */
    ready: () =>
      eventually(() => {
        for (const [i, target] of targets.entries()) {
          expect(target.getStreams()).toHaveLength((before[i] as number) + 1)
        }
      }),
    async next(): Promise<Read> {
      for (;;) {
        const event = events.shift()
        if (event !== undefined) return event
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true }
        if (done) throw new Error(`The stream ended: ${text}`)
        text += Buffer.from(value ?? []).toString()
        const end = text.lastIndexOf('\n\n')
        if (end < 0) continue
        events.push(...text.slice(0, end).split('\n\n').flatMap(readEvent))
        text = text.slice(end + 2)
      }
    },
    close: () => abort.abort(),
  }
}

function readEvent(event: string): Read[] {
  const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(event)?.[1]
  const data = field('data')
  return data ? [{ id: field('id'), data, message: JSON.parse(data) }] : []
}

const callOf = (name: string, id: unknown = 1) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {} },
})

describe('the stream of several targets', () => {
  it('opens at once, though no target has answered', async () => {
    for (const target of [a, b]) target.intercept(({ method }) => method === 'GET')
    const stream = await listen(stack, session)
    expect(stream.response.status).toBe(200)
    expect(stream.response.headers.get('content-type')).toBe('text/event-stream')
    stream.close()
    const requests = await Promise.all(
      [a, b].map((target) => target.until(({ method }) => method === 'GET')),
    )
    for (const request of requests) expect(await request.closed).toBe('aborted')
  })

  it('brings what each target sends, and each target gets its own session', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    await a.notify('notifications/tools/list_changed')
    expect((await stream.next()).message['method']).toBe('notifications/tools/list_changed')
    await b.notify('notifications/message', { level: 'info', data: 9 })
    expect((await stream.next()).message).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/message',
      params: { level: 'info', data: 9 },
    })
    for (const target of [a, b]) {
      const [get] = target.requests.filter(({ method }) => method === 'GET')
      expect(get?.sessionId).toBe([...target.sessions].at(-1))
    }
  })

  it('names resources after their target, and leaves every other byte as it is', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    const text = `{"params": {"x":12345678901234567890, "uri" : "${README}"},"jsonrpc":"2.0","method":"notifications/resources/updated"}`
    await b.getStreams()[0]?.raw(`data: ${text}\n\n`)
    expect((await stream.next()).data).toBe(text.replace(README, 'data://b/readme'))
  })

  it('takes requests of both targets and their answers back, though the ids are equal', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    for (const target of [a, b]) {
      await target.getStreams()[0]?.send({
        jsonrpc: '2.0',
        id: 7,
        method: 'elicitation/create',
        params: { _meta: { progressToken: 7 } },
      })
    }
    const asked = [(await stream.next()).message, (await stream.next()).message]
    expect(asked[0]?.id).not.toBe(asked[1]?.id)
    for (const [index, { id, params = {} }] of asked.entries()) {
      const progress = { ...(params['_meta'] as object), progress: index }
      const message = { jsonrpc: '2.0', method: 'notifications/progress', params: progress }
      expect((await stack.post(message, session)).status).toBe(202)
      // the answer comes in at another process
      const answer = { jsonrpc: '2.0', id, result: { index } }
      expect((await replica.post(answer, session)).status).toBe(202)
    }
    const sentTo = (target: RecordingTarget) => ({
      answers: target.requests.filter(({ rpc, message }) => message !== undefined && !rpc),
      progress: target.of('notifications/progress'),
    })
    await eventually(() => {
      for (const target of [a, b]) {
        const { answers, progress } = sentTo(target)
        expect(answers.map(({ message }) => message?.['id'])).toEqual([7])
        expect(progress.map(({ message }) => message?.['params'])).toEqual([
          { progressToken: 7, progress: expect.any(Number) },
        ])
      }
    })
    const indexes = [a, b].map((target) => sentTo(target).answers[0]?.message?.['result'])
    expect(indexes).toEqual(expect.arrayContaining([{ index: 0 }, { index: 1 }]))
  })

  it("calls a target's request off under the id that the client knows", async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    const [get] = b.getStreams()
    await get?.send({ jsonrpc: '2.0', id: 3, method: 'sampling/createMessage', params: {} })
    await get?.send({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 3, reason: 'enough' },
    })
    const asked = await stream.next()
    expect((await stream.next()).message.params).toEqual({
      requestId: asked.message.id,
      reason: 'enough',
    })
  })

  it("does not take one user's answer for another's", async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    await b.getStreams()[0]?.send({ jsonrpc: '2.0', id: 3, method: 'roots/list' })
    const { id } = (await stream.next()).message
    const authorization = `Bearer ${await stack.token({ sub: 'Uanother' })}`
    const other = await initialize({ authorization })
    b.clear()
    const answer = { jsonrpc: '2.0', id, result: { roots: [] } }
    expect((await stack.post(answer, other)).status).toBe(400)
    expect((await stack.post(answer, await initialize())).status).toBe(400)
    expect(b.requests.filter(({ rpc }) => rpc === undefined)).toHaveLength(0)
    expect((await stack.post(answer, session)).status).toBe(202)
  })
})

describe('a target', () => {
  it('that has no stream is left out, and not asked again', async () => {
    const bare = await startRecordingTarget({ getStream: false })
    const front = await startStack({
      targets: { a: a.url, bare: bare.url },
      identity: stack.identity,
    })
    try {
      const headers = await initialize({}, front)
      for (let i = 1; i <= 2; i++) {
        const stream = await listen(front, headers, [a])
        await stream.ready()
        await eventually(() => {
          expect(bare.requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
        })
        await a.notify('notifications/message', { data: i })
        expect((await stream.next()).message.params).toEqual({ data: i })
      }
    } finally {
      await front.close()
      await bare.close()
    }
  })

  it('that gives no stream to one caller is still asked for another', async () => {
    const appId = 'calendar'
    const front = await startStack({
      targets: { a: a.url, b: { url: b.url, credential: { type: 'connection', app: appId } } },
      identity: {
        scopes: ['outbound.token.fetch'],
        connections: ['alice', 'bob'].map((userId) => ({ appId, userId, accessToken: userId })),
      },
    })
    const bearer = async (sub: string) => ({
      authorization: `Bearer ${await front.token({ sub, scope: 'outbound.token.fetch' })}`,
    })
    b.intercept(({ method, headers }, response) => {
      const isRefused = method === 'GET' && headers.authorization === 'Bearer alice'
      if (isRefused) response.writeHead(405).end()
      return isRefused
    })
    const asked = () => b.requests.filter(({ method }) => method === 'GET').length
    try {
      for (const [sub, times] of [
        ['alice', 1],
        ['alice', 1],
        ['bob', 2],
      ] as const) {
        const headers = await initialize(await bearer(sub), front)
        const stream = await listen(front, headers, sub === 'bob' ? [a, b] : [a])
        await stream.ready()
        await eventually(() => expect(asked()).toBe(times))
      }
    } finally {
      await front.close()
    }
  })

  it('makes the answer 405 once it is known that no target has a stream', async () => {
    const bare = await startRecordingTarget({ getStream: false })
    const front = await startStack({
      targets: { one: bare.url, two: bare.url },
      identity: stack.identity,
    })
    try {
      await listen(front, {}, [])
      await eventually(() => expect(bare.requests).toHaveLength(2))
      await eventually(async () => {
        const { response, close } = await listen(front, {}, [])
        close()
        expect(response.status).toBe(405)
      })
    } finally {
      await front.close()
      await bare.close()
    }
  })

  it('whose stream ends is asked again, where it goes on', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    await b.notify('notifications/message', { data: 1 })
    expect((await stream.next()).message.params).toEqual({ data: 1 })
    const [get] = b.getStreams()
    await get?.disconnect()
    await get?.send({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 2 } })
    expect((await stream.next()).message.params).toEqual({ data: 2 })
    const gets = b.requests.filter(({ method }) => method === 'GET')
    expect(gets).toHaveLength(2)
    const sent = Buffer.from(`${gets[1]?.headers['last-event-id']}`, 'latin1').toString('utf8')
    expect(sent).toBe(`${get?.id}-1`)
    expect(a.requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
  })

  it('that is busy with our last stream, or broken for a while, is asked again', async () => {
    const statuses = [409, 503]
    b.intercept(({ method }, response) => {
      const status = method === 'GET' ? statuses.shift() : undefined
      if (status !== undefined) response.writeHead(status).end()
      return status !== undefined
    })
    const stream = await listen(stack, session)
    await stream.ready()
    await b.notify('notifications/message', { data: 3 })
    expect((await stream.next()).message.params).toEqual({ data: 3 })
  })

  it('that forgot the session is listened to again once a call has opened it again', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    await b.forget()
    await eventually(() => {
      expect(b.requests.filter(({ method }) => method === 'GET')).toHaveLength(2)
    })
    expect((await readMessage(await stack.post(callOf('b_echo'), session))).result).toBeDefined()
    await eventually(() => expect(b.getStreams([...b.sessions][0])).toHaveLength(1))
    await b.notify('notifications/message', { data: 4 })
    expect((await stream.next()).message.params).toEqual({ data: 4 })
    expect(b.of('initialize')).toHaveLength(2)
  })

  it('that forgot the session is opened again by each process that needs it, and by no other', async () => {
    await b.forget()
    a.clear()
    b.clear()
    for (const at of [stack, replica, stack, replica]) {
      const { id, result } = await readMessage(await at.post(callOf('b_echo', 'x'), session))
      expect([id, result !== undefined]).toEqual(['x', true])
    }
    // an id cannot change in a session, and nothing is shared: one session for each process
    expect(b.of('initialize')).toHaveLength(2)
    expect(a.requests).toHaveLength(0)
  })

  it('that sends faster than the client reads is made to wait', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    let sent = 0
    const data = 'x'.repeat(256 * 1024)
    const flooding = (async () => {
      for (; sent < 400; sent++) await a.notify('notifications/message', { data })
    })()
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    // 100 MiB would have come by now; what is under way is in the buffers of three sockets
    const underWay = sent
    expect(underWay).toBeLessThan(100)
    await b.notify('notifications/message', { data: 'of b' })
    for (let seen = 0; ; ) {
      const { message } = await stream.next()
      if (message.params?.['data'] === 'of b') break
      expect(seen++).toBeLessThan(underWay + 20)
    }
    for (let seen = 0; seen < 50; seen++) await stream.next()
    stream.close()
    await a.forget()
    await flooding.catch(() => undefined)
  })
})

describe('Last-Event-ID', () => {
  it('[mcp-resume] goes on at every target, in another process', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    await a.notify('notifications/message', { data: 'a1' })
    await stream.next()
    await b.notify('notifications/message', { data: 'b1' })
    const { id } = await stream.next()
    const gets = [...a.getStreams(), ...b.getStreams()]
    stream.close()
    await eventually(() => expect([...a.getStreams(), ...b.getStreams()]).toEqual([]))
    for (const get of gets) {
      await get.send({ jsonrpc: '2.0', method: 'notifications/message', params: { of: get.id } })
    }
    const again = await listen(replica, { ...session, 'last-event-id': id as string })
    const missed = [await again.next(), await again.next()].map(({ message }) => message.params)
    expect(missed).toEqual(expect.arrayContaining(gets.map(({ id: of }) => ({ of }))))
  })

  it('brings the rest of a call from its target, in another process', async () => {
    b.on('tools/call', async (_params, { stream, notify, id }) => {
      await notify('notifications/message', { data: 'before' })
      await stream.disconnect()
      const result = { content: [{ type: 'resource_link', uri: README, name: 'r' }] }
      await stream.send({ jsonrpc: '2.0', id, result })
      return NO_ANSWER
    })
    const text = await (await stack.post(callOf('b_echo', 'c1'), session)).text()
    expect(text).not.toContain('"error"')
    const id = /^id: ?(.+)$/m.exec(text)?.[1] as string
    const stream = await listen(replica, { ...session, 'last-event-id': id }, [])
    const { message } = await stream.next()
    expect(message).toMatchObject({ id: 'c1', result: { content: [{ uri: 'data://b/readme' }] } })
    expect(a.requests.filter(({ method }) => method === 'GET')).toHaveLength(0)
  })

  it('of another session, or changed, brings nothing of what was meant for others', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    await a.notify('notifications/message', { data: 'secret' })
    const id = (await stream.next()).id as string
    stream.close()
    await eventually(() => expect(a.getStreams()).toEqual([]))
    const other = await initialize()
    for (const [headers, lastEventId] of [
      [other, id],
      [session, `${id.slice(0, -1)}${id.endsWith('A') ? 'B' : 'A'}`],
      [session, 's1-0'],
      [session, `e.${'A'.repeat(9_000)}.x`],
    ] as const) {
      a.clear()
      const fresh = await listen(stack, { ...headers, 'last-event-id': lastEventId })
      await fresh.ready()
      const [get] = a.requests.filter(({ method }) => method === 'GET')
      expect(get?.headers['last-event-id']).toBeUndefined()
      fresh.close()
      await eventually(() => expect([...a.getStreams(), ...b.getStreams()]).toEqual([]))
    }
  })
})

describe('a cancellation', () => {
  const cancel = (requestId: unknown) => ({
    jsonrpc: '2.0',
    method: 'notifications/cancelled',
    params: { requestId },
  })

  it('goes to the target that has the call, and to no other', async () => {
    let end = (_result: object) => {}
    b.on('tools/call', () => new Promise((resolve) => (end = resolve)))
    const call = stack.post(callOf('b_echo', 5), session)
    await b.until(({ rpc }) => rpc === 'tools/call')
    expect((await stack.post(cancel(5), session)).status).toBe(202)
    await b.until(({ rpc }) => rpc === 'notifications/cancelled')
    expect(b.of('notifications/cancelled')[0]?.message).toEqual(cancel(5))
    // another id, or another process that knows nothing of the call: whoever has it listens
    expect((await stack.post(cancel('5'), session)).status).toBe(202)
    expect((await replica.post(cancel(5), session)).status).toBe(202)
    await eventually(() => expect(a.of('notifications/cancelled')).toHaveLength(2))
    expect(a.of('notifications/cancelled')[0]?.message).toEqual(cancel('5'))
    end({ content: [] })
    expect((await readMessage(await call)).id).toBe(5)
  })

  it('of a call whose id is too long to be remembered goes to whoever has the call', async () => {
    const id = 'x'.repeat(1024)
    await (await stack.post(callOf('b_echo', id), session)).text()
    expect((await stack.post(cancel(id), session)).status).toBe(202)
    for (const target of [a, b]) {
      await target.until(({ rpc }) => rpc === 'notifications/cancelled')
      expect(target.of('notifications/cancelled')[0]?.message).toEqual(cancel(id))
    }
  })
})

describe('a client that leaves', () => {
  it('closes the streams of all targets', async () => {
    const stream = await listen(stack, session)
    await stream.ready()
    stream.close()
    for (const target of [a, b]) {
      const request = await target.until(({ method }) => method === 'GET')
      expect(await request.closed).toBe('aborted')
    }
  })

  it('a hundred times leaves no stream and no connection behind', async () => {
    const sockets = [a, b].map((target) => target.openSockets)
    const streams = await Promise.all(Array.from({ length: 100 }, () => listen(stack, session)))
    await eventually(() => {
      expect([a, b].map((target) => target.getStreams().length)).toEqual([100, 100])
    })
    for (const stream of streams) stream.close()
    await eventually(() => {
      expect([...a.getStreams(), ...b.getStreams()]).toEqual([])
      for (const [index, target] of [a, b].entries()) {
        expect(target.openSockets).toBeLessThanOrEqual(sockets[index] as number)
      }
    })
  })
})
