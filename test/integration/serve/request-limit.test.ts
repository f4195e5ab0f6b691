import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

describe('a request that takes longer than any may', () => {
  let target: RecordingTarget
  let stack: Stack
  beforeAll(async () => {
    target = await startRecordingTarget()
    const config = { timeouts: { request: 0.3 } }
    stack = await startStack({ targets: { target: target.url }, config })
  })
  afterEach(() => target.clear())
  afterAll(async () => {
    await stack.close()
    await target.close()
  })

  const call = (id: string | number) => ({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name: 'target_echo', arguments: {} },
  })

  it.each([1, 0, 'a'])(
    'ends with an error under its id %j, and the target sees it end',
    async (id) => {
      const left = new Promise<void>((resolve) => {
        target.on('tools/call', (_params, { signal }) => {
          signal.addEventListener('abort', () => resolve())
          return NO_ANSWER
        })
      })
      const response = await stack.post(call(id))
      expect(response.status).toBe(200)
      expect(await readMessage(response)).toEqual({
        jsonrpc: '2.0',
        id,
        error: {
          code: -32603,
          message:
            'Target "target": no whole answer within 0.3 s, the longest that a request may take here',
          data: {
            ...{ target: 'target', cause: 'timeout', retryable: true },
            requestId: response.headers.get('x-request-id'),
          },
        },
      })
      await left
    },
  )

  it.each(['12345678901234567890123', '1.0'])(
    'ends a stream under its id %s as it was written',
    async (id) => {
      target.on('tools/call', async (_params, { notify }) => {
        await notify('notifications/message', { level: 'info', data: 'x' })
        return NO_ANSWER
      })
      const { jsonrpc, method, params } = call(1)
      const written = `{"id":${id},${JSON.stringify({ jsonrpc, method, params }).slice(1)}`
      const text = await (await stack.post(written)).text()
      expect(text).toContain(`"id":${id},"error":{"code":-32603,`)
    },
  )

  it('ends even while progress comes, on its stream', async () => {
    target.on('tools/call', async (_params, { notify, signal }) => {
      while (!signal.aborted) {
        await notify('notifications/progress', { progressToken: 1, progress: 1 })
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      return NO_ANSWER
    })
    const response = await stack.post(call(7))
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(await readMessage(response)).toMatchObject({ id: 7, error: { code: -32603 } })
  })

  it('is told in the log', async () => {
    target.on('tools/call', () => NO_ANSWER)
    const before = stack.logs().length
    await stack.post(call(8))
    await eventually(() =>
      expect(stack.logs().slice(before)).toContainEqual(
        expect.objectContaining({ event: 'request', tool: 'echo', failure: 'timeout' }),
      ),
    )
  })

  it('ends a stream that nobody waits on, without a message', async () => {
    const token = await stack.token()
    const response = await fetch(stack.url, {
      headers: { authorization: `Bearer ${token}`, accept: 'text/event-stream' },
    })
    expect(response.status).toBe(200)
    expect(await response.text()).not.toContain('data:')
  })

  it('leaves an answer alone that came in time', async () => {
    target.on('tools/call', () => ({ content: [{ type: 'text', text: 'quick' }] }))
    expect(await readMessage(await stack.post(call(9)))).toMatchObject({
      result: { content: [{ text: 'quick' }] },
    })
  })
})
