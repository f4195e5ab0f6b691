import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectV2, envelope, modernRequest, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type Answer, defaultAnswers, tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const VERSION = '2026-07-28'
const META = 'io.modelcontextprotocol'
const ODD = 'wörter zählen'

const REGION = {
  type: 'object',
  properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
}

let modern: ModernRecordingTarget
let legacy: RecordingTarget
let single: Stack
let several: Stack
let old: Stack
beforeAll(async () => {
  modern = await startModernRecordingTarget({
    tools: [tool('echo'), tool(ODD), tool('near', { inputSchema: REGION })],
    prompts: [{ name: 'paint' }],
    resources: [{ uri: 'test://readme', name: 'readme' }],
  })
  legacy = await startRecordingTarget({ sessions: 'required' })
  single = await startStack({ targets: { target: modern.url } })
  several = await startStack({ targets: { a: legacy.url, b: legacy.url } })
  old = await startStack({ targets: { target: legacy.url } })
})
beforeEach(() => {
  modern.clear()
  modern.violations.length = 0
  modern.on('tools/call', defaultAnswers(modern.contents)['tools/call'] as Answer)
  legacy.clear()
})
afterAll(async () => {
  for (const { close } of [single, several, old]) await close()
  await modern.close()
  await legacy.close()
})

describe.each([['auto'], [{ pin: VERSION }]] as const)('the SDK client in mode %j', (mode) => {
  it('[mcp-rename-consistently] discovers, lists and calls; the target sees consistent requests', async () => {
    const client = await connectV2(single, mode)
    const { tools } = await client.listTools()
    const names = tools.map(({ name }) => name)
    expect(names).toContain('target_echo')
    const alias = names.find((name) => /^target_w_rter_z_hlen_[0-9a-f]{6}$/.test(name)) as string
    for (const [name, own] of [
      ['target_echo', 'echo'],
      [alias, ODD],
    ] as const) {
      const result = await client.callTool({ name, arguments: { text: 'hé' } })
      expect(JSON.stringify(result.content)).toContain(own)
    }
    const painted = await client.getPrompt({ name: 'target_paint' })
    expect(JSON.stringify(painted.messages)).toContain('paint')
    const { contents } = await client.readResource({ uri: 'test://readme' })
    expect(contents[0]?.uri).toBe('test://readme')
    expect(modern.violations).toEqual([])
    expect(modern.of('initialize')).toHaveLength(0)
    expect(modern.requests.every(({ sessionId }) => sessionId === undefined)).toBe(true)
    const calls = modern.of('tools/call').map(({ headers }) => headers['mcp-name'])
    expect(calls).toEqual(['echo', `=?base64?${Buffer.from(ODD).toString('base64')}?=`])
    await client.close()
  })

  it('repeats arguments in headers, and they reach the target', async () => {
    const client = await connectV2(single, mode)
    await client.listTools()
    await client.callTool({ name: 'target_near', arguments: { region: 'Zürich' } })
    expect(modern.violations).toEqual([])
    const header = modern.of('tools/call')[0]?.headers['mcp-param-region']
    expect(header).toBe(`=?base64?${Buffer.from('Zürich').toString('base64')}?=`)
    await client.close()
  })

  it('gets notifications of a call before its answer', async () => {
    modern.on('tools/call', async (params, { notify }) => {
      const meta = params['_meta'] as Record<string, unknown>
      for (const progress of [1, 2]) {
        const progressToken = meta['progressToken']
        await notify('notifications/progress', { progressToken, progress, total: 2 })
      }
      return { content: [{ type: 'text', text: 'done' }] }
    })
    const client = await connectV2(single, mode)
    const seen: number[] = []
    const onprogress = ({ progress }: { progress: number }) => seen.push(progress)
    await client.callTool({ name: 'target_echo' }, { onprogress })
    expect(seen).toEqual([1, 2])
    await client.close()
  })
})

