import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { META } from '../../../src/mcp/meta.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } }

/** Every request may meet another process, and none of them shares a secret. */
const env = { VERCEL: '1', VERCEL_URL: 'preview.example.vercel.app' }

let legacy: RecordingTarget
let modern: ModernRecordingTarget
let older: Stack
let newer: Stack
beforeAll(async () => {
  legacy = await startRecordingTarget({
    tools: [tool('echo')],
    capabilities: { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } },
  })
  modern = await startModernRecordingTarget({
    tools: [tool('echo')],
    capabilities: { tools: {}, ...TASKS },
  })
  const config = { server: { allowedHosts: ['127.0.0.1'] } }
  older = await startStack({ targets: { t: legacy.url }, env, config })
  newer = await startStack({ targets: { t: modern.url }, env, config, identity: older.identity })
})
afterAll(async () => {
  for (const stack of [newer, older]) await stack.close()
  for (const target of [legacy, modern]) await target.close()
})

const HOST = { host: 'preview.example.vercel.app' }

describe('without SESSION_SECRET where any process may answer', () => {
  const ask = async (method: string, params: object) =>
    readMessage(await older.post({ jsonrpc: '2.0', id: 1, method, params }, HOST))

  it('no tasks are offered, made or shown', async () => {
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
    const { result } = await ask('initialize', params)
    expect(result.capabilities).toEqual({ tools: expect.anything() })
    const made = await ask('tools/call', { name: 't_echo', arguments: {}, task: {} })
    expect(made.error.message).toContain('without SESSION_SECRET')
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel']) {
      expect((await ask(method, { taskId: '7' })).error.message).toBe('Unknown task: 7')
    }
    expect((await ask('tasks/list', {})).error.code).toBe(-32601)
    expect(legacy.requests.map(({ rpc }) => rpc)).toEqual(['initialize'])
  })

  it.each([
    ['a task', { resultType: 'task', taskId: '7', status: 'working' }],
    ['a state', { resultType: 'input_required', inputRequests: {}, requestState: 'step 2' }],
  ])('%s of a newer target becomes an error', async (_what, given) => {
    modern.on('tools/call', () => given)
    const call = modernRequest('tools/call', { name: 't_echo' }, TASKS)
    const { message, text } = await postStateless(newer, call, HOST)
    expect(message.error.message).toContain('without SESSION_SECRET')
    expect(text).not.toMatch(/"7"|step 2/)
    const found = await postStateless(newer, modernRequest('server/discover'), HOST)
    expect(found.message.result.capabilities.extensions).toEqual({})
  })

  it('the target of a newer client is not told that it takes tasks', async () => {
    modern.clear()
    modern.on('tools/call', () => ({ resultType: 'complete', content: [] }))
    const capabilities = { extensions: { ...TASKS.extensions, 'org.example/x': { big: 1 } } }
    const call = modernRequest('tools/call', { name: 't_echo' }, capabilities)
    const { message } = await postStateless(newer, call, HOST)
    expect(message.result.content).toEqual([])
    const [sent] = modern.of('tools/call')
    expect(sent?.message?.['params']).toMatchObject({
      _meta: { [META.clientCapabilities]: { extensions: { 'org.example/x': { big: 1 } } } },
    })
    expect(sent?.body).not.toContain('io.modelcontextprotocol/tasks')
  })

  it('a list of several targets goes on at another process', async () => {
    const tools = Array.from({ length: 2_000 }, (_, index) => tool(`tool${index}`))
    legacy.on('tools/list', ({ cursor }) =>
      cursor === undefined ? { tools, nextCursor: 'next' } : { tools: [tool('last')] },
    )
    const processes: Stack[] = []
    for (let count = 0; count < 2; count++) {
      const targets = { a: legacy.url, b: legacy.url }
      const config = { server: { allowedHosts: ['127.0.0.1'] } }
      processes.push(await startStack({ targets, env, config, identity: older.identity }))
    }
    const [one, other] = processes as [Stack, Stack]
    const list = (cursor?: string) => ({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/list',
      params: { cursor },
    })
    const first = await readMessage(await one.post(list(), HOST))
    expect(first.result.tools).toHaveLength(4_000)
    const rest = await readMessage(await other.post(list(first.result.nextCursor), HOST))
    expect(rest.result.tools.map(({ name }: { name: string }) => name)).toEqual([
      'a_last',
      'b_last',
    ])
    for (const stack of processes) await stack.close()
  })

  it('is said at the start', () => {
    const [told] = older.logs().filter(({ event }) => event === 'no_session_secret')
    expect(told).toMatchObject({ level: 'warn' })
    expect(told?.['message']).toContain('tasks')
  })
})
