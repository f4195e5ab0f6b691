import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let stack: Stack
let authorization: string
beforeAll(async () => {
  target = await startRecordingTarget({
    sse: { eventIds: true },
    tools: [tool('echo'), tool('delete_all')],
    prompts: [{ name: 'hello' }],
  })
  stack = await startStack({
    targets: { target: { url: target.url, tools: { deny: ['delete_*'] } } },
    config: { timeouts: { heartbeat: 0.2 } },
  })
  authorization = `Bearer ${await stack.token()}`
})
beforeEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await target.close()
})

async function listen(headers: Record<string, string> = {}) {
  const abort = new AbortController()
  const response = await fetch(stack.url, {
    headers: { authorization, accept: 'text/event-stream', ...headers },
    signal: abort.signal,
  })
  const reader = response.body?.getReader()
  let text = ''
  return {
    response,
    async until(pattern: RegExp) {
      while (!pattern.test(text)) {
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true }
        if (done) throw new Error(`The stream ended without ${pattern}: ${text}`)
        text += Buffer.from(value ?? []).toString()
      }
      return text
    },
    close: () => abort.abort(),
  }
}

describe('the GET stream', () => {
  it('ends with the token that it was opened with', async () => {
    const exp = Math.floor(Date.now() / 1000) + 2
    const stream = await listen({ authorization: `Bearer ${await stack.token({ exp })}` })
    await stream.until(/^: keep-alive\n\n/)
    await expect(stream.until(/never/)).rejects.toThrow('The stream ended')
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000)
    await eventually(() => expect(target.getStreams()).toHaveLength(0))
  })

  it('opens before anything comes, and is kept alive', async () => {
    const stream = await listen()
    expect(stream.response.status).toBe(200)
    expect(Object.fromEntries(stream.response.headers)).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    })
    await stream.until(/^: keep-alive\n\n: keep-alive\n\n/)
    stream.close()
  })

  it('carries notifications of the target as they come', async () => {
    const stream = await listen()
    for (const method of ['notifications/tools/list_changed', 'notifications/resources/updated']) {
      await target.notify(method, { uri: 'test://one' })
      expect(await stream.until(new RegExp(method))).toContain('"uri":"test://one"')
    }
    stream.close()
  })

  it('[mcp-resume] goes on behind the last event that the client saw', async () => {
    const first = await listen()
    await target.notify('notifications/message', { data: 'one' })
    const text = await first.until(/one.*\n\n/)
    const id = /^id: (.*)$/m.exec(text)?.[1] ?? ''
    const [open] = target.getStreams()
    first.close()
    await eventually(() => expect(target.getStreams()).toHaveLength(0))
    await open?.send({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'two' } })
    const second = await listen({ 'last-event-id': id })
    expect(await second.until(/two/)).not.toContain('one')
    second.close()
  })

  it.each([
    ['tools/list', 'tools', 'target_echo'],
    ['prompts/list', 'prompts', 'target_hello'],
  ] as const)('hides and renames in %s that it brings again', async (method, member, name) => {
    target.on(method, async (_params, { id, stream }) => {
      const result = { [member]: target.contents[member] }
      await stream.send({ jsonrpc: '2.0', method: 'notifications/message', params: {} })
      await stream.send({ jsonrpc: '2.0', id, result })
      return result
    })
    const text = await (await stack.post({ jsonrpc: '2.0', id: 5, method })).text()
    const id = /^id: (.*)$/m.exec(text)?.[1] ?? ''
    const stream = await listen({ 'last-event-id': id })
    const again = await stream.until(/"result".*\n\n/)
    expect(again).toContain(`"name":"${name}"`)
    expect(again).toMatch(/^id: e\.\S+$/m)
    expect(again).not.toContain('delete_all')
    stream.close()
  })

  it('brings the answer to a call again as it was', async () => {
    target.on('tools/call', async (_params, { stream }) => {
      await stream.send({ jsonrpc: '2.0', method: 'notifications/message', params: {} })
      return { content: [], tool: 'delete_all' }
    })
    const call = { jsonrpc: '2.0', id: 6, method: 'tools/call', params: { name: 'target_echo' } }
    const text = await (await stack.post(call)).text()
    const id = /^id: (.*)$/m.exec(text)?.[1] ?? ''
    const stream = await listen({ 'last-event-id': id })
    const again = await stream.until(/"result".*\n\n/)
    expect(again.replaceAll(': keep-alive\n\n', '')).toBe(text.slice(text.indexOf('\n\n') + 2))
    stream.close()
  })

  it('ends when the target ends it', async () => {
    const stream = await listen()
    await target.notify('notifications/message', { data: 'bye' })
    await stream.until(/bye/)
    for (const open of target.getStreams()) await open.end()
    await expect(stream.until(/never/)).rejects.toThrow('The stream ended')
  })

  it('[mcp-get-405] is 405 where the target has none', async () => {
    const bare = await startRecordingTarget({ getStream: false })
    const front = await startStack({ identity: stack.identity, targets: { target: bare.url } })
    const headers = { authorization: `Bearer ${await front.token()}` }
    expect((await send(front.url, { method: 'GET', headers })).status).toBe(405)
    await front.close()
    await bare.close()
  })

  it('without a session is 405 where the target has sessions', async () => {
    const stateful = await startRecordingTarget({ sessions: 'required' })
    const front = await startStack({ identity: stack.identity, targets: { target: stateful.url } })
    const headers = { authorization: `Bearer ${await front.token()}` }
    const answer = await send(front.url, { method: 'GET', headers })
    expect(answer.status).toBe(405)
    await front.close()
    await stateful.close()
  })
})