describe('a request whose headers and body differ', () => {
  const call = modernRequest('tools/call', { name: 'target_echo', arguments: {} })
  it.each<[string, Record<string, string | undefined>]>([
    ['in the name', { 'mcp-name': 'target_other' }],
    ['in the case of the name', { 'mcp-name': 'TARGET_ECHO' }],
    ["in the name, which is the target's own", { 'mcp-name': 'echo' }],
    ['in the encoded name', { 'mcp-name': '=?base64?b3RoZXI=?=' }],
    ['since the name is missing', { 'mcp-name': undefined }],
    ['in the method', { 'mcp-method': 'tools/list' }],
    ['since the method is missing', { 'mcp-method': undefined }],
    ['in the version', { 'mcp-protocol-version': '2025-11-25' }],
    ['since the version is missing', { 'mcp-protocol-version': undefined }],
  ])('%s is refused and does not reach the target', async (_title, headers) => {
    const answer = await postStateless(single, call, headers)
    expect(answer).toMatchObject({ status: 400, message: { id: 'm-1', error: { code: -32020 } } })
    expect(modern.requests).toHaveLength(0)
  })

  it('only in the spelling of the name passes', async () => {
    const name = `=?base64?${Buffer.from('target_echo').toString('base64')}?=`
    expect((await postStateless(single, call, { 'mcp-name': name })).status).toBe(200)
    expect(modern.of('tools/call')[0]?.headers['mcp-name']).toBe('echo')
    expect(modern.violations).toEqual([])
  })

  it('since only its headers are of the era is refused and does not reach the target', async () => {
    const bare = { ...call, params: { name: 'target_echo', arguments: {} } }
    const answer = await postStateless(single, bare, { 'mcp-name': 'target_near' })
    expect(answer).toMatchObject({ status: 400, message: { id: 'm-1', error: { code: -32602 } } })
    expect(modern.requests).toHaveLength(0)
  })
})

describe('a method that the stateless era has no more', () => {
  it.each([
    'initialize',
    'ping',
    'logging/setLevel',
    'resources/subscribe',
    'resources/unsubscribe',
    'tasks/list',
    'tasks/result',
  ])('[mcp-modern-removed-methods] %s is unknown', async (method) => {
    const answer = await postStateless(single, modernRequest(method))
    expect(answer).toMatchObject({ status: 404, message: { id: 'm-1', error: { code: -32601 } } })
    expect(modern.requests).toHaveLength(0)
  })
})

describe('an error of the target', () => {
  it('keeps its status and code', async () => {
    const { status, message } = await postStateless(single, modernRequest('no/such'))
    expect(status).toBe(404)
    expect(message).toMatchObject({ id: 'm-1', error: { code: -32601 } })
    const unknown = { ...modernRequest('tools/list'), params: { _meta: envelope('2027-01-01') } }
    const version = await postStateless(single, unknown, { 'mcp-protocol-version': '2027-01-01' })
    expect(version).toMatchObject({
      status: 400,
      message: { error: { code: -32022, data: { supported: [VERSION] } } },
    })
  })
})

describe('several targets of which one is legacy', () => {
  it.each(['server/discover', 'tools/list', 'subscriptions/listen'])(
    'refuse %s of the stateless era as a method unknown to the versions that they speak',
    async (method) => {
      const { status, message } = await postStateless(several, modernRequest(method))
      expect(status).toBe(400)
      expect(message).toMatchObject({
        id: 'm-1',
        error: {
          code: -32601,
          message: expect.stringContaining('2025-11-25, 2025-06-18, 2025-03-26'),
        },
      })
      const asked = legacy.requests.map(({ rpc }) => rpc)
      expect(asked.filter((rpc) => rpc !== 'server/discover')).toEqual([])
    },
  )
})

