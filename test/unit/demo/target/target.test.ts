import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  type ExampleTarget,
  type ExampleTargetOptions,
  startTarget,
} from '../../../../src/demo/target/target.js'
import { realClock } from '../../../helpers/targets/clock.js'
import { eventually } from '../../../helpers/targets/eventually.js'
import { call, send } from '../../../helpers/targets/raw-client.js'

const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' },
}

let target: ExampleTarget
afterEach(() => target.close())

async function start(options: Partial<ExampleTargetOptions> = {}): Promise<string> {
  target = await startTarget({ clock: realClock, ...options })
  return target.url
}

async function connect(url: string, headers: Record<string, string> = {}) {
  const client = new Client({ name: 'test-client', version: '1.2.3' })
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
  await client.connect(transport as Transport)
  onTestFinished(() => client.close())
  return { client, transport }
}

const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]?.text

describe('startTarget, with the client of SDK v1', () => {
  it('lists its tools with titles, descriptions and annotations', async () => {
    const { client } = await connect(await start())
    const { tools } = await client.listTools()
    expect(tools.map((tool) => tool.name)).toEqual([
      'whoami',
      'get_secret',
      'echo',
      'get_weather',
      'countdown',
      'toggle_bonus',
    ])
    for (const tool of tools) {
      expect(tool.title).toBeTruthy()
      expect(tool.description?.length).toBeGreaterThan(40)
      expect(tool.annotations?.openWorldHint).toBe(false)
    }
    expect(client.getInstructions()).toContain('whoami')
  })

  it('returns echoed text, the secret and structured weather', async () => {
    const { client } = await connect(await start())
    const echoed = await client.callTool({ name: 'echo', arguments: { text: 'grüße \u0000 🌧' } })
    expect(textOf(echoed)).toBe('grüße \u0000 🌧')
    expect(textOf(await client.callTool({ name: 'get_secret' }))).toContain('oak')
    const weather = await client.callTool({ name: 'get_weather', arguments: { city: 'lisbon' } })
    expect(weather.structuredContent).toMatchObject({ city: 'Lisbon' })
    const again = await client.callTool({ name: 'get_weather', arguments: { city: ' LISBON ' } })
    expect(again.structuredContent).toEqual(weather.structuredContent)
  })

  it('tells which credential came and never its value', async () => {
    const { client } = await connect(await start({ token: 's3cret-token' }), {
      authorization: 'Bearer s3cret-token',
      cookie: 'sid=s3cret-cookie',
    })
    const result = await client.callTool({ name: 'whoami' })
    expect(result.structuredContent).toMatchObject({
      client: 'test-client 1.2.3',
      credentials: [
        { header: 'authorization', scheme: 'bearer', format: 'opaque' },
        { header: 'cookie', format: 'opaque' },
      ],
      headerNames: expect.arrayContaining(['mcp-session-id', 'host']),
    })
    expect(JSON.stringify(result)).not.toContain('s3cret')
    expect(JSON.stringify(target.requests)).not.toContain('s3cret')
  })

  it('counts down with progress and log notifications', async () => {
    const { client } = await connect(await start())
    const logs: unknown[] = []
    const steps: number[] = []
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      logs.push(params.data)
    })
    const result = await client.callTool(
      { name: 'countdown', arguments: { from: 3, stepMs: 1 } },
      undefined,
      { onprogress: ({ progress }) => steps.push(progress) },
    )
    expect(textOf(result)).toBe('Lift-off!')
    expect(steps).toEqual([1, 2, 3])
    expect(logs).toEqual(['2 to go', '1 to go', 'Lift-off'])

    await client.setLoggingLevel('error')
    await client.callTool({ name: 'countdown', arguments: { from: 1, stepMs: 1 } })
    expect(logs).toHaveLength(3)
  })

  it('stops counting when the call is cancelled', async () => {
    const after = vi.fn(realClock.after)
    const { client } = await connect(await start({ clock: { now: realClock.now, after } }))
    const steps: number[] = []
    const cancel = new AbortController()
    const calling = client.callTool(
      { name: 'countdown', arguments: { from: 60, stepMs: 20 } },
      undefined,
      {
        signal: cancel.signal,
        onprogress: ({ progress }) => {
          steps.push(progress)
          cancel.abort()
        },
      },
    )
    await expect(calling).rejects.toThrow()
    await new Promise((resolve) => setTimeout(resolve, 60))
    const timers = after.mock.calls.length
    await new Promise((resolve) => setTimeout(resolve, 80))
    expect(after.mock.calls.length).toBe(timers)
  })

  it('announces a tool that comes and goes', async () => {
    const { client } = await connect(await start())
    const changed = vi.fn()
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => changed())
    await eventually(() => expect(target.requests.at(-1)?.method).toBe('GET'))
    await client.callTool({ name: 'toggle_bonus' })
    await eventually(() => expect(changed).toHaveBeenCalled())
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('bonus')
    expect(textOf(await client.callTool({ name: 'bonus' }))).toBe('Well found.')
  })

  it('tells subscribers of the journal about each call, until they unsubscribe', async () => {
    const { client } = await connect(await start())
    const updated = vi.fn()
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) =>
      updated(params.uri),
    )
    await eventually(() => expect(target.requests.at(-1)?.method).toBe('GET'))
    await client.subscribeResource({ uri: 'demo://journal' })
    await client.callTool({ name: 'get_secret' })
    await eventually(() => expect(updated).toHaveBeenCalledWith('demo://journal'))
    const { contents } = await client.readResource({ uri: 'demo://journal' })
    expect(contents[0]).toMatchObject({ text: '1. get_secret' })
    await client.unsubscribeResource({ uri: 'demo://journal' })
    await client.callTool({ name: 'get_secret' })
    expect(updated).toHaveBeenCalledTimes(1)
  })

  it('offers resources and a template that completes', async () => {
    const { client } = await connect(await start())
    const { resources } = await client.listResources()
    expect(resources.map(({ uri }) => uri)).toContain('weather://cities/New%20York')
    const { contents } = await client.readResource({ uri: 'weather://cities/New%20York' })
    expect(contents[0]).toMatchObject({ text: expect.stringContaining('"city": "New York"') })
    const { resourceTemplates } = await client.listResourceTemplates()
    const uri = resourceTemplates[0]?.uriTemplate ?? ''
    const { completion } = await client.complete({
      ref: { type: 'ref/resource', uri },
      argument: { name: 'city', value: 'lo' },
    })
    expect(completion.values).toEqual(['London'])
  })

  it('offers prompts, one with an argument that completes', async () => {
    const { client } = await connect(await start())
    const { prompts } = await client.listPrompts()
    expect(prompts.map(({ name }) => name)).toEqual(['tour', 'packing_list'])
    const { completion } = await client.complete({
      ref: { type: 'ref/prompt', name: 'packing_list' },
      argument: { name: 'city', value: 'rey' },
    })
    expect(completion.values).toEqual(['Reykjavík'])
    const prompt = await client.getPrompt({ name: 'packing_list', arguments: { city: 'Tokyo' } })
    expect(prompt.messages[0]?.content).toMatchObject({ text: expect.stringMatching(/^Tokyo: /) })
  })

  it('ends a session on DELETE', async () => {
    const url = await start()
    const { client, transport } = await connect(url)
    const id = transport.sessionId ?? ''
    await transport.terminateSession()
    const after = await call(url, 'tools/list', {}, { headers: { 'mcp-session-id': id } })
    expect(after.status).toBe(404)
    await client.close()
  })
})

