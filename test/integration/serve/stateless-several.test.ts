import type { Client } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectV2, modernRequest, postStateless } from '../../helpers/modern-client.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure, tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type SdkV2Target, startSdkV2Target } from '../../helpers/targets/sdk-v2.js'

const VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
const TASKS = { extensions: { [`${META}/tasks`]: {} } }
const ODD = 'wörter zählen'

let one: SdkV2Target
let two: SdkV2Target
let real: Stack
let a: ModernRecordingTarget
let b: ModernRecordingTarget
let bare: Stack
beforeAll(async () => {
  one = await startSdkV2Target({ name: 'first', legacy: 'reject' })
  two = await startSdkV2Target({ name: 'second', legacy: 'reject' })
  real = await startStack({ targets: { one: one.url, two: two.url } })
  a = await startModernRecordingTarget({
    instructions: 'Ask a.',
    tools: [tool('echo'), tool(ODD), tool('secret')],
    resources: [{ uri: 'test://readme', name: 'readme' }],
    ttlMs: 60_000,
    listChanged: true,
  })
  b = await startModernRecordingTarget({
    instructions: 'Ask b.',
    prompts: [{ name: 'paint' }],
    resources: [{ uri: 'test://readme', name: 'readme' }],
    resourceTemplates: [{ uriTemplate: 'test://colours/{colour}', name: 'colour' }],
    capabilities: { tools: {}, prompts: {}, resources: {}, ...TASKS },
    ttlMs: 5_000,
  })
  bare = await startStack({
    targets: { a: { url: a.url, tools: { deny: ['secret'] } }, b: b.url },
  })
})
afterAll(async () => {
  for (const { close } of [real, bare]) await close()
  for (const { close } of [one, two, a, b]) await close()
})

const text = (result: { content?: unknown }) => JSON.stringify(result.content)

