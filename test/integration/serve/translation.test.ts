import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import { connectHost, HOST_CAPABILITIES, type LegacyHost } from '../../helpers/legacy-host.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { defaultAnswers, RpcFailure, tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernHandler,
  type ModernRecordingTarget,
  startModernRecordingTarget,
  startModernTarget,
} from '../../helpers/targets/modern.js'
import { NO_ANSWER, startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSdkV1Target, startSdkV2Target } from '../../helpers/targets/sdk.js'
import { translatesForLegacyHosts } from '../../helpers/translation-suite.js'

async function transportTo({ url, token }: Stack) {
  const headers = { authorization: `Bearer ${await token()}` }
  return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
}

describe('[mcp-translate-initialize] [mcp-translate-logging] [mcp-translate-listen] an SDK v1 client at a target that speaks only 2026-07-28, through serve', () => {
  translatesForLegacyHosts(async (url) => {
    const stack = await startStack({ targets: { target: { url, prefix: '' } } })
    const host = await connectHost(await transportTo(stack))
    return {
      host,
      async close() {
        await host.close()
        await stack.close()
      },
    }
  })

  it('hears of progress while a call runs', async () => {
    const target = await startModernTarget()
    const stack = await startStack({ targets: { target: { url: target.url, prefix: '' } } })
    const host = await connectHost(await transportTo(stack))
    const steps: unknown[] = []
    const call = { name: 'progress', arguments: { steps: 3 } }
    await host.client.callTool(call, undefined, { onprogress: (step) => steps.push(step) })
    expect(steps).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })))
    for (const { close } of [host, stack, target]) await close()
  })
})

const annotated = (header: unknown, type = 'string') => ({ type, 'x-mcp-header': header })
const withSchema = (name: string, properties: JsonObject, more: JsonObject = {}) =>
  tool(name, { inputSchema: { type: 'object', properties, ...more } })

const QUESTION = { message: 'Who?', requestedSchema: { type: 'object', properties: {} } }

const TOOLS = [
  tool('plain'),
  withSchema('deep', {
    place: { type: 'object', properties: { city: annotated('City') } },
    count: annotated('Count', 'integer'),
    urgent: annotated('Urgent', 'boolean'),
  }),
  withSchema('a_number', { share: annotated('Share', 'number') }),
  withSchema('no_token', { region: annotated('Not a token') }),
  withSchema('twice', { a: annotated('Same'), b: annotated('same') }),
  withSchema('in_items', { list: { type: 'array', items: annotated('Item') } }),
]

