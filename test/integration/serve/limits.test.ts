import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

const call = {
  ...{ jsonrpc: '2.0', id: 7, method: 'tools/call' },
  params: { name: 'target_echo', arguments: {} },
}

let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  target = await startRecordingTarget({ getStream: true })
  const limits = { callsPerCaller: 3, calls: 5, streamsPerCaller: 2, streams: 3 }
  stack = await startStack({
    targets: { target: target.url },
    config: { limits, timeouts: { answer: 1 }, server: { metricsPort: 0 } },
  })
})
afterAll(async () => {
  await stack.close()
  await target.close()
})

const controllers: AbortController[] = []
beforeEach(() => {
  target.clear()
  target.on('tools/call', () => NO_ANSWER)
})
afterEach(async () => {
  for (const controller of controllers.splice(0)) controller.abort()
  await eventually(async () => {
    expect(await stack.server.metrics?.text()).toMatch(/^mcp_proxy_callers 0$/m)
  })
})

async function open(method: 'GET' | 'POST', sub: string) {
  const controller = new AbortController()
  controllers.push(controller)
  const headers = {
    authorization: `Bearer ${await stack.token({ sub })}`,
    ...(method === 'GET'
      ? { accept: 'text/event-stream' }
      : { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }),
  }
  const body = method === 'POST' ? JSON.stringify(call) : null
  const { signal } = controller
  const response = fetch(stack.url, { method, headers, body, signal })
  response.catch(() => undefined)
  return { response, controller }
}

/** So many calls reached the target. */
const under = (count: number) =>
  eventually(() => expect(target.of('tools/call')).toHaveLength(count))

describe('event streams', () => {
  it('of one caller, and of all, are refused beyond their limits, and when to come again', async () => {
    const streams = [await open('GET', 'ann'), await open('GET', 'ann')]
    for (const { response } of streams) expect((await response).status).toBe(200)
    const third = await (await open('GET', 'ann')).response
    expect([third.status, third.headers.get('retry-after')]).toEqual([429, '30'])
    expect((await (await open('GET', 'bob')).response).status).toBe(200)
    const other = await (await open('GET', 'cid')).response
    expect([other.status, other.headers.get('retry-after')]).toEqual([503, '30'])
    streams[0]?.controller.abort()
    await eventually(async () => {
      expect((await (await open('GET', 'cid')).response).status).toBe(200)
    })
  })
})

describe('requests under way', () => {
  it('are refused beyond the limit with their id, and given back however they end', async () => {
    for (const end of ['the client leaves', 'the target takes too long']) {
      const running = [
        await open('POST', 'ann'),
        await open('POST', 'ann'),
        await open('POST', 'ann'),
      ]
      await under(3)
      const fourth = await (await open('POST', 'ann')).response
      expect([fourth.status, fourth.headers.get('retry-after')]).toEqual([429, '1'])
      expect(await fourth.json()).toMatchObject({ id: 7, error: { data: {} } })
      // whoever waits can still call off
      const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } }
      const authorization = `Bearer ${await stack.token({ sub: 'ann' })}`
      expect((await stack.post(cancel, { authorization })).status).toBe(202)
      if (end === 'the client leaves') for (const { controller } of running) controller.abort()
      else
        for (const { response } of running)
          expect(await (await response).text()).toContain('timeout')
      await eventually(async () => {
        expect(await stack.server.metrics?.text()).toMatch(/^mcp_proxy_running_calls 0$/m)
      })
      target.clear()
    }
  })

  it('of all are refused with 503', async () => {
    const subs = ['ann', 'ann', 'ann', 'bob', 'bob']
    for (const sub of subs) await open('POST', sub)
    await under(subs.length)
    const refused = await (await open('POST', 'cid')).response
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await stack.server.metrics?.text()).toContain('{reason="calls"}')
  })
})

describe('a slow client', () => {
  const startSlow = () =>
    startStack({
      targets: { target: target.url },
      config: { timeouts: { headers: 1, body: 0.5 } },
    })
  /** Resolves with all that came, once the connection is closed. */
  const raw = (port: number, text: string) =>
    new Promise<{ answer: string }>((resolve) => {
      let answer = ''
      const socket = connect(port, '127.0.0.1', () => socket.write(text))
      socket.on('data', (chunk) => {
        answer += chunk
      })
      socket.on('error', () => undefined)
      socket.on('close', () => resolve({ answer }))
    })

  it('is cut off when its headers or its body do not come in time, and that is logged', async () => {
    const slow = await startSlow()
    const { port } = slow.server
    const head = `POST /mcp HTTP/1.1\r\nHost: localhost:${port}\r\n`
    const token = await slow.token()
    const post = `${head}Authorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`
    const [headers, body] = await Promise.all([raw(port, head), raw(port, post)])
    expect(headers.answer).toMatch(/^HTTP\/1.1 408 /)
    expect(body.answer).toMatch(/^HTTP\/1.1 408 /)
    expect(body.answer).toContain('The body did not come within 0.5 s')
    const told = slow.logs().filter(({ refusal }) => refusal === 'timeout')
    expect(told).toHaveLength(2)
    await slow.close()
  })
})