describe.each([['auto'], [{ pin: VERSION }]] as const)('the SDK client in mode %j', (mode) => {
  const withClient = async (use: (client: Client) => Promise<void>) => {
    const client = await connectV2(real, mode, {
      capabilities: { elicitation: {}, sampling: {}, roots: {} },
    })
    try {
      await use(client)
    } finally {
      await client.close()
    }
  }
  const EACH = ['one', 'two'] as const

  it('[mcp-merge-modern] lists and calls tools, prompts and resources of both', () =>
    withClient(async (client) => {
      one.clear()
      two.clear()
      const names = (await client.listTools()).tools.map(({ name }) => name)
      expect(names).toEqual(expect.arrayContaining(['one_echo', 'two_echo']))
      const prompts = (await client.listPrompts()).prompts.map(({ name }) => name)
      expect(prompts).toEqual(['one_paint', 'two_paint'])
      const uris = (await client.listResources()).resources.map(({ uri }) => uri)
      expect(uris).toEqual(['test://one/readme', 'test://two/readme'])
      const templates = (await client.listResourceTemplates()).resourceTemplates
      expect(templates.map(({ uriTemplate }) => uriTemplate)).toEqual([
        'test://one/colours/{colour}',
        'test://two/colours/{colour}',
      ])
      for (const target of EACH) {
        const result = await client.callTool({ name: `${target}_add`, arguments: { a: 2, b: 3 } })
        expect(result.structuredContent).toEqual({ sum: 5 })
        const painted = await client.getPrompt({
          name: `${target}_paint`,
          arguments: { colour: 'blue' },
        })
        expect(JSON.stringify(painted.messages)).toContain('Paint it blue.')
        const uri = `test://${target}/colours/green`
        const { contents } = await client.readResource({ uri })
        expect(contents[0]).toMatchObject({ uri, text: 'All about green.' })
      }
      for (const target of [one, two]) {
        expect(target.of('tools/call')).not.toHaveLength(0)
        expect(target.of('initialize')).toHaveLength(0)
        for (const { headers } of target.of('tools/call')) expect(headers['mcp-name']).toBe('add')
      }
    }))

  it('completes arguments of both', () =>
    withClient(async (client) => {
      for (const target of EACH) {
        const byPrompt = await client.complete({
          ref: { type: 'ref/prompt', name: `${target}_paint` },
          argument: { name: 'colour', value: 'bl' },
        })
        expect(byPrompt.completion.values).toEqual(['blue', 'black'])
        const byUri = await client.complete({
          ref: { type: 'ref/resource', uri: `test://${target}/colours/{colour}` },
          argument: { name: 'colour', value: 'g' },
        })
        expect(byUri.completion.values).toEqual(['green'])
      }
    }))

  it('[mcp-input-required] is asked by both at once, and its answers find back', () =>
    withClient(async (client) => {
      let asked = 0
      client.setRequestHandler('elicitation/create', () => {
        asked += 1
        return { action: 'accept', content: { name: `person ${asked}` } }
      })
      client.setRequestHandler('sampling/createMessage', () => ({
        model: 'm',
        role: 'assistant',
        content: { type: 'text', text: 'a word' },
      }))
      client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///home' }] }))
      const ask = (name: string) =>
        Promise.all(EACH.map((at) => client.callTool({ name: `${at}_${name}` })))
      const people = (await ask('ask_user')).map(text)
      expect(people.join()).toMatch(/person 1.*person 2|person 2.*person 1/)
      expect((await ask('ask_model')).map(text).every((said) => said.includes('a word'))).toBe(true)
      expect((await ask('ask_roots')).map(text).every((said) => said.includes('home'))).toBe(true)
      const [retry] = one.of('tools/call').filter(({ body }) => body.includes('asked-once'))
      expect(retry?.message).toMatchObject({
        params: { name: 'ask_user', requestState: 'asked-once' },
      })
    }))

  it('gets the progress and the log of both at once', () =>
    withClient(async (client) => {
      const seen: Record<string, number[]> = { one: [], two: [] }
      const logged: unknown[] = []
      client.setNotificationHandler('notifications/message', ({ params }) => {
        logged.push(params.data)
      })
      await Promise.all(
        EACH.map((at) =>
          client.callTool(
            {
              name: `${at}_progress`,
              arguments: { steps: 3 },
              _meta: { [`${META}/logLevel`]: 'debug' },
            },
            { onprogress: ({ progress }) => seen[at]?.push(progress) },
          ),
        ),
      )
      expect(seen).toEqual({ one: [1, 2, 3], two: [1, 2, 3] })
      expect(logged.filter((data) => data === 'step 3')).toHaveLength(2)
    }))

  it('[mcp-disconnect] cancels a call at its target by leaving', () =>
    withClient(async (client) => {
      two.clear()
      const abort = new AbortController()
      const call = client.callTool(
        { name: 'two_wait', arguments: { ms: 20_000 } },
        { signal: abort.signal },
      )
      const request = await two.until(({ rpc }) => rpc === 'tools/call')
      abort.abort()
      await expect(call).rejects.toThrow()
      await expect(request.closed).resolves.toBe('aborted')
    }))
})

describe('server/discover of several', () => {
  it('[mcp-merge-modern] says what all of them can do together', async () => {
    const { status, message } = await postStateless(bare, modernRequest('server/discover'))
    expect(status).toBe(200)
    expect(message).toEqual({
      jsonrpc: '2.0',
      id: 'm-1',
      result: {
        resultType: 'complete',
        supportedVersions: [VERSION],
        capabilities: {
          logging: {},
          completions: {},
          tools: { listChanged: true },
          prompts: {},
          resources: { listChanged: true, subscribe: true },
          ...TASKS,
        },
        instructions: '## a\nAsk a.\n\n## b\nAsk b.',
        ttlMs: 5_000,
        cacheScope: 'public',
        _meta: {
          [`${META}/serverInfo`]: { name: 'mcp-descope-proxy', version: expect.any(String) },
        },
      },
    })
  })

  it('[mcp-private-cache] is private when one part is, or when lists depend on the caller', async () => {
    const own = await startModernRecordingTarget({ cacheScope: 'private' })
    const scoped = { url: b.url, tools: { roles: { echo: ['admin'] } } }
    const fronts = [
      await startStack({ targets: { a: a.url, own: own.url } }),
      await startStack({ targets: { a: a.url, b: scoped } }),
      await startStack({ targets: { b: scoped } }),
    ]
    try {
      for (const front of fronts) {
        for (const method of ['server/discover', 'tools/list']) {
          const { message } = await postStateless(front, modernRequest(method))
          expect(message.result.cacheScope).toBe('private')
        }
      }
      const { message } = await postStateless(fronts[1] as Stack, modernRequest('prompts/list'))
      expect(message.result.cacheScope).toBe('public')
    } finally {
      for (const front of fronts) await front.close()
      await own.close()
    }
  })
})

