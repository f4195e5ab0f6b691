import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openStream, readEvents } from '../../helpers/event-reader.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingOptions,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

let a: RecordingTarget
let b: RecordingTarget
let single: Stack
let several: Stack
beforeAll(async () => {
  const options: RecordingOptions = {
    sessions: 'required',
    sse: { eventIds: true },
    tools: [tool('echo')],
  }
  a = await startRecordingTarget(options)
  b = await startRecordingTarget(options)
  single = await startStack({ targets: { b: b.url } })
  several = await startStack({ targets: { a: a.url, b: b.url }, identity: single.identity })
})
afterAll(async () => {
  for (const stack of [several, single]) await stack.close()
  for (const target of [a, b]) await target.close()
})
beforeEach(() => {
  for (const target of [a, b]) {
    target.clear()
    target.on('tools/call', () => ({ content: [] }))
  }
})

async function initialize(stack: Stack): Promise<Record<string, string>> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: {} },
    clientInfo: { name: 'c', version: '1' },
  }
  const response = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  await response.text()
  return { 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' }
}

const callOf = (name: string, id: unknown, meta: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: {}, _meta: meta },
})

const DONE = {
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data: 'done' },
}
const isDone = ({ method }: { method?: string }) => method === DONE.method

const FORGED = {
  'an answer': '{"jsonrpc":"2.0","id":7,"result":{"content":[]}}',
  'an error': '{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}',
  'an answer whose name is written in escapes': '{"jsonrpc":"2.0","id":7,"\\u0072esult":{}}',
  'an answer in another case': '{"jsonrpc":"2.0","Id":7,"Result":{"content":[]}}',
  'an answer in a batch': '[{"jsonrpc":"2.0","id":7,"result":{}}]',
  'an answer that is a notification, too':
    '{"jsonrpc":"2.0","id":7,"method":"notifications/message","result":{}}',
  'what is no JSON': 'ping',
}

