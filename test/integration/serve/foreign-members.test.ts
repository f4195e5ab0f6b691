import { afterAll, beforeAll, expect, it } from 'vitest'
import { openStream } from '../../helpers/event-reader.js'
import { modernRequest, openModern, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let good: RecordingTarget
let bad: RecordingTarget
let stack: Stack
let valid: string
beforeAll(async () => {
  const options = { sessions: 'required', tools: [tool('echo'), tool('delete')] } as never
  good = await startRecordingTarget(options)
  bad = await startRecordingTarget(options)
  stack = await startStack({
    targets: {
      good: { url: good.url, tools: { roles: { delete: ['admin'] } } },
      bad: { url: bad.url },
    },
  })
  valid = await stack.token({ roles: ['admin'] })
})
afterAll(async () => {
  await stack.close()
  await good.close()
  await bad.close()
})

/** What an object would have for everybody if its prototype were reached. */
const hostile = (deep: boolean) => {
  const members = `"roles":["admin"],"scopes":["all"],"authorization":"Bearer ${valid}","x-got":"it"`
  const proto = `"__proto__":{${members}},"constructor":{"prototype":{${members}}}`
  return JSON.parse(deep ? `{"a":{"b":{${proto}},${proto}},${proto}}` : `{${proto}}`)
}

/** Asserts that no prototype has anything new, and that nobody may do more than before. */
async function expectUntouched(before: Record<string, string[]>) {
  expect(ownNames()).toEqual(before)
  expect('roles' in {} || 'authorization' in {} || 'x-got' in {}).toBe(false)
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'good_delete' } }
  const { error } = await readMessage(await stack.post(call))
  expect(error).toMatchObject({ code: -32602, message: 'Unknown tool: good_delete' })
  const nobody = await fetch(stack.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(call),
  })
  expect(nobody.status).toBe(401)
  expect(good.of('tools/call')).toEqual([])
  expect(good.requests.some(({ headers }) => 'x-got' in headers)).toBe(false)
}

const ownNames = () =>
  Object.fromEntries(
    [Object, Array, Function, String, Map, Promise].map(({ name, prototype }) => [
      name,
      Object.getOwnPropertyNames(prototype),
    ]),
  )

async function initialize(members: object = {}) {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
    ...members,
  }
  const response = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  const { result } = await readMessage(response)
  return { result, session: { 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' } }
}

it.each([true, false])(
  'a target reaches no prototype by what it answers (deep: %s)',
  async (deep) => {
    const before = ownNames()
    const members = hostile(deep)
    const withAll = (result: object) => ({ ...result, ...members, _meta: members })
    bad.on('initialize', (_params, { response }) => {
      const id = `session-${deep}`
      ;(bad.sessions as Set<string>).add(id)
      response.setHeader('mcp-session-id', id)
      return withAll({
        protocolVersion: '2025-11-25',
        capabilities: { tools: { listChanged: true, ...members }, ...members },
        serverInfo: members,
      })
    })
    bad.on('tools/list', () =>
      withAll({
        tools: ['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map((name) => ({
          ...tool(name),
          ...members,
        })),
        nextCursor: '__proto__',
      }),
    )
    bad.on('prompts/list', () => withAll({ prompts: [{ name: '__proto__', ...members }] }))
    bad.on('resources/list', () => withAll({ resources: [{ uri: 'x://__proto__', ...members }] }))
    bad.on('tools/call', async (_params, { notify, ask }) => {
      await notify('notifications/progress', { progressToken: '__proto__', ...members })
      void ask('elicitation/create', {
        ...members,
        _meta: { progressToken: '__proto__', ...members },
      })
      return withAll({ content: [members, { type: 'resource', resource: members }], task: members })
    })
    const { result, session } = await initialize()
    expect(result.capabilities.tools).toMatchObject({ listChanged: true })
    expect(JSON.stringify(result.capabilities)).not.toContain('__proto__')
    for (const method of ['tools/list', 'prompts/list', 'resources/list', 'ping']) {
      await (await stack.post({ jsonrpc: '2.0', id: 1, method, params: {} }, session)).text()
    }
    const call = (name: string) => ({
      jsonrpc: '2.0',
      id: 2,
      method: 'tools/call',
      params: { name },
    })
    for (const name of ['bad___proto__', 'bad_constructor', 'bad_toString']) {
      await (await stack.post(call(name), session)).text()
    }
    const stream = await openStream(stack, session, [good, bad])
    await bad.notify('notifications/tools/list_changed', members)
    await bad.notify('notifications/message', { level: 'info', data: 'last', ...members })
    await stream.all(({ params }) => params?.['data'] === 'last')
    await stream.close()
    await expectUntouched(before)
  },
)

it('a client reaches no prototype by what it sends', async () => {
  const before = ownNames()
  const members = hostile(true)
  const { session } = await initialize({ capabilities: members, clientInfo: members, ...members })
  const messages = [
    { id: 1, method: 'tools/list', params: { _meta: members, ...members } },
    { id: 2, method: 'tools/list', params: { cursor: '__proto__' } },
    { id: 3, method: 'tools/call', params: { name: '__proto__', arguments: members } },
    { id: 4, method: '__proto__', params: members },
    { id: 5, method: 'constructor', params: members },
    { id: 6, method: 'completion/complete', params: { ref: members, argument: members } },
    { id: '__proto__', result: members },
    { method: 'notifications/cancelled', params: { requestId: '__proto__', ...members } },
    { method: 'notifications/progress', params: { progressToken: '__proto__', ...members } },
  ]
  for (const message of messages) {
    await (await stack.post({ jsonrpc: '2.0', ...message, ...members }, session)).text()
  }
  const headers = { __proto__x: 'y', constructor: 'z', 'mcp-param-__proto__': 'w' }
  await (await stack.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, headers)).text()
  await expectUntouched(before)
})

it('a token has the claims that it says, and no others', async () => {
  const before = ownNames()
  const authorization = `Bearer ${await stack.token(hostile(false))}`
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'good_delete' } }
  const { error } = await readMessage(await stack.post(call, { authorization }))
  expect(error.message).toBe('Unknown tool: good_delete')
  await expectUntouched(before)
})

it('a target of 2026-07-28 reaches no prototype by server/discover and subscriptions', async () => {
  const before = ownNames()
  const members = hostile(true)
  const [one, two] = await Promise.all([
    startModernRecordingTarget({ tools: [tool('echo')] }),
    startModernRecordingTarget({ tools: [tool('echo')], capabilities: { tools: {}, ...members } }),
  ])
  two.on('subscriptions/listen', async (_params, { notify }) => {
    const notifications = { toolsListChanged: true, ...members }
    await notify('notifications/subscriptions/acknowledged', { notifications, ...members })
    return members
  })
  const front = await startStack({
    targets: { one: one.url, two: two.url },
    identity: stack.identity,
  })
  const found = await postStateless(front, modernRequest('server/discover'))
  expect(JSON.stringify(found.message.result.capabilities)).not.toContain('__proto__')
  await postStateless(front, modernRequest('tools/list'))
  const filter = { notifications: { toolsListChanged: true } }
  const listen = modernRequest('subscriptions/listen', filter)
  const stream = await openModern(front, listen)
  await stream.until(1)
  expect(JSON.stringify(stream.messages[0])).not.toContain('__proto__')
  stream.close()
  const body = JSON.stringify(modernRequest('tools/list'))
  const headers = { 'content-type': 'application/json' }
  expect((await fetch(front.url, { method: 'POST', headers, body })).status).toBe(401)
  await front.close()
  await one.close()
  await two.close()
  await expectUntouched(before)
})