describe('a list of several', () => {
  it('[mcp-merge-modern] keeps their order, and the shortest time that one of them may be kept', async () => {
    const { message } = await postStateless(bare, modernRequest('tools/list'))
    const { tools, ...rest } = message.result
    expect(tools.map(({ name }: { name: string }) => name)).toEqual([
      'a_echo',
      expect.stringMatching(/^a_w_rter_z_hlen_[0-9a-f]{6}$/),
      'b_echo',
    ])
    expect(rest).toEqual({
      resultType: 'complete',
      ttlMs: 5_000,
      cacheScope: 'public',
      _meta: { [`${META}/serverInfo`]: { name: 'mcp-descope-proxy', version: expect.any(String) } },
    })
    expect(a.violations.concat(b.violations)).toEqual([])
  })
})

it('[mcp-merge-modern] a long list comes in parts, each for its caller alone', async () => {
  const tools = Array.from({ length: 2_500 }, (_, n) => tool(`tool-${n}`))
  const long = await startModernRecordingTarget({ tools, pageSize: 500 })
  const front = await startStack({ targets: { a: a.url, long: long.url } })
  try {
    const first = (await postStateless(front, modernRequest('tools/list'))).message.result
    expect(first).toMatchObject({ cacheScope: 'private', ttlMs: 60_000, resultType: 'complete' })
    const cursor = first.nextCursor
    const second = (await postStateless(front, modernRequest('tools/list', { cursor }))).message
      .result
    expect(second).toMatchObject({ cacheScope: 'private', ttlMs: 60_000 })
    expect(second.nextCursor).toBeUndefined()
    const names = [...first.tools, ...second.tools].map(({ name }) => name)
    expect(names.filter((name) => name.startsWith('long_'))).toEqual(
      tools.map(({ name }) => `long_${name}`),
    )
    expect(second.tools.every(({ name }: { name: string }) => name.startsWith('long_'))).toBe(true)
    const invalid = await postStateless(front, modernRequest('tools/list', { cursor: 'x' }))
    expect(invalid).toMatchObject({ status: 200, message: { error: { code: -32602 } } })
    expect(long.violations).toEqual([])
  } finally {
    await front.close()
    await long.close()
  }
})

it('[mcp-private-cache] a list of which a part is older is not to be kept', async () => {
  const frail = await startModernRecordingTarget()
  const front = await startStack({ targets: { a: a.url, frail: frail.url } })
  try {
    await postStateless(front, modernRequest('tools/list'))
    await frail.close()
    const { result } = (await postStateless(front, modernRequest('tools/list'))).message
    expect(result).toMatchObject({
      ttlMs: 0,
      _meta: { 'mcp-descope-proxy/staleTargets': ['frail'] },
    })
    expect(result.tools.map(({ name }: { name: string }) => name)).toContain('frail_echo')
  } finally {
    await front.close()
  }
})