describe('startTarget, over bare HTTP', () => {
  it.each([
    { sent: {}, status: 401 },
    { sent: { authorization: 'Bearer wrong' }, status: 401 },
    { sent: { authorization: 'Basic right' }, status: 401 },
    { sent: { 'x-api-key': 'wrong' }, status: 401 },
    { sent: { authorization: 'Bearer right' }, status: 200 },
    { sent: { authorization: 'bearer right' }, status: 200 },
    { sent: { 'x-api-key': 'right' }, status: 200 },
  ])('answers $status to $sent when it needs a token', async ({ sent, status }) => {
    const headers = Object.fromEntries(Object.entries(sent))
    const answer = await call(await start({ token: 'right' }), 'initialize', INITIALIZE, {
      headers,
    })
    expect(answer.status).toBe(status)
    if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm=/)
  })

  it.each([
    { headers: { host: 'attacker.example' }, status: 421 },
    { headers: { origin: 'https://attacker.example' }, status: 403 },
    { headers: { origin: 'null' }, status: 403 },
    { headers: { origin: 'http://localhost:6274' }, status: 200 },
    { headers: { host: 'localhost:1' }, status: 200 },
  ])('answers $status to $headers on loopback', async ({ headers, status }) => {
    const answer = await call(await start(), 'initialize', INITIALIZE, {
      headers: Object.fromEntries(Object.entries(headers)),
    })
    expect(answer.status).toBe(status)
  })

  it('answers odd paths, unknown sessions and calls outside a session with 4xx', async () => {
    const url = await start()
    expect((await send(new URL('/', url).href, { method: 'GET' })).status).toBe(404)
    expect((await send(`${url}x`)).status).toBe(404)
    const headers = { 'mcp-session-id': 'nobody' }
    expect((await call(url, 'tools/list', {}, { headers })).status).toBe(404)
    expect((await call(url, 'tools/list')).status).toBe(400)
    expect((await call(`${url}/`, 'initialize', INITIALIZE)).status).toBe(200)
  })

  it('refuses 2026-07-28 in a way that makes clients of both eras fall back', async () => {
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'server/discover' }
    const answer = await call(await start(), 'server/discover', {}, { headers })
    expect(answer.status).toBe(400)
  })

  it('keeps no more sessions than it may', async () => {
    const url = await start({ maxSessions: 2 })
    const ids: string[] = []
    for (let n = 0; n < 3; n += 1) {
      const answer = await call(url, 'initialize', INITIALIZE)
      ids.push(String(answer.headers['mcp-session-id']))
    }
    const statuses = await Promise.all(
      ids.map(async (id) => {
        const headers = { 'mcp-session-id': id }
        return (await call(url, 'ping', {}, { headers })).status
      }),
    )
    expect(statuses).toEqual([404, 200, 200])
  })

  it('keeps the last hundred requests in mind', async () => {
    const url = await start()
    for (let n = 0; n < 105; n += 1) await send(`${url}x`)
    expect(target.requests).toHaveLength(100)
  })

  it('says so when its port is taken', async () => {
    const port = Number(new URL(await start()).port)
    await expect(startTarget({ clock: realClock, port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
      message: `Cannot listen on 127.0.0.1:${port}`,
    })
  })

  it('closes although a stream is open', async () => {
    const url = await start()
    const { client } = await connect(url)
    await eventually(() => expect(target.requests.at(-1)?.method).toBe('GET'))
    await target.close()
    await client.close()
  })
})
