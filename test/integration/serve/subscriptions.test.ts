import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import {
  connectV2,
  modernRequest,
  type OpenStream,
  openModern,
  postStateless,
} from '../../helpers/modern-client.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { NO_ANSWER } from '../../helpers/targets/recording.js'
import { startSdkV2Target } from '../../helpers/targets/sdk-v2.js'

const META = 'io.modelcontextprotocol'
const TAG = `${META}/subscriptionId`
const LISTEN = 'subscriptions/listen'
const ALL = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true }

let a: ModernRecordingTarget
let b: ModernRecordingTarget
let stack: Stack
beforeAll(async () => {
  a = await startModernRecordingTarget({ listChanged: true })
  b = await startModernRecordingTarget({ listChanged: true })
  stack = await startStack({ targets: { a: a.url, b: b.url } })
  await postStateless(stack, modernRequest('server/discover'))
})
afterAll(async () => {
  await stack.close()
  await a.close()
  await b.close()
})

const streams: OpenStream[] = []
beforeEach(() => {
  a.clear()
  b.clear()
})
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.close()
  await eventually(() => expect([a.listeners, b.listeners]).toEqual([0, 0]))
})

async function listen(
  notifications: unknown,
  id: string | number = 's-1',
  at = stack,
  options?: { read: boolean },
) {
  const request = { ...modernRequest(LISTEN, { notifications }), id }
  const stream = await openModern(at, request, options)
  streams.push(stream)
  return stream
}

const acknowledged = (notifications: object, id: string | number = 's-1') => ({
  jsonrpc: '2.0',
  method: 'notifications/subscriptions/acknowledged',
  params: { notifications, _meta: { [TAG]: id } },
})
const notification = (name: string, params: object = {}, id: string | number = 's-1') => ({
  jsonrpc: '2.0',
  method: `notifications/${name}`,
  params: { ...params, _meta: { [TAG]: id } },
})
const ended = (id: string | number = 's-1') => ({
  jsonrpc: '2.0',
  id,
  result: { resultType: 'complete', _meta: { [TAG]: id } },
})

describe('[mcp-merge-subscriptions] a subscription to several targets', () => {
  it.each(['s-1', 7])(
    'is acknowledged once and tagged with the id %j of the client',
    async (id) => {
      const stream = await listen(ALL, id)
      await stream.until(1)
      await a.changed('tools')
      await stream.until(2)
      await b.changed('prompts')
      await stream.until(3)
      expect(stream.messages).toEqual([
        acknowledged(ALL, id),
        notification('tools/list_changed', {}, id),
        notification('prompts/list_changed', {}, id),
      ])
      expect(a.violations.concat(b.violations)).toEqual([])
    },
  )

  it('names resources and tasks as each side knows them', async () => {
    b.on('tools/call', () => ({ resultType: 'task', taskId: 't-1' }))
    const call = modernRequest('tools/call', { name: 'b_x' })
    const { taskId } = (await postStateless(stack, call)).message.result
    const resourceSubscriptions = ['test://b/one', 'test://a/two', 'test://nobody/x']
    const stream = await listen({ resourceSubscriptions, taskIds: [taskId, 'b.t-1'] })
    await stream.until(1)
    expect(stream.messages[0]).toEqual(
      acknowledged({
        resourceSubscriptions: ['test://a/two', 'test://b/one'],
        taskIds: [taskId],
      }),
    )
    expect(a.of(LISTEN)[0]?.message).toMatchObject({
      params: { notifications: { resourceSubscriptions: ['test://two'] } },
    })
    expect(b.of(LISTEN)[0]?.message).toMatchObject({
      params: { notifications: { resourceSubscriptions: ['test://one'], taskIds: ['t-1'] } },
    })
    await b.updated('test://one')
    await stream.until(2)
    expect(stream.messages[1]).toEqual(notification('resources/updated', { uri: 'test://b/one' }))
  })

  it('concerns only the targets that have what it names', async () => {
    const stream = await listen({ toolsListChanged: false, resourceSubscriptions: ['test://b/x'] })
    await stream.until(1)
    expect([a.listeners, b.listeners]).toEqual([0, 1])
  })

  it('to nothing is acknowledged and over', async () => {
    const stream = await listen({ resourceSubscriptions: ['test://nobody/x'] })
    await eventually(() => expect(stream.end).toBe('finished'))
    expect(stream.messages).toEqual([acknowledged({}), ended()])
  })

  it('without a filter is refused', async () => {
    const { status, message } = await postStateless(stack, modernRequest(LISTEN))
    expect(status).toBe(200)
    expect(message).toMatchObject({ id: 'm-1', error: { code: -32602 } })
  })

  it('[mcp-disconnect] ends at all targets when the client leaves', async () => {
    const stream = await listen(ALL)
    await stream.until(1)
    expect([a.listeners, b.listeners]).toEqual([1, 1])
    stream.close()
    await eventually(() => expect([a.listeners, b.listeners]).toEqual([0, 0]))
  })

  it('ends in order when all targets end theirs', async () => {
    const stream = await listen(ALL)
    await stream.until(1)
    await a.endListeners()
    await b.changed('tools')
    await stream.until(2)
    await b.endListeners()
    await eventually(() => expect(stream.end).toBe('finished'))
    expect(stream.messages.at(-1)).toEqual(ended())
    expect(stream.messages).toHaveLength(3)
  })

  it.each([
    ['breaks off', (response: { destroy(): void }) => void response.destroy()],
    ['was ended in order', () => a.endListeners()],
  ])('gets a stream again that %s, and learns what it may have missed', async (_title, end) => {
    const responses: { destroy(): void }[] = []
    a.intercept((_request, response) => {
      responses.push(response)
      return false
    })
    const stream = await listen({ toolsListChanged: true, resourceSubscriptions: ['test://a/x'] })
    await stream.until(1)
    await end(responses.at(-1) as { destroy(): void })
    await stream.until(3)
    expect(stream.messages.slice(1)).toEqual([
      notification('tools/list_changed'),
      notification('resources/updated', { uri: 'test://a/x' }),
    ])
    await a.changed('tools')
    await stream.until(4)
    expect(a.of(LISTEN)).toHaveLength(2)
  })
})

