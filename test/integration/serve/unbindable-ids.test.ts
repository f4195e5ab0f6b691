import { afterAll, beforeAll, describe, expect, it } from 'vitest'
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

  it('is said at the start', () => {
    const [told] = older.logs().filter(({ event }) => event === 'no_session_secret')
    expect(told).toMatchObject({ level: 'warn' })
    expect(told?.['message']).toContain('tasks')
  })
})