describe('what a request carries', () => {
  it('[mcp-rename-consistently] is renamed in body and header, and all else passes', async () => {
    a.clear()
    const list = await postStateless(bare, modernRequest('tools/list'))
    const alias = list.message.result.tools[1].name
    await postStateless(bare, modernRequest('tools/call', { name: alias, arguments: {} }), {
      'mcp-param-region': '=?base64?WsO8cmljaA==?=',
      'mcp-something': 'new',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      cookie: 'a=b',
    })
    const [call] = a.of('tools/call')
    expect(call?.message).toMatchObject({ params: { name: ODD } })
    expect(call?.headers).toMatchObject({
      'mcp-name': `=?base64?${Buffer.from(ODD).toString('base64')}?=`,
      'mcp-method': 'tools/call',
      'mcp-protocol-version': VERSION,
      'mcp-param-region': '=?base64?WsO8cmljaA==?=',
      'mcp-something': 'new',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    })
    expect(call?.headers.cookie).toBeUndefined()
    expect(call?.headers.authorization).toBeUndefined()
  })

  it('[mcp-input-required] inputResponses reach the target byte for byte, and its state as it was', async () => {
    const state = 'é"\\\u0001/'
    b.on('tools/call', ({ requestState }) =>
      requestState === undefined
        ? { resultType: 'input_required', inputRequests: {}, requestState: state }
        : { content: [] },
    )
    const call = modernRequest('tools/call', { name: 'b_echo', arguments: {} })
    const { requestState } = (await postStateless(bare, call)).message.result
    b.clear()
    const odd = `"inputResponses": {"k":{ "x":1.0}}, "requestState" :${JSON.stringify(requestState)}`
    const raw = JSON.stringify(call).replace('"arguments":{}', odd)
    const response = await bare.post(raw, {
      'mcp-protocol-version': VERSION,
      'mcp-method': 'tools/call',
      'mcp-name': 'b_echo',
    })
    expect(response.status).toBe(200)
    const own = raw
      .replace('b_echo', 'echo')
      .replace(requestState, () => JSON.stringify(state).slice(1, -1))
    expect(b.of('tools/call')[0]?.body).toBe(own)
  })

  it('[mcp-header-equals-body] is refused when header and body differ', async () => {
    a.clear()
    b.clear()
    const call = modernRequest('tools/call', { name: 'a_echo', arguments: {} })
    for (const headers of [
      { 'mcp-name': 'b_echo' },
      { 'mcp-name': undefined },
      { 'mcp-method': 'tools/list' },
      { 'mcp-protocol-version': '2025-11-25' },
    ]) {
      const answer = await postStateless(bare, call, headers)
      expect(answer).toMatchObject({ status: 400, message: { id: 'm-1', error: { code: -32020 } } })
    }
    expect(a.requests.concat(b.requests)).toHaveLength(0)
  })

  it('is refused without capabilities, and in a version that nobody speaks', async () => {
    const { _meta, ...params } = modernRequest('tools/list').params
    const bareMeta = { [`${META}/protocolVersion`]: VERSION }
    const list = { jsonrpc: '2.0', id: 'm-1', method: 'tools/list' }
    expect(
      await postStateless(bare, { ...list, params: { ...params, _meta: bareMeta } }),
    ).toMatchObject({
      status: 400,
      message: { id: 'm-1', error: { code: -32602 } },
    })
    const later = {
      ...list,
      params: { _meta: { ..._meta, [`${META}/protocolVersion`]: '2027-01-01' } },
    }
    expect(
      await postStateless(bare, later, { 'mcp-protocol-version': '2027-01-01' }),
    ).toMatchObject({
      status: 400,
      message: { error: { code: -32022, data: { supported: [VERSION], requested: '2027-01-01' } } },
    })
  })

  it('a method or a name that nobody has is unknown', async () => {
    expect(await postStateless(bare, modernRequest('no/such'))).toMatchObject({
      status: 404,
      message: { id: 'm-1', error: { code: -32601 } },
    })
    for (const name of ['a_secret', 'c_echo']) {
      expect(await postStateless(bare, modernRequest('tools/call', { name }))).toMatchObject({
        status: 200,
        message: { error: { code: -32602, message: `Unknown tool: ${name}` } },
      })
    }
  })

  it('[mcp-relay-errors] gets the error of its target with status and code', async () => {
    const data = { requiredCapabilities: { sampling: {} } }
    b.on('tools/call', () => {
      throw new RpcFailure(-32021, 'Missing capability', { data, status: 400 })
    })
    try {
      const answer = await postStateless(bare, modernRequest('tools/call', { name: 'b_echo' }))
      expect(answer).toMatchObject({
        status: 400,
        message: { id: 'm-1', error: { code: -32021, message: 'Missing capability', data } },
      })
    } finally {
      b.on('tools/call', () => ({ content: [] }))
    }
  })
})