describe('a target that has no stream', () => {
  it('because it is down is left out until it is there', async () => {
    const gone = await startModernRecordingTarget()
    const { port } = gone
    await gone.close()
    const at = await startStack({ targets: { a: a.url, gone: `http://127.0.0.1:${port}/mcp` } })
    const stream = await listen({ toolsListChanged: true }, 's-1', at)
    await stream.until(1)
    expect(stream.messages).toEqual([acknowledged({ toolsListChanged: true })])
    const back = await startModernRecordingTarget({ port })
    try {
      await stream.until(2)
      expect(stream.messages[1]).toEqual(notification('tools/list_changed'))
      await back.changed('tools')
      await stream.until(3)
    } finally {
      await at.close()
      await back.close()
    }
  })

  it('for good is left out, and when none has one, that is said', async () => {
    const refuse = () => {
      throw new RpcFailure(-32601, 'Method not found', { status: 404 })
    }
    const lacking = await startModernRecordingTarget({ handlers: { [LISTEN]: refuse } })
    const some = await startStack({ targets: { lacking: lacking.url, b: b.url } })
    const none = await startStack({ targets: { lacking: lacking.url, lacking2: lacking.url } })
    const down = await startStack({
      targets: { x: 'http://127.0.0.1:9/mcp', y: 'http://127.0.0.1:9/mcp' },
    })
    try {
      const stream = await listen(
        { ...ALL, resourceSubscriptions: ['test://lacking/x'] },
        's-1',
        some,
      )
      await stream.until(1)
      expect(stream.messages).toEqual([acknowledged(ALL)])
      const refused = await postStateless(none, modernRequest(LISTEN, { notifications: ALL }))
      expect(refused).toMatchObject({
        status: 404,
        message: { id: 'm-1', error: { code: -32601 } },
      })
      const failed = await postStateless(down, modernRequest(LISTEN, { notifications: ALL }))
      expect(failed).toMatchObject({
        status: 200,
        message: { id: 'm-1', error: { code: -32603, data: { target: 'x' } } },
      })
    } finally {
      for (const { close } of [some, none, down, lacking]) await close()
    }
  })
})

it('a target that sends before it acknowledges, asks, or tags wrongly is put right', async () => {
  const odd = await startModernRecordingTarget({
    handlers: {
      [LISTEN]: async (_params, { stream, id }) => {
        const send = (method: string, params: object, more: object = {}) =>
          stream.send({ jsonrpc: '2.0', method, params, ...more })
        await send('notifications/tools/list_changed', { early: true })
        await send('notifications/subscriptions/acknowledged', { notifications: ALL })
        await send('roots/list', {}, { id: 1 })
        await send('notifications/tools/list_changed', { _meta: { [TAG]: `${id}-other`, x: 1 } })
        return new Promise(() => undefined)
      },
    },
  })
  const at = await startStack({ targets: { odd: odd.url, a: a.url } })
  try {
    const stream = await listen(ALL, 5, at)
    await stream.until(2)
    expect(stream.messages).toEqual([
      acknowledged(ALL, 5),
      { ...notification('tools/list_changed'), params: { _meta: { [TAG]: 5, x: 1 } } },
    ])
  } finally {
    await at.close()
    await odd.close()
  }
})

