import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { tool } from '../../../helpers/targets/contents.js'
import { eventually } from '../../../helpers/targets/eventually.js'
import {
  type ModernRecordingOptions,
  type ModernRecordingTarget,
  startModernRecordingTarget,
  startModernTarget,
} from '../../../helpers/targets/modern.js'
import { call, send } from '../../../helpers/targets/raw-client.js'
import { NO_ANSWER } from '../../../helpers/targets/recording.js'

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
}
const HEADERS = { 'mcp-protocol-version': '2026-07-28' }

let target: ModernRecordingTarget
afterEach(() => target?.close())

async function start(options: ModernRecordingOptions = {}): Promise<ModernRecordingTarget> {
  target = await startModernRecordingTarget(options)
  return target
}

async function connect(url: string): Promise<Client> {
  const client = new Client(
    { name: 'modern', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } } },
  )
  await client.connect(new StreamableHTTPClientTransport(new URL(url)))
  onTestFinished(() => client.close())
  return client
}

describe('startModernRecordingTarget, with the client of SDK v2', () => {
  it.each(['json', 'sse'] as const)(
    'answers everything as %s, without violations',
    async (answerWith) => {
      await start({
        answerWith,
        tools: [tool('echo'), tool('grüße')],
        prompts: [{ name: 'p' }],
        resources: [{ name: 'r', uri: 'r://ü' }],
      })
      const client = await connect(target.url)
      expect(client.getServerVersion()?.name).toBe('bare-target')
      expect((await client.listTools()).tools).toHaveLength(2)
      const called = await client.callTool({ name: 'grüße', arguments: { a: 1 } })
      expect(JSON.stringify(called)).toContain('grüße')
      expect((await client.getPrompt({ name: 'p' })).messages).toHaveLength(1)
      expect((await client.readResource({ uri: 'r://ü' })).contents).toHaveLength(1)
      expect(target.violations).toEqual([])
      expect(target.of('tools/call')[0]?.headers['mcp-name']).toMatch(/^=\?base64\?/)
      expect(target.of('initialize')).toEqual([])
    },
  )

  it('sees annotated arguments repeated in headers', async () => {
    const inputSchema = {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
    }
    await start({ tools: [{ name: 'query', inputSchema }] })
    const client = await connect(target.url)
    await client.listTools()
    await client.callTool({ name: 'query', arguments: { region: 'eu' } })
    expect(target.of('tools/call')[0]?.headers['mcp-param-region']).toBe('eu')
    expect(target.violations).toEqual([])
  })

  it('streams notifications of a call and sees the client leave', async () => {
    const gone = vi.fn()
    await start({
      handlers: {
        'tools/call': async (_params, { notify, signal }) => {
          signal.addEventListener('abort', gone)
          await notify('notifications/message', { level: 'info', data: 'working' })
          return NO_ANSWER
        },
      },
    })
    const client = await connect(target.url)
    const cancel = new AbortController()
    const calling = client.callTool({ name: 'echo' }, { signal: cancel.signal })
    await target.until(({ rpc }) => rpc === 'tools/call')
    cancel.abort()
    await expect(calling).rejects.toThrow()
    await eventually(() => expect(gone).toHaveBeenCalled())
  })
})

describe('startModernRecordingTarget, over bare HTTP', () => {
  const good = { method: 'tools/call', params: { name: 'echo', _meta: META } }

  it.each([
    ['no envelope', 'tools/list', {}, HEADERS, -32602],
    ['initialize', 'initialize', { protocolVersion: '2025-11-25' }, {}, -32022],
    ['no version header', good.method, good.params, { 'mcp-protocol-version': '' }, -32020],
    ['no Mcp-Method', good.method, good.params, {}, -32020],
    ['another Mcp-Method', good.method, good.params, { 'mcp-method': 'tools/list' }, -32020],
    ['no Mcp-Name', good.method, good.params, { 'mcp-method': 'tools/call' }, -32020],
    [
      'another Mcp-Name',
      good.method,
      good.params,
      { 'mcp-method': 'tools/call', 'mcp-name': 'other' },
      -32020,
    ],
  ])('refuses %s', async (_what, method, params, extra, code) => {
    await start()
    const headers = { ...HEADERS, ...extra }
    const { status, body } = await call(target.url, method, params, { headers })
    expect(status).toBe(400)
    expect(JSON.parse(body).error.code).toBe(code)
    expect(target.violations).toHaveLength(1)
  })

  it('accepts a name in its Base64 form, and broken rules when lenient', async () => {
    await start({ lenient: true })
    const name = `=?base64?${Buffer.from('echo').toString('base64')}?=`
    const headers = { ...HEADERS, 'mcp-method': 'tools/call', 'mcp-name': name }
    const { body } = await call(target.url, good.method, good.params, { headers })
    expect(JSON.parse(body).result.resultType).toBe('complete')
    expect(target.violations).toEqual([])
    expect((await call(target.url, good.method, good.params)).status).toBe(200)
    expect(target.violations).toEqual(['tools/call: MCP-Protocol-Version differs from _meta'])
  })

  it('answers discovery with versions and cache members, and has no GET', async () => {
    await start({ ttlMs: 5, cacheScope: 'private' })
    const headers = { ...HEADERS, 'mcp-method': 'server/discover' }
    const { body } = await call(target.url, 'server/discover', { _meta: META }, { headers })
    expect(JSON.parse(body).result).toMatchObject({
      resultType: 'complete',
      supportedVersions: ['2026-07-28'],
      ttlMs: 5,
      cacheScope: 'private',
    })
    expect((await send(target.url, { method: 'GET' })).status).toBe(405)
  })

  it('tells those who listen, tagged with the id of their request, and ends gracefully', async () => {
    await start({ listChanged: true })
    const headers = { ...HEADERS, 'mcp-method': 'subscriptions/listen' }
    const notifications = { toolsListChanged: true, resourceSubscriptions: ['r://1'] }
    const params = { notifications, _meta: META }
    const listening = call(target.url, 'subscriptions/listen', params, {
      headers,
      patienceMs: 2_000,
    })
    await eventually(() => expect(target.listeners).toBe(1))
    await target.changed('prompts')
    await target.changed('tools')
    await target.updated('r://2')
    await target.updated('r://1')
    await target.endListeners()
    const messages = (await listening).body
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => JSON.parse(line.slice(6)))
    expect(messages.map(({ method }) => method)).toEqual([
      'notifications/subscriptions/acknowledged',
      'notifications/tools/list_changed',
      'notifications/resources/updated',
      undefined,
    ])
    const key = 'io.modelcontextprotocol/subscriptionId'
    expect(messages[1].params._meta[key]).toBe(1)
    expect(messages[3]).toMatchObject({ id: 1, result: { resultType: 'complete' } })
  })
})

describe('startModernTarget', () => {
  it('is a real server of 2026-07-28 that refuses initialize', async () => {
    const real = await startModernTarget()
    onTestFinished(() => real.close())
    const client = await connect(real.url)
    const result = await client.callTool({ name: 'echo', arguments: { text: 'hi' } })
    expect(result.content).toEqual([{ type: 'text', text: 'hi' }])
    const refused = await call(real.url, 'initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    })
    expect(refused.status).toBe(400)
    expect(JSON.parse(refused.body).error.code).toBe(-32022)
  })
})