describe('a target that speaks only 2026-07-28', () => {
  let target: ModernRecordingTarget
  let stack: Stack
  let host: LegacyHost
  beforeAll(async () => {
    target = await startModernRecordingTarget({ tools: TOOLS, listChanged: true })
    stack = await startStack({ targets: { target: { url: target.url, prefix: '' } } })
    host = await connectHost(await transportTo(stack))
  })
  beforeEach(() => {
    target.clear()
    target.violations.length = 0
    target.on('tools/call', defaultAnswers(target.contents)['tools/call'] as ModernHandler)
  })
  afterAll(async () => {
    for (const { close } of [host, stack, target]) await close()
  })

  /** Opens a session by hand; resolves with what posts in it. */
  async function session(capabilities: JsonObject = {}, at: Stack = stack) {
    const params = {
      protocolVersion: '2025-06-18',
      capabilities,
      clientInfo: { name: 'raw', version: '1' },
    }
    const opened = await at.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
    const headers = {
      'mcp-session-id': opened.headers.get('mcp-session-id') ?? '',
      'mcp-protocol-version': '2025-06-18',
    }
    return {
      headers,
      initialized: await readMessage(opened),
      post: (message: unknown, to: Stack = at) => to.post(message, headers),
    }
  }

  /** The envelope of the first call that came. */
  const envelope = () => {
    const params = target.of('tools/call')[0]?.message?.['params']
    return (params as { _meta?: JsonObject } | undefined)?._meta
  }

  const call = (name: string, args: JsonObject = {}, id: unknown = 'c-1') => ({
    ...{ jsonrpc: '2.0', id, method: 'tools/call' },
    params: { name, arguments: args },
  })

  it('[mcp-translate-invalid-tools] does not show tools whose header annotations are not valid', async () => {
    const { tools } = await host.client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(['plain', 'deep'])
    const left = stack.logs().filter(({ event }) => event === 'tool_left_out')
    expect(left.map(({ tool: name }) => name)).toEqual([
      'a_number',
      'no_token',
      'twice',
      'in_items',
    ])
  })

  it('[mcp-translate-params] repeats arguments of every depth, and none that are null or absent', async () => {
    const { post } = await session()
    const args = { place: { city: 'Zürich' }, count: 12, urgent: null }
    expect((await post(call('deep', args))).status).toBe(200)
    const { headers = {} } = target.of('tools/call')[0] ?? {}
    expect(headers['mcp-param-city']).toBe(`=?base64?${Buffer.from('Zürich').toString('base64')}?=`)
    expect(headers['mcp-param-count']).toBe('12')
    expect(headers['mcp-param-urgent']).toBeUndefined()
    expect(target.violations).toEqual([])
  })

  it('[mcp-translate-params] reads the tools itself where no list came by, and once more when refused', async () => {
    const own = await startModernRecordingTarget({ tools: [withSchema('near', {})] })
    const front = await startStack({ targets: { target: { url: own.url, prefix: '' } } })
    const { post } = await session({}, front)
    own.violations.length = 0
    await post(call('near', { region: 'eu' }))
    expect(own.of('tools/list')).toHaveLength(1)
    own.contents.tools = [withSchema('near', { region: annotated('Region') })]
    const answer = await readMessage(await post(call('near', { region: 'eu' })))
    expect(answer).toMatchObject({ id: 'c-1', result: {} })
    expect(own.violations).toEqual(['tools/call: Mcp-Param-Region differs from the body'])
    expect(own.of('tools/call').map(({ headers }) => headers['mcp-param-region'])).toEqual([
      undefined,
      undefined,
      'eu',
    ])
    for (const { close } of [front, own]) await close()
  })

  it('[mcp-translate-envelope] leaves everything else as the client wrote it', async () => {
    const { post } = await session()
    const big = '123456789012345678901234567890'
    await post(
      `{"jsonrpc":"2.0", "id":"i-7","method":"tools/call","params":{"name":"plain","arguments":{"n":${big}},"_meta":{"progressToken":5,"x":1e2}}}`,
    )
    const { body = '' } = target.of('tools/call')[0] ?? {}
    expect(body).toContain(`"arguments":{"n":${big}}`)
    expect(body).toContain('"progressToken":5,"x":1e2}')
    expect(body).toContain('"id":"i-7"')
  })

  it.each([
    ['elicitation/create', { message: 'x', requestedSchema: {} }, 'no elicitation'],
    ['sampling/createMessage', {}, 'no sampling'],
    ['roots/list', {}, 'no roots'],
    ['tools/call', {}, 'no request for clients'],
  ])(
    '[mcp-translate-input] refuses %s for a client that cannot answer it',
    async (method, params, why) => {
      target.on('tools/call', () => ({
        resultType: 'input_required',
        inputRequests: { one: { method, params } },
      }))
      const { post } = await session()
      const { error } = await readMessage(await post(call('plain')))
      expect(error.message).toContain(why)
      expect(target.of('tools/call')).toHaveLength(1)
    },
  )

  it('[mcp-translate-input] sends back the state byte for byte, also when nothing is asked', async () => {
    const state = '\\u0041/é"'
    target.on('tools/call', ({ requestState }) =>
      requestState === undefined
        ? { resultType: 'input_required', requestState: state }
        : { content: [{ type: 'text', text: String(requestState) }] },
    )
    expect(await host.call('plain')).toBe(state)
  })

  it('[mcp-translate-input] gives up on a target that never stops asking', async () => {
    target.on('tools/call', () => ({
      resultType: 'input_required',
      inputRequests: { roots: { method: 'roots/list', params: {} } },
    }))
    await expect(host.call('plain')).rejects.toThrow('more than 10 times')
    expect(target.of('tools/call')).toHaveLength(11)
  })

  it('[mcp-translate-input] fails the call when the client refuses to answer', async () => {
    target.on('tools/call', () => ({
      resultType: 'input_required',
      inputRequests: { who: { method: 'elicitation/create', params: QUESTION } },
    }))
    const refusing = await connectHost(await transportTo(stack), {
      elicit: () => Promise.reject(new Error('not now')),
    })
    await expect(refusing.call('plain')).rejects.toThrow(
      /The client refused elicitation\/create: .*not now/,
    )
    await refusing.close()
  })

  it('[mcp-translate-cancel] takes a question back when its call is cancelled', async () => {
    target.on('tools/call', () => ({
      resultType: 'input_required',
      inputRequests: { who: { method: 'elicitation/create', params: QUESTION } },
    }))
    const { post, headers } = await session(HOST_CAPABILITIES)
    const response = await post(call('plain'))
    const params = { requestId: 'c-1' }
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    const question = new TextDecoder().decode((await reader.read()).value)
    const { id } = JSON.parse(/data: (.*)/.exec(question)?.[1] ?? '')
    await stack.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params }, headers)
    let rest = ''
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      rest += new TextDecoder().decode(part.value)
    }
    expect(rest).toContain('"method":"notifications/cancelled"')
    expect(rest).toContain(id)
    const late = await post({ jsonrpc: '2.0', id, result: { action: 'decline' } })
    expect(late.ok).toBe(false)
  })

  it.each([[5], ['text'], [[{}]], [null]])(
    'is not held up by a question that is none: %j',
    async (question) => {
      target.on('tools/call', () => ({
        resultType: 'input_required',
        inputRequests: { question },
      }))
      const { post } = await session(HOST_CAPABILITIES)
      const { error } = await readMessage(await post(call('plain')))
      expect(error.message).toContain('is no request for clients')
    },
  )

  describe('that nests what it says as deep as it can', () => {
    const DEPTH = 20_000
    const deep = `${'{"properties":{"a":'.repeat(DEPTH)}1${'}}'.repeat(DEPTH)}`
    /** Answers a method of the target with a result that no serializer could make. */
    const answer = (method: string, result: string) =>
      target.intercept(({ rpc, message }, response) => {
        if (rpc !== method) return false
        const id = JSON.stringify(message?.['id'])
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(`{"jsonrpc":"2.0","id":${id},"result":${result}}`)
        return true
      })
    afterEach(() => target.intercept(undefined))

    it('its tool is left out, and others can be called', async () => {
      answer('tools/list', `{"resultType":"complete","tools":[{"name":"x","inputSchema":${deep}}]}`)
      const { post } = await session()
      const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
      expect((await readMessage(await post(list))).result.tools).toEqual([])
      expect((await readMessage(await post(call('unheard_of', { a: 1 })))).id).toBe('c-1')
    })

    it('a request fails, and nothing else', async () => {
      const { post } = await session()
      answer(
        'tools/call',
        `{"resultType":"complete","content":[],"structuredContent":1,"x":${deep}}`,
      )
      const failed = { error: { data: { cause: 'invalid_answer' } } }
      expect(await readMessage(await post(call('plain')))).toMatchObject(failed)
      const supported = '"resultType":"complete","supportedVersions":["2026-07-28"]'
      answer('server/discover', `{${supported},"capabilities":{"experimental":{"x":${deep}}}}`)
      const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: {} }
      const hello = { jsonrpc: '2.0', id: 0, method: 'initialize', params }
      expect(await readMessage(await stack.post(hello))).toMatchObject(failed)
    })
  })

  it('[mcp-translate-disconnect] lets a tool finish when its client only loses the connection', async () => {
    let end = () => {}
    let wasAborted = false
    target.on('tools/call', (_params, { signal }) => {
      signal.addEventListener('abort', () => {
        wasAborted = true
      })
      return new Promise((resolve) => {
        end = () => resolve({ content: [] })
      })
    })
    const { headers } = await session()
    const leave = new AbortController()
    const running = fetch(stack.url, {
      method: 'POST',
      signal: leave.signal,
      headers: {
        ...headers,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${await stack.token()}`,
      },
      body: JSON.stringify(call('plain')),
    })
    const request = await target.until(({ rpc }) => rpc === 'tools/call')
    leave.abort()
    await expect(running).rejects.toThrow()
    await eventually(() => {
      expect(stack.logs().some(({ status }) => status === 499)).toBe(true)
    })
    end()
    expect(await request.closed).toBe('finished')
    expect(wasAborted).toBe(false)
  })

  it('[mcp-translate-input] names a request to open a URL, as older clients expect', async () => {
    const params = { mode: 'url', message: 'Sign in', url: 'https://sign.in.example/' }
    target.on('tools/call', ({ inputResponses }) =>
      inputResponses === undefined
        ? {
            resultType: 'input_required',
            inputRequests: { url: { method: 'elicitation/create', params } },
          }
        : { content: [{ type: 'text', text: JSON.stringify(inputResponses) }] },
    )
    const browsing = await connectHost(await transportTo(stack), {
      capabilities: { elicitation: { url: {} } },
      elicit: () => ({ action: 'accept' }),
    })
    expect(await browsing.call('plain')).toBe('{"url":{"action":"accept"}}')
    expect(browsing.asked[0]?.params).toMatchObject({
      ...params,
      elicitationId: expect.any(String),
    })
    await expect(host.call('plain')).rejects.toThrow('this client opens no URLs')
    await browsing.close()
  })

  it('[mcp-translate-results] leaves structure out that is no object, which older clients refuse', async () => {
    const own = await startModernRecordingTarget({
      tools: [tool('numbers', { outputSchema: { type: 'array' } }), tool('fine')],
    })
    const text = { type: 'text', text: '[1,2]' }
    own.on('tools/call', () => ({ content: [text], structuredContent: [1, 2] }))
    const front = await startStack({ targets: { target: { url: own.url, prefix: '' } } })
    const other = await connectHost(await transportTo(front))
    const { tools } = await other.client.listTools()
    expect(tools.map((it) => [it.name, it.outputSchema])).toEqual([
      ['numbers', undefined],
      ['fine', undefined],
    ])
    expect(await other.client.callTool({ name: 'numbers' })).toMatchObject({ content: [text] })
    for (const { close } of [other, front, own]) await close()
  })

  it('asks the target itself whether it is still there when it is pinged', async () => {
    expect(await host.client.ping()).toEqual({})
    expect(target.of('server/discover')).toHaveLength(1)
  })

  it('asks once more when the target refuses the version that it names itself', async () => {
    const own = await startModernRecordingTarget()
    let count = 0
    own.on('server/discover', () => {
      count += 1
      const data = { supported: ['2026-07-28'] }
      if (count === 1) throw new RpcFailure(-32022, 'Unsupported', { status: 400, data })
      return { supportedVersions: ['2026-07-28'], capabilities: { tools: {} } }
    })
    const front = await startStack({ targets: { target: { url: own.url, prefix: '' } } })
    const other = await connectHost(await transportTo(front))
    expect(await other.client.listTools()).toMatchObject({ tools: [{ name: 'echo' }] })
    expect(count).toBe(2)
    for (const { close } of [other, front, own]) await close()
  })

  it('answers a task, which it did not ask for, with an error', async () => {
    target.on('tools/call', () => ({ resultType: 'task', task: { taskId: 't' } }))
    await expect(host.call('plain')).rejects.toThrow('answered with a task')
  })

  it.each(['tasks/list', 'no\r\nx-injected: 1', 'zählen'])('has no %j', async (method) => {
    const { post } = await session()
    const answer = await readMessage(await post({ jsonrpc: '2.0', id: 1, method }))
    expect(answer.error.code).toBe(-32601)
  })

  it('answers what the target does not know under the id of the request, in the session', async () => {
    const { post } = await session()
    const response = await post({ jsonrpc: '2.0', id: 'u-1', method: 'who/knows' })
    expect(response.status).toBe(200)
    expect(await readMessage(response)).toMatchObject({ id: 'u-1', error: { code: -32601 } })
  })

  it('refuses an unknown log level, and a subscription that the target does not take', async () => {
    const { post, headers } = await session()
    const level = { jsonrpc: '2.0', id: 1, method: 'logging/setLevel', params: { level: 'loud' } }
    expect((await readMessage(await post(level))).error.code).toBe(-32602)
    target.on('subscriptions/listen', async (_params, { id, stream }) => {
      const _meta = { 'io.modelcontextprotocol/subscriptionId': id }
      await stream.send({
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: { toolsListChanged: true }, _meta },
      })
      return NO_ANSWER
    })
    const authorization = `Bearer ${await stack.token()}`
    const accept = 'text/event-stream'
    const listening = await fetch(stack.url, { headers: { ...headers, accept, authorization } })
    expect(listening.status).toBe(200)
    const params = { uri: 'test://x' }
    const subscribe = { jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params }
    expect((await readMessage(await post(subscribe))).error).toMatchObject({
      code: -32602,
      message: 'The target tells no updates of test://x',
    })
    await listening.body?.cancel()
  })

  it('has no stream (405) where the target has none', async () => {
    target.on('subscriptions/listen', () => {
      throw new RpcFailure(-32601, 'Method not found', { status: 404 })
    })
    const { headers } = await session()
    const authorization = `Bearer ${await stack.token()}`
    const accept = 'text/event-stream'
    const listening = await fetch(stack.url, { headers: { ...headers, accept, authorization } })
    expect(listening.status).toBe(405)
  })

  it('serves clients that send no session id, asking nothing of them', async () => {
    const answer = await readMessage(await stack.post(call('plain', { a: 1 })))
    expect(answer).toMatchObject({ id: 'c-1', result: {} })
    expect(envelope()).toMatchObject({ 'io.modelcontextprotocol/clientCapabilities': {} })
    const params = { uri: 'test://x' }
    const subscribe = { jsonrpc: '2.0', id: 2, method: 'resources/subscribe', params }
    expect((await readMessage(await stack.post(subscribe))).error.message).toContain('session')
  })

  it('keeps a session within a header however much a client says of itself', async () => {
    const experimental = { thing: { text: 'x'.repeat(5_000) } }
    const { headers, post } = await session({ sampling: {}, experimental })
    expect(headers['mcp-session-id']).toMatch(/^v1\./)
    expect(headers['mcp-session-id'].length).toBeLessThan(4_096)
    await post(call('plain'))
    expect(envelope()).toMatchObject({
      'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
    })
  })

  it('ends a session', async () => {
    const { headers } = await session()
    const authorization = `Bearer ${await stack.token()}`
    const ended = await fetch(stack.url, {
      method: 'DELETE',
      headers: { ...headers, authorization },
    })
    expect(ended.status).toBe(200)
  })

  it('[mcp-translate-replicas] serves a session at every replica with the same secret', async () => {
    const secret = 's'.repeat(32)
    const options = {
      targets: { target: { url: target.url, prefix: '' } },
      config: { server: { publicUrl: 'http://localhost:8000' }, session: { secret } },
      identity: stack.identity,
    }
    const [one, two] = [await startStack(options), await startStack(options)]
    const { post } = await session(HOST_CAPABILITIES, one)
    const answer = await readMessage(await post(call('plain', { a: 1 }), two))
    expect(answer).toMatchObject({ id: 'c-1', result: {} })
    expect(envelope()).toMatchObject({
      'io.modelcontextprotocol/clientInfo': { name: 'raw' },
      'io.modelcontextprotocol/clientCapabilities': { sampling: {} },
    })
    target.on('tools/call', () => ({
      resultType: 'input_required',
      inputRequests: { roots: { method: 'roots/list', params: {} } },
    }))
    const asking = await post(call('plain'), one)
    const reader = (asking.body as ReadableStream<Uint8Array>).getReader()
    const question = new TextDecoder().decode((await reader.read()).value)
    const { id } = JSON.parse(/data: (.*)/.exec(question)?.[1] ?? '')
    const elsewhere = await post({ jsonrpc: '2.0', id, result: { roots: [] } }, two)
    expect(elsewhere.status).toBe(502)
    expect(await elsewhere.text()).toContain('runs in another process')
    expect(two.logs().filter(({ event }) => event === 'answer_lost')).toHaveLength(1)
    await reader.cancel()
    for (const { close } of [one, two]) await close()
  })
})

describe('targets of different eras', () => {
  it('[mcp-translate-mixed] are served together', async () => {
    const [old, modern] = [await startSdkV1Target(), await startModernTarget()]
    const stack = await startStack({ targets: { old: old.url, modern: modern.url } })
    const host = await connectHost(await transportTo(stack))
    const names = (await host.client.listTools()).tools.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['old_echo', 'modern_echo']))
    expect(await host.call('old_echo', { text: 'a' })).toBe('a')
    expect(await host.call('modern_echo', { text: 'b' })).toBe('b')
    expect(await host.call('modern_regional', { region: 'eu' })).toBe('eu')
    for (const prefix of ['old', 'modern']) {
      expect(await host.call(`${prefix}_ask_user`)).toContain('Ada')
      expect(await host.call(`${prefix}_ask_roots`)).toContain('file:///project')
    }
    const prompt = await host.client.getPrompt({
      name: 'modern_paint',
      arguments: { colour: 'red' },
    })
    expect(JSON.stringify(prompt)).toContain('Paint it red.')
    await eventually(() => {
      modern.notify.toolsChanged()
      expect(host.heard).toContain('notifications/tools/list_changed')
    })
    const { resources } = await host.client.listResources()
    const uri = resources.find((it) => it.uri.includes('modern'))?.uri ?? ''
    await host.client.subscribeResource({ uri })
    modern.notify.resourceUpdated('test://readme')
    await eventually(() => expect(host.heard).toContain(`notifications/resources/updated ${uri}`))
    expect(modern.of('initialize')).toHaveLength(1)
    expect(old.of('server/discover')).toHaveLength(0)
    for (const { close } of [host, stack, old, modern]) await close()
  })

  it('[mcp-translate-dual] that speak both get older clients as they are', async () => {
    const target = await startSdkV2Target()
    const stack = await startStack({ targets: { target: { url: target.url, prefix: '' } } })
    const host = await connectHost(await transportTo(stack))
    expect(await host.call('echo', { text: 'a' })).toBe('a')
    expect(target.of('server/discover')).toHaveLength(0)
    expect(target.of('tools/call')[0]?.headers['mcp-method']).toBeUndefined()
    for (const { close } of [host, stack, target]) await close()
  })

  it('that refuse initialize for a reason of their own keep their answer', async () => {
    const target = await startRecordingTarget({
      handlers: {
        initialize: () => {
          throw new RpcFailure(-32099, 'Closed today', { status: 400 })
        },
      },
    })
    const stack = await startStack({ targets: { target: target.url } })
    await expect(connectHost(await transportTo(stack))).rejects.toThrow('Closed today')
    expect(target.of('server/discover')).toHaveLength(1)
    for (const { close } of [stack, target]) await close()
  })

  it('[mcp-translate-change] are found out anew when they change', async () => {
    const modern = await startModernRecordingTarget()
    const port = Number(new URL(modern.url).port)
    const stack = await startStack({ targets: { target: { url: modern.url, prefix: '' } } })
    const first = await connectHost(await transportTo(stack))
    expect(await first.call('echo', {})).toBeDefined()
    await modern.close()
    const old = await startRecordingTarget({ port, sessions: 'required' })
    // what was a session of the newer era is none any more
    await expect(first.call('echo', {})).rejects.toThrow()
    const second = await connectHost(await transportTo(stack))
    expect(await second.call('echo', {})).toBeDefined()
    expect(old.of('tools/call').at(-1)?.sessionId).toBeDefined()
    for (const { close } of [first, second, stack, old]) await close()
  })
})
