import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { modernRequest, openModern, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const TASKS = { extensions: { 'io.modelcontextprotocol/tasks': {} } }
const RELATED = 'io.modelcontextprotocol/related-task'
const TASK = { status: 'working', createdAt: 'now', lastUpdatedAt: 'now' }

let modern: ModernRecordingTarget
let legacy: RecordingTarget
let single: Stack
let several: Stack
let older: Stack
beforeAll(async () => {
  modern = await startModernRecordingTarget({
    tools: [tool('echo')],
    capabilities: { tools: {}, ...TASKS },
  })
  legacy = await startRecordingTarget({
    sessions: 'required',
    tools: [tool('echo')],
    capabilities: { tools: {}, tasks: { list: {}, cancel: {}, requests: {} } },
  })
  single = await startStack({ targets: { t: modern.url } })
  several = await startStack({
    targets: { t: modern.url, u: modern.url },
    identity: single.identity,
  })
  older = await startStack({ targets: { t: legacy.url } })
})
afterEach(() => {
  modern.clear()
  legacy.clear()
})
afterAll(async () => {
  for (const stack of [several, single, older]) await stack.close()
  for (const target of [modern, legacy]) await target.close()
})

const as = async (stack: Stack, sub: string) => ({
  authorization: `Bearer ${await stack.token({ sub })}`,
})

it.each([
  ['one target', () => single],
  ['several targets', () => several],
])('a task that %s gave to one user is no task of another', async (_what, stackOf) => {
  const stack = stackOf()
  modern.on('tools/call', () => ({ resultType: 'task', taskId: '7', ttlMs: null, ...TASK }))
  modern.on('tasks/get', ({ taskId }) => ({ taskId, ...TASK, status: 'working' }))
  const alice = await as(stack, 'alice')
  const call = modernRequest('tools/call', { name: 't_echo' }, TASKS)
  const { taskId } = (await postStateless(stack, call, alice)).message.result
  expect(taskId).toMatch(/^k\./)
  const get = (id: string) => modernRequest('tasks/get', { taskId: id }, TASKS)
  const mine = await postStateless(stack, get(taskId), alice)
  expect(mine.message.result).toMatchObject({ taskId, status: 'working' })
  expect(modern.of('tasks/get')).toMatchObject([{ message: { params: { taskId: '7' } } }])
  expect(modern.violations).toEqual([])
  for (const [who, id] of [
    ['bob', taskId],
    ['bob', '7'],
    ['alice', 't.7'],
  ]) {
    const other = await postStateless(stack, get(id), await as(stack, who))
    expect(other.message.error).toMatchObject({ code: -32602, message: `Unknown task: ${id}` })
  }
  expect(modern.of('tasks/get')).toHaveLength(1)
})

it.each([
  ['one target', () => single],
  ['several targets', () => several],
])(
  'the state of a call that waits for input at %s goes on for its user only',
  async (_, stackOf) => {
    const stack = stackOf()
    modern.on('tools/call', ({ requestState }) =>
      requestState === undefined
        ? { resultType: 'input_required', inputRequests: {}, requestState: 'step "2"' }
        : { content: [{ type: 'text', text: String(requestState) }] },
    )
    const alice = await as(stack, 'alice')
    const call = (state: object) => modernRequest('tools/call', { name: 't_echo', ...state })
    const { requestState } = (await postStateless(stack, call({}), alice)).message.result
    expect(requestState).toMatch(/^s\./)
    const next = await postStateless(stack, call({ requestState, inputResponses: {} }), alice)
    expect(next.message.result.content).toEqual([{ type: 'text', text: 'step "2"' }])
    const refusal = { code: -32602, message: 'Unknown requestState: ask again without it' }
    for (const [who, state] of [
      ['bob', requestState],
      ['alice', 'step "2"'],
      ['alice', 2],
    ] as const) {
      const other = await postStateless(stack, call({ requestState: state }), await as(stack, who))
      expect(other.message.error).toMatchObject(refusal)
    }
    expect(modern.of('tools/call')).toHaveLength(2)
  },
)

it('a subscription tells of tasks by the ids that the user has', async () => {
  modern.on('tools/call', () => ({ resultType: 'task', taskId: '7', ttlMs: null, ...TASK }))
  modern.on('subscriptions/listen', async ({ notifications }, { notify }) => {
    await notify('notifications/subscriptions/acknowledged', { notifications })
    await notify('notifications/tasks', { taskId: '7', ...TASK })
    return {}
  })
  const call = modernRequest('tools/call', { name: 't_echo' }, TASKS)
  const { taskId } = (await postStateless(single, call)).message.result
  const filter = { taskIds: [taskId, '7', 'k.other'] }
  const listen = modernRequest('subscriptions/listen', { notifications: filter }, TASKS)
  const stream = await openModern(single, listen)
  await stream.until(2)
  expect(modern.of('subscriptions/listen')[0]?.message).toMatchObject({
    params: { notifications: { taskIds: ['7'] } },
  })
  expect(stream.messages.slice(0, 2)).toMatchObject([
    { params: { notifications: { taskIds: [taskId] } } },
    { method: 'notifications/tasks', params: { taskId } },
  ])
  stream.close()
})

it('an older server lists no tasks of others, and tells of a task by the id that the user has', async () => {
  legacy.on('tools/call', () => ({ task: { taskId: '7', ...TASK } }))
  legacy.on('tasks/list', () => ({ tasks: [{ taskId: 'of somebody else', ...TASK }] }))
  legacy.on('tasks/result', async (_params, { ask }) => {
    const meta = { _meta: { [RELATED]: { taskId: '7' } } }
    const answer = await ask('elicitation/create', { message: 'Sure?', ...meta })
    return { content: [], structuredContent: { answer }, ...meta }
  })
  const request = (method: string, params: object = {}) => ({
    jsonrpc: '2.0',
    id: 1,
    method,
    params,
  })
  const hello = { protocolVersion: '2025-11-25', clientInfo: { name: 'c', version: '1' } }
  const opened = await older.post(request('initialize', { ...hello, capabilities: {} }))
  const session = { 'mcp-session-id': opened.headers.get('mcp-session-id') ?? '' }
  const { capabilities } = (await readMessage(opened)).result
  expect(capabilities.tasks).toEqual({ cancel: {}, requests: {} })
  const list = await readMessage(await older.post(request('tasks/list'), session))
  expect(list.error).toMatchObject({ code: -32601, message: 'Unknown method: tasks/list' })
  expect(legacy.of('tasks/list')).toHaveLength(0)

  const call = request('tools/call', { name: 't_echo', task: {} })
  const { taskId } = (await readMessage(await older.post(call, session))).result.task
  expect(taskId).toMatch(/^k\./)
  const get = await older.post(request('tasks/get', { taskId: '7' }), session)
  expect((await readMessage(get)).error.message).toBe('Unknown task: 7')

  const headers = { authorization: `Bearer ${await older.token()}`, ...session }
  const stream = await fetch(older.url, { headers: { ...headers, accept: 'text/event-stream' } })
  const reader = stream.body?.getReader()
  await eventually(() => expect(legacy.getStreams()).toHaveLength(1))
  await legacy.notify('notifications/tasks/status', { taskId: '7', ...TASK })
  let text = ''
  while (!text.includes('notifications/tasks/status')) {
    text += Buffer.from((await reader?.read())?.value ?? []).toString()
  }
  expect(text).toContain(JSON.stringify(taskId))
  await reader?.cancel()

  const result = await older.post(request('tasks/result', { taskId }), session)
  const parts = result.body?.getReader()
  const nextMessage = async () => {
    const event = Buffer.from((await parts?.read())?.value ?? []).toString()
    return JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? '')
  }
  const asked = await nextMessage()
  expect(asked.params._meta[RELATED]).toEqual({ taskId })
  const answer = { action: 'accept', _meta: { [RELATED]: { taskId } } }
  await older.post({ jsonrpc: '2.0', id: asked.id, result: answer }, session)
  const last = await nextMessage()
  expect(last.result._meta[RELATED]).toEqual({ taskId })
  expect(last.result.structuredContent.answer.result._meta[RELATED]).toEqual({ taskId: '7' })
})