it.each([['one'], ['two']])(
  'when the server stops, a subscription to %s ends in order',
  async (n) => {
    const urls = n === 'one' ? { a: a.url } : { a: a.url, b: b.url }
    const at = await startStack({ targets: urls })
    const stream = await listen(ALL, 's-1', at)
    await stream.until(1)
    await at.close()
    await eventually(() => expect(stream.end).toBe('finished'))
    expect(stream.messages.at(-1)).toEqual(ended())
  },
)

it('a subscription that is acknowledged while the server stops ends in order, too', async () => {
  let acknowledge: (() => unknown) | undefined
  const slow = await startModernRecordingTarget({
    handlers: {
      [LISTEN]: ({ notifications }, { notify }) => {
        acknowledge = () =>
          notify('notifications/subscriptions/acknowledged', { notifications } as JsonObject)
        return NO_ANSWER
      },
    },
  })
  const at = await startStack({ targets: { slow: slow.url } })
  const opened = listen(ALL, 's-1', at)
  await eventually(() => expect(acknowledge).toBeDefined())
  const closed = at.close()
  await acknowledge?.()
  const stream = await opened
  await eventually(() => expect(stream.end).toBe('finished'))
  expect(stream.messages.at(-1)).toEqual(ended())
  await closed
  await slow.close()
})

it('what a target acknowledges of any depth does no harm', async () => {
  const DEPTH = 20_000
  const deep = `${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}`
  const silent = await startModernRecordingTarget({ handlers: { [LISTEN]: () => NO_ANSWER } })
  const odd = await startModernRecordingTarget()
  odd.intercept(({ rpc }, response) => {
    if (rpc !== LISTEN) return false
    const method = 'notifications/subscriptions/acknowledged'
    const accepted = `{"toolsListChanged":true,"promptsListChanged":${deep},"x":{"y":${deep}}}`
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const params = `{"notifications":${accepted}}`
    response.write(`data: {"jsonrpc":"2.0","method":"${method}","params":${params}}\n\n`)
    return true
  })
  const at = await startStack({
    targets: { odd: odd.url, silent: silent.url },
    config: { timeouts: { list: 0.5 } },
  })
  try {
    await postStateless(at, modernRequest('server/discover'))
    const stream = await listen(ALL, 's-1', at)
    await stream.until(1)
    expect(stream.messages).toEqual([acknowledged(ALL)])
    stream.close()
  } finally {
    for (const { close } of [at, odd, silent]) await close()
  }
})

it('a client that does not read stops the targets', async () => {
  const MANY = 4_000
  let sent = 0
  const flood = async (response: ServerResponse, signal: AbortSignal) => {
    const params = { pad: 'x'.repeat(64 * 1024) }
    const event = { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params }
    for (; sent < MANY && !signal.aborted; sent++) {
      if (response.write(`data: ${JSON.stringify(event)}\n\n`)) continue
      await once(response, 'drain', { signal }).catch(() => undefined)
    }
  }
  const busy = await startModernRecordingTarget({
    handlers: {
      [LISTEN]: async ({ notifications }, { notify, signal, response }) => {
        await notify('notifications/subscriptions/acknowledged', { notifications })
        await flood(response, signal)
        return NO_ANSWER
      },
    },
  })
  const at = await startStack({ targets: { busy: busy.url, a: a.url } })
  const stream = await listen(ALL, 's-1', at, { read: false })
  try {
    let last = 0
    let steady = 0
    await eventually(() => {
      steady = sent > 0 && sent === last ? steady + 1 : 0
      last = sent
      expect(steady).toBeGreaterThan(20)
    })
    expect(sent).toBeLessThan(MANY / 2)
  } finally {
    stream.close()
    await at.close()
    await busy.close()
  }
})

it('the SDK client subscribes to two servers of the SDK at once', async () => {
  const one = await startSdkV2Target({ legacy: 'reject' })
  const two = await startSdkV2Target({ legacy: 'reject' })
  const at = await startStack({ targets: { one: one.url, two: two.url } })
  try {
    const client = await connectV2(at, 'auto')
    const seen: string[] = []
    client.setNotificationHandler('notifications/tools/list_changed', () => void seen.push('tools'))
    client.setNotificationHandler('notifications/resources/updated', ({ params }) => {
      seen.push(params.uri)
    })
    const filter = { toolsListChanged: true, resourceSubscriptions: ['test://two/readme'] }
    const subscription = await client.listen(filter)
    expect(subscription.honoredFilter).toEqual(filter)
    one.notify.toolsChanged()
    await eventually(() => expect(seen).toEqual(['tools']))
    two.notify.resourceUpdated('test://readme')
    await eventually(() => expect(seen).toEqual(['tools', 'test://two/readme']))
    await at.close()
    await expect(subscription.closed).resolves.toBe('graceful')
    await client.close()
  } finally {
    await one.close()
    await two.close()
  }
})