describe.each([
  ['one target', () => single, () => [b]],
  ['two targets', () => several, () => [a, b]],
])('the stream of %s that no request opened', (_what, stackOf, targetsOf) => {
  // what is no message at all harms nobody at a single target
  const forged = Object.entries(FORGED).filter(
    ([what]) => _what === 'two targets' || !/case|no JSON|batch/.test(what),
  )
  it.each(forged)('does not bring %s', async (_title, data) => {
    const stack = stackOf()
    const stream = await openStream(stack, await initialize(stack), targetsOf())
    const [open] = b.getStreams()
    await open?.raw(`data: ${data}\n\n`)
    await open?.send(DONE)
    const events = await stream.all(isDone)
    expect(events.map(({ message }) => message)).toEqual([DONE])
    await stream.close()
  })

  it('brings requests and notifications of the target', async () => {
    const stack = stackOf()
    const stream = await openStream(stack, await initialize(stack), targetsOf())
    const [open] = b.getStreams()
    await open?.send({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' })
    await open?.send({ jsonrpc: '2.0', id: 7, method: 'elicitation/create', params: {} })
    await open?.send(DONE)
    const methods = (await stream.all(isDone)).map(({ message }) => message.method)
    expect(methods).toEqual([
      'notifications/tools/list_changed',
      'elicitation/create',
      'notifications/message',
    ])
    await stream.close()
  })
})

it('what a target may not say is told once a minute, with the target', async () => {
  const stack = await startStack({ targets: { a: a.url, b: b.url }, identity: single.identity })
  const stream = await openStream(stack, await initialize(stack), [a, b])
  const [open] = b.getStreams()
  for (const id of [1, 2, 3]) await open?.send({ jsonrpc: '2.0', id, result: {} })
  await open?.send(DONE)
  await stream.all(isDone)
  const told = stack.logs().filter(({ event }) => event === 'withheld')
  expect(told).toMatchObject([{ level: 'warn', target: 'b' }])
  expect(told[0]?.['message']).toContain('Target "b" sent an answer where none is due')
  await stream.close()
  await stack.close()
})

describe('progress at two targets', () => {
  it.each(['on the stream of its call', 'on the stream that no request opened'])(
    'comes under the token of the client, though both calls have the same one, %s',
    async (where) => {
      const session = await initialize(several)
      const stream = await openStream(several, session, [a, b])
      let token: unknown
      b.on('tools/call', async (params, { notify, sessionId }) => {
        token = (params['_meta'] as { progressToken: unknown }).progressToken
        const progress = { progressToken: token, progress: 1 }
        if (where.includes('its call')) await notify('notifications/progress', progress)
        else await b.notify('notifications/progress', progress, sessionId)
        return { content: [] }
      })
      const meta = { progressToken: 1 }
      const [, ofB] = await Promise.all(
        ['a_echo', 'b_echo'].map((name, id) => several.post(callOf(name, id, meta), session)),
      )
      const read = where.includes('its call') ? readEvents(ofB as Response) : stream
      const { message } = await read.next()
      expect(message).toMatchObject({
        method: 'notifications/progress',
        params: { progressToken: 1, progress: 1 },
      })
      expect(token).not.toBe(1)
      await stream.close()
    },
  )

  it('under the token of a call at the other one is left out, wherever it comes', async () => {
    const session = await initialize(several)
    const stream = await openStream(several, session, [a, b])
    let tokenAtA: unknown
    a.on('tools/call', (params) => {
      tokenAtA = (params['_meta'] as { progressToken: unknown }).progressToken
      return { content: [] }
    })
    await (await several.post(callOf('a_echo', 1, { progressToken: 5 }), session)).text()
    const tokens = [5, '5', tokenAtA, { x: 5 }]
    const forge = async (send: (params: object) => Promise<void>) => {
      for (const progressToken of tokens) await send({ progressToken, progress: 99 })
    }
    b.on('tools/call', async (_params, { notify, stream: own }) => {
      await forge((params) => notify('notifications/progress', params as never))
      await own.raw(
        'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"ProgressToken":5}}\n\n',
      )
      return { content: [] }
    })
    const answered = await readEvents(await several.post(callOf('b_echo', 2), session)).all()
    expect(answered.map(({ message }) => message.id)).toEqual([2])
    await forge((params) => b.notify('notifications/progress', params as never))
    await b.getStreams()[0]?.send(DONE)
    expect((await stream.all(isDone)).map(({ message }) => message)).toEqual([DONE])
    await stream.close()
  })
})

it('a cancellation calls off a request of the same target only', async () => {
  const session = await initialize(several)
  const stream = await openStream(several, session, [a, b])
  for (const target of [a, b]) {
    await target.getStreams()[0]?.send({ jsonrpc: '2.0', id: 7, method: 'elicitation/create' })
  }
  const asked = [await stream.next(), await stream.next()].map(({ message }) => message.id)
  await b.notify('notifications/cancelled', { requestId: asked[0] as string })
  await b.notify('notifications/cancelled', { requestId: 7 })
  await b.notify('notifications/cancelled', {})
  await b.getStreams()[0]?.send(DONE)
  const events = (await stream.all(isDone)).map(({ message }) => message.params?.['requestId'])
  expect(events).toHaveLength(3)
  expect(asked).not.toContain(events[0])
  expect(asked).toContain(events[1])
  await stream.close()
})

it.each([
  ['one target', () => single, 'b_echo'],
  ['two targets', () => several, 'b_echo'],
])('nothing comes behind the answer to a call at %s', async (_what, stackOf, name) => {
  const stack = stackOf()
  b.on('tools/call', async (_params, { id, stream }) => {
    await stream.send({ jsonrpc: '2.0', id, result: { content: [] } })
    await stream.send({ jsonrpc: '2.0', id: 'other', result: { content: [] } })
    await stream.send(DONE)
    await stream.end()
    return NO_ANSWER
  })
  const events = await readEvents(await stack.post(callOf(name, 1), await initialize(stack))).all()
  expect(events.map(({ message }) => message.id)).toEqual([1])
})

describe('a stream that goes on behind a Last-Event-ID at two targets', () => {
  async function breakOff(session: Record<string, string>): Promise<string> {
    b.on('tools/call', async (_params, { stream }) => {
      await stream.send(DONE)
      await stream.disconnect()
      const isBack = () => (stream.connected ? undefined : new Promise((go) => setTimeout(go, 5)))
      for (let wait = isBack(); wait !== undefined; wait = isBack()) await wait
      await stream.send({ jsonrpc: '2.0', id: 'other', result: { content: [] } })
      await stream.send({ jsonrpc: '2.0', id: 9, result: { content: [], resumed: true } })
      return NO_ANSWER
    })
    const [event] = await readEvents(await several.post(callOf('b_echo', 9), session)).all()
    return event?.id ?? ''
  }

  it('brings the answer to its own request, and no other answer', async () => {
    const session = await initialize(several)
    const id = await breakOff(session)
    const headers = {
      ...session,
      'last-event-id': id,
      authorization: `Bearer ${await several.token()}`,
    }
    const stream = readEvents(
      await fetch(several.url, { headers: { ...headers, accept: 'text/event-stream' } }),
    )
    const { message } = await stream.next()
    expect(message).toMatchObject({ id: 9, result: { resumed: true } })
    await stream.close()
  })
})

describe('ids that one target gives without a session', () => {
  let bare: RecordingTarget
  let front: Stack
  beforeAll(async () => {
    bare = await startRecordingTarget({ sse: { eventIds: true }, tools: [tool('echo')] })
    front = await startStack({ targets: { b: bare.url }, identity: single.identity })
  })
  afterAll(async () => {
    await front.close()
    await bare.close()
  })
  const as = async (sub: string) => ({ authorization: `Bearer ${await front.token({ sub })}` })

  it('let nobody else end an elicitation', async () => {
    bare.on('tools/call', async (_params, { ask }) => {
      const { result } = await ask('elicitation/create', { message: 'Delete it?' })
      return { content: [], said: result }
    })
    const stream = readEvents(await front.post(callOf('b_echo', 1), await as('alice')))
    const { message } = await stream.next()
    const answer = (id: unknown, action: string) => ({ jsonrpc: '2.0', id, result: { action } })
    const own = bare.requests.length
    const guessed = Buffer.from(String(message.id).split('.')[1] ?? '', 'base64url').toString()
    const [, ownId] = JSON.parse(guessed)
    for (const id of [message.id, ownId]) {
      const refused = await front.post(answer(id, 'accept'), await as('mallory'))
      expect(refused.status).toBe(400)
    }
    expect((await front.post(answer(ownId, 'accept'), await as('alice'))).status).toBe(400)
    expect(bare.requests).toHaveLength(own)
    expect((await front.post(answer(message.id, 'decline'), await as('alice'))).status).toBe(202)
    const { message: last } = await stream.next()
    expect(last.result).toMatchObject({ said: { action: 'decline' } })
  })

  it('let nobody else resume a stream', async () => {
    bare.on('tools/call', async (_params, { notify }) => {
      await notify('notifications/message', { level: 'info', data: 'private' })
      return { content: [{ type: 'text', text: 'secret' }] }
    })
    const [event] = await readEvents(await front.post(callOf('b_echo', 1), await as('alice'))).all()
    const get = async (sub: string, id: string) =>
      fetch(front.url, {
        headers: { ...(await as(sub)), accept: 'text/event-stream', 'last-event-id': id },
      })
    bare.clear()
    const theirs = await get('mallory', event?.id ?? '')
    const request = await bare.until(({ method }) => method === 'GET')
    expect(request.headers['last-event-id']).toBeUndefined()
    await theirs.body?.cancel()
    const mine = readEvents(await get('alice', event?.id ?? ''))
    expect((await mine.next()).message).toMatchObject({
      id: 1,
      result: { content: [{ text: 'secret' }] },
    })
    await mine.close()
  })
})

describe('a cancellation at targets without a session', () => {
  let bare: RecordingTarget
  let fronts: Stack[]
  beforeAll(async () => {
    bare = await startRecordingTarget({ tools: [tool('echo')] })
    const { identity } = single
    const one = await startStack({ targets: { b: bare.url }, identity })
    fronts = [one, await startStack({ targets: { a: a.url, b: bare.url }, identity })]
  })
  afterAll(async () => {
    for (const front of fronts) await front.close()
    await bare.close()
  })

  it.each([
    ['one target', 0],
    ['one of two', 1],
  ])('never reaches a request of another caller: %s', async (_what, at) => {
    const front = fronts[at] as Stack
    const as = async (sub: string) => ({ authorization: `Bearer ${await front.token({ sub })}` })
    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    bare.clear()
    bare.on('tools/call', async () => {
      await finished
      return { content: [] }
    })
    const cancel = async (sub: string, requestId: unknown) => {
      const message = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }
      expect((await front.post(message, await as(sub))).status).toBe(202)
    }
    const cancelled = () =>
      bare.of('notifications/cancelled').map(({ message }) => message?.['params'])
    const both = [front.post(callOf('b_echo', 7), await as('alice'))]
    await bare.until(({ rpc }) => rpc === 'tools/call')
    for (const id of [7, '7']) await cancel('mallory', id)
    await cancel('alice', 7)
    await eventually(() => expect(cancelled()).toEqual([{ requestId: 7 }]))
    // the target could not tell whose it is
    both.push(front.post(callOf('b_echo', 7), await as('mallory')))
    await eventually(() => expect(bare.of('tools/call')).toHaveLength(2))
    for (const sub of ['alice', 'mallory']) await cancel(sub, 7)
    finish()
    for (const answer of both) await readMessage(await answer)
    await front.post(callOf('b_echo', 9), await as('alice'))
    expect(cancelled()).toEqual([{ requestId: 7 }])
    // it may be under way at another replica
    await cancel('alice', 8)
    await eventually(() => expect(cancelled()).toEqual([{ requestId: 7 }, { requestId: 8 }]))
  })
})

describe('a target whose state does not fit', () => {
  it.each([
    ['a session id of 4,000 characters', { 'mcp-session-id': 's'.repeat(4_000) }, '2025-11-25'],
    ['a session id of 2,000 characters', { 'mcp-session-id': 's'.repeat(2_000) }, '2025-11-25'],
    ['a version that nobody speaks', {}, '0'],
  ])('is left out for %s, and the others keep their session', async (_what, headers, version) => {
    b.on('initialize', (_params, { response }) => {
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      return {
        protocolVersion: version,
        capabilities: { logging: {}, experimental: { b: {} } },
        serverInfo: { name: 'b', version: '1' },
      }
    })
    const front = await startStack({ targets: { a: a.url, b: b.url }, identity: single.identity })
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
    const response = await front.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const { result } = await readMessage(response)
    expect(result.protocolVersion).toBe('2025-11-25')
    expect(result.capabilities.experimental).toBeUndefined()
    const session = { 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' }
    expect(session['mcp-session-id']).toMatch(/^v1\./)
    const call = await readMessage(await front.post(callOf('a_echo', 1), session))
    expect(call.result).toEqual({ content: [] })
    expect(a.of('tools/call')[0]?.sessionId).toMatch(/^session-/)
    expect(front.logs()).toContainEqual(
      expect.objectContaining({ event: 'target_unavailable', target: 'b', level: 'warn' }),
    )
    await front.close()
  })
})