describe.each([
  ['several targets', () => several, 'a_echo'],
  ['a legacy target', () => old, 'target_echo'],
] as const)('the SDK client in mode "auto" on %s', (_title, stackOf, name) => {
  it('falls back to initialize and works', async () => {
    const client = await connectV2(stackOf(), 'auto')
    expect(legacy.of('initialize').length).toBeGreaterThan(0)
    const { tools } = await client.listTools()
    expect(tools.map((entry) => entry.name)).toContain(name)
    const result = await client.callTool({ name, arguments: {} })
    expect(JSON.stringify(result.content)).toContain('echo')
    await client.close()
  })

  it('is refused when it is pinned', async () => {
    await expect(connectV2(stackOf(), { pin: VERSION })).rejects.toThrow()
    expect(legacy.of('initialize')).toHaveLength(0)
  })
})

describe('server/discover', () => {
  const down = { status: 200, error: { code: -32603, data: { target: 'target' } } }
  // a server that fails on a method that it does not know is one of before
  const older = { status: 400, error: { code: -32601 } }
  it.each([
    ['that is not there', 0, down],
    ['that answers 503', 503, down],
    ['that answers 500', 500, older],
  ])(
    '[mcp-discover-never-5xx] of a target %s is an error in band, never a 5xx',
    async (_title, code, expected) => {
      legacy.intercept((_request, response) => {
        response.writeHead(code).end('no')
        return true
      })
      const url = code === 0 ? 'http://127.0.0.1:9/mcp' : legacy.url
      const front = await startStack({ targets: { target: url } })
      try {
        const { status, message } = await postStateless(front, modernRequest('server/discover'))
        expect(status).toBe(expected.status)
        expect(message).toMatchObject({ id: 'm-1', error: expected.error })
      } finally {
        legacy.intercept(undefined)
        await front.close()
      }
    },
  )

  it('passes what the target says of itself', async () => {
    const { message } = await postStateless(single, modernRequest('server/discover'))
    expect(message.result).toMatchObject({ supportedVersions: [VERSION], resultType: 'complete' })
  })
})

describe('subscriptions/listen', () => {
  it('stays open, tells changes as they come, and ends at the target with the client', async () => {
    const message = modernRequest('subscriptions/listen', {
      notifications: { toolsListChanged: true },
    })
    const abort = new AbortController()
    const response = await fetch(single.url, {
      method: 'POST',
      signal: abort.signal,
      headers: {
        authorization: `Bearer ${await single.token()}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': VERSION,
        'mcp-method': message.method,
      },
      body: JSON.stringify(message),
    })
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const readUntil = async (part: string) => {
      while (!text.includes(part)) text += (await reader?.read())?.value ?? ''
    }
    await readUntil('subscriptions/acknowledged')
    await modern.changed('tools')
    await readUntil('tools/list_changed')
    expect(text).toContain(`"${META}/subscriptionId":"m-1"`)
    expect(modern.listeners).toBe(1)
    abort.abort()
    await eventually(() => expect(modern.listeners).toBe(0))
  })
})

describe('a list', () => {
  it('that depends on the caller is not for shared caches', async () => {
    const scoped = { url: modern.url, tools: { roles: { echo: ['admin'] } } }
    const front = await startStack({ targets: { target: scoped } })
    try {
      expect(
        (await postStateless(single, modernRequest('tools/list'))).message.result.cacheScope,
      ).toBe('public')
      const { result } = (await postStateless(front, modernRequest('tools/list'))).message
      expect(result.cacheScope).toBe('private')
      expect(result.tools).toHaveLength(2)
      expect(result).toMatchObject({ ttlMs: 60_000, resultType: 'complete' })
    } finally {
      await front.close()
    }
  })
})

it('messages of both eras pass side by side', async () => {
  const both = [
    await postStateless(single, modernRequest('tools/list')),
    { message: await readMessage(await single.post({ jsonrpc: '2.0', id: 2, method: 'ping' })) },
  ]
  expect(both[0]?.message.result.tools).toHaveLength(3)
  expect(both[1]?.message).toEqual({ jsonrpc: '2.0', id: 2, result: {} })
})