describe('what an answer names', () => {
  it('[mcp-expose-uris] resources of several get the name of their target, questions stay as they are', async () => {
    const uri = 'test://readme'
    const inputRequests = {
      k: { method: 'elicitation/create', params: { message: uri, x: { uri } } },
    }
    b.on('tools/call', (params) =>
      params['arguments'] === undefined
        ? { resultType: 'input_required', inputRequests, requestState: uri }
        : {
            content: [
              { type: 'resource_link', uri, name: 'r' },
              { type: 'resource', resource: { uri, text: 't' } },
              { type: 'text', text: uri },
            ],
          },
    )
    const called = await postStateless(
      bare,
      modernRequest('tools/call', { name: 'b_echo', arguments: {} }),
    )
    expect(called.message.result.content).toEqual([
      { type: 'resource_link', uri: 'test://b/readme', name: 'r' },
      { type: 'resource', resource: { uri: 'test://b/readme', text: 't' } },
      { type: 'text', text: uri },
    ])
    const asked = await postStateless(bare, modernRequest('tools/call', { name: 'b_echo' }))
    expect(asked.message.result).toMatchObject({ inputRequests })
    const read = await postStateless(
      bare,
      modernRequest('resources/read', { uri: 'test://b/readme' }),
    )
    expect(read.message.result).toMatchObject({
      contents: [{ uri: 'test://b/readme', text: 'contents of test://readme' }],
      ttlMs: 5_000,
    })
    expect(b.violations).toEqual([])
  })

  it('[mcp-task-ids] a task is asked for at the target that has it', async () => {
    const status = { status: 'working', createdAt: 'now', lastUpdatedAt: 'now', ttlMs: null }
    b.on('tools/call', () => ({ resultType: 'task', taskId: 't.1', ...status }))
    b.on('tasks/get', (params) => ({
      ...status,
      status: 'completed',
      taskId: params['taskId'],
      result: { content: [{ type: 'resource_link', uri: 'test://readme', name: 'r' }] },
    }))
    b.on('tasks/update', () => ({}))
    b.on('tasks/cancel', () => ({}))
    a.clear()
    const created = await postStateless(
      bare,
      modernRequest('tools/call', { name: 'b_echo' }, TASKS),
    )
    expect(created.message.result).toMatchObject({ resultType: 'task', taskId: expect.any(String) })
    const { taskId } = created.message.result
    const got = await postStateless(bare, modernRequest('tasks/get', { taskId }, TASKS))
    expect(got.message.result).toMatchObject({
      taskId,
      result: { content: [{ uri: 'test://b/readme' }] },
    })
    const inputResponses = { k: { action: 'accept' } }
    for (const method of ['tasks/update', 'tasks/cancel']) {
      const answer = await postStateless(
        bare,
        modernRequest(method, { taskId, inputResponses }, TASKS),
      )
      expect(answer).toMatchObject({ status: 200, message: { result: { resultType: 'complete' } } })
      expect(b.of(method)[0]?.headers['mcp-name']).toBe('t.1')
      expect(b.of(method)[0]?.message).toMatchObject({ params: { taskId: 't.1', inputResponses } })
    }
    expect(b.violations).toEqual([])
    expect(a.requests).toHaveLength(0)
    const unknown = await postStateless(bare, modernRequest('tasks/get', { taskId: 't.1' }, TASKS))
    expect(unknown.message.error).toMatchObject({ code: -32602, message: 'Unknown task: t.1' })
  })

  it('[mcp-task-ids] a task of a single target is asked for by its id in body and header', async () => {
    b.clear()
    b.on('tools/call', () => ({ resultType: 'task', taskId: 'ö.1' }))
    const front = await startStack({ targets: { b: b.url } })
    try {
      const call = modernRequest('tools/call', { name: 'b_echo' }, TASKS)
      const { taskId } = (await postStateless(front, call)).message.result
      const answer = await postStateless(front, modernRequest('tasks/get', { taskId }, TASKS))
      expect(answer.message.result).toMatchObject({ taskId })
      expect(b.of('tasks/get')[0]?.message).toMatchObject({ params: { taskId: 'ö.1' } })
      expect(b.violations).toEqual([])
    } finally {
      await front.close()
    }
  })
})

it('a notification of a client reaches all of them', async () => {
  a.clear()
  b.clear()
  const { id: _id, ...notification } = modernRequest('notifications/roots/list_changed')
  const response = await bare.post(notification, { 'mcp-protocol-version': VERSION })
  expect(response.status).toBe(202)
  await eventually(() => {
    for (const target of [a, b])
      expect(target.of('notifications/roots/list_changed')).toHaveLength(1)
  })
})
