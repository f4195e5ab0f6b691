import { once } from 'node:events'
import { request } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernExchange,
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { NO_ANSWER } from '../../helpers/targets/recording.js'

const LISTEN = 'subscriptions/listen'

let target: ModernRecordingTarget
let stack: Stack
let headers: Record<string, string>
beforeEach(async () => {
  target = await startModernRecordingTarget({ listChanged: true })
  stack = await startStack({ targets: { target: target.url } })
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  }
  const opened = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  await opened.text()
  headers = {
    authorization: `Bearer ${await stack.token()}`,
    'mcp-session-id': opened.headers.get('mcp-session-id') ?? '',
  }
})
afterEach(async () => {
  await stack.close()
  await target.close()
})

const subscribe = (uri: string) =>
  stack.post({ jsonrpc: '2.0', id: uri, method: 'resources/subscribe', params: { uri } }, headers)

/** Opens the stream as an older client; what comes is read unless it is told otherwise. */
async function open({ read = true } = {}) {
  const sent = request(stack.url, { headers: { ...headers, accept: 'text/event-stream' } }).end()
  sent.on('error', () => undefined)
  const [response] = await once(sent, 'response')
  let text = ''
  if (read) {
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      text += chunk
    })
  }
  return { text: () => text, close: () => sent.destroy() }
}

/** Makes the target acknowledge subscriptions only when the test says so. */
function holdAcknowledgements() {
  const held: { wanted: unknown; exchange: ModernExchange; acknowledge(): Promise<void> }[] = []
  target.on(LISTEN, async (params: JsonObject, exchange) => {
    const { notifications } = params
    const acknowledge = () =>
      exchange.notify('notifications/subscriptions/acknowledged', {
        notifications: notifications as JsonObject,
      }) as Promise<void>
    const wanted = (notifications as JsonObject)['resourceSubscriptions']
    held.push({ wanted, exchange, acknowledge })
    if (held.length === 1) await acknowledge()
    return NO_ANSWER
  })
  return held
}

describe('[mcp-translate-listen] the stream of an older client', () => {
  it('leaves nothing behind when the client goes while a new subscription is asked for', async () => {
    const held = holdAcknowledgements()
    const stream = await open()
    await eventually(() => expect(held).toHaveLength(1))
    const subscribed = subscribe('test://x')
    await eventually(() => expect(held).toHaveLength(2))
    stream.close()
    await eventually(() => expect(held[0]?.exchange.signal.aborted).toBe(true))
    // it may be gone by now, as it should
    await held[1]?.acknowledge().catch(() => undefined)
    expect(await readMessage(await subscribed)).toMatchObject({ result: {} })
    await eventually(() => {
      expect(held.map(({ exchange }) => exchange.signal.aborted)).toEqual([true, true])
    })
  })

  it('hears of all it wants, in whatever order subscriptions are acknowledged', async () => {
    const held = holdAcknowledgements()
    const stream = await open()
    await eventually(() => expect(held).toHaveLength(1))
    const first = subscribe('test://x')
    await eventually(() => expect(held).toHaveLength(2))
    const second = subscribe('test://y')
    await eventually(() => expect(held).toHaveLength(3))
    expect(held[2]?.wanted).toEqual(['test://x', 'test://y'])
    await held[2]?.acknowledge()
    expect(await readMessage(await second)).toMatchObject({ result: {} })
    await held[1]?.acknowledge()
    expect(await readMessage(await first)).toMatchObject({ result: {} })
    await eventually(() => {
      expect(held.map(({ exchange }) => exchange.signal.aborted)).toEqual([true, true, false])
    })
    await held[2]?.exchange.notify('notifications/resources/updated', { uri: 'test://y' })
    await eventually(() => expect(stream.text()).toContain('test://y'))
    stream.close()
  })

  it('stops the target when the client does not read', async () => {
    const MANY = 4_000
    let sent = 0
    target.on(LISTEN, async ({ notifications }, { notify, signal, response }) => {
      await notify('notifications/subscriptions/acknowledged', {
        notifications: notifications as JsonObject,
      })
      const params = { pad: 'x'.repeat(64 * 1024) }
      const event = { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params }
      for (; sent < MANY && !signal.aborted; sent++) {
        if (response.write(`data: ${JSON.stringify(event)}\n\n`)) continue
        await once(response, 'drain', { signal }).catch(() => undefined)
      }
      return NO_ANSWER
    })
    const stream = await open({ read: false })
    let last = 0
    let steady = 0
    await eventually(() => {
      steady = sent > 0 && sent === last ? steady + 1 : 0
      last = sent
      expect(steady).toBeGreaterThan(20)
    })
    expect(sent).toBeLessThan(MANY / 2)
    stream.close()
  })

  const refused = async () => {
    const response = await fetch(stack.url, {
      headers: { ...headers, accept: 'text/event-stream' },
    })
    await response.text()
    return { status: response.status }
  }

  it.each([
    { code: -32601, status: 404 },
    { code: -32601, status: 200 },
    { code: -32021, status: 400 },
  ])(
    '[mcp-get-405] is 405 where the target has none: $code, HTTP $status',
    async ({ code, status }) => {
      target.on(LISTEN, () => {
        throw new RpcFailure(code, 'No', { status })
      })
      expect((await refused()).status).toBe(405)
    },
  )

  it.each([
    { code: -32603, status: 200 },
    { code: -32000, status: 429 },
  ])(
    'is open, and asked for again, where it only cannot be had now: $code, HTTP $status',
    async ({ code, status }) => {
      let asked = 0
      target.on(LISTEN, (_params, { response }) => {
        asked++
        response.setHeader('retry-after', '1')
        throw new RpcFailure(code, 'Subscription limit reached', { status })
      })
      const stream = await open()
      await eventually(() => expect(asked).toBeGreaterThan(1))
      stream.close()
    },
  )

  it.each([
    { code: -32603, status: 500 },
    { code: -32602, status: 400 },
  ])('is 405 where the target refuses it: $code, HTTP $status', async ({ code, status }) => {
    target.on(LISTEN, () => {
      throw new RpcFailure(code, 'No', { status })
    })
    expect((await refused()).status).toBe(405)
  })

  it('is open where it cannot be had now, told without the id of the request', async () => {
    let asked = 0
    target.on(LISTEN, (_params, { response }) => {
      asked++
      const error = { code: -32603, message: 'Busy' }
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }))
      return NO_ANSWER
    })
    const stream = await open()
    await eventually(() => expect(asked).toBeGreaterThan(1))
    stream.close()
  })

  it('is not wanted for more than a session may hold', async () => {
    const uri = (n: number) => `test://${'x'.repeat(9_000)}${n}`
    for (let n = 0; n < 7; n++) {
      expect(await readMessage(await subscribe(uri(n)))).toMatchObject({ result: {} })
    }
    expect(await readMessage(await subscribe(uri(7)))).toMatchObject({ error: { code: -32602 } })
    expect(await readMessage(await subscribe('test://x'))).toMatchObject({ result: {} })
  })
})
