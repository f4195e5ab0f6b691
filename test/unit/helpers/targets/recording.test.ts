import { once } from 'node:events'
import { request } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { RpcFailure, tool } from '../../../helpers/targets/contents.js'
import { eventually } from '../../../helpers/targets/eventually.js'
import { call, MCP_HEADERS, send } from '../../../helpers/targets/raw-client.js'
import {
  NO_ANSWER,
  type RecordingOptions,
  type RecordingTarget,
  startRecordingTarget,
} from '../../../helpers/targets/recording.js'
import { renderEvent, type SseStyle } from '../../../helpers/targets/sse-writer.js'

const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'test', version: '1' },
}
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: {} }

let target: RecordingTarget
afterEach(() => target.close())

async function start(options: RecordingOptions = {}): Promise<RecordingTarget> {
  target = await startRecordingTarget(options)
  return target
}

async function connect(options: RecordingOptions = {}) {
  await start(options)
  const client = new Client({ name: 't', version: '1' }, { capabilities: CAPABILITIES })
  const transport = new StreamableHTTPClientTransport(new URL(target.url), {
    reconnectionOptions: {
      initialReconnectionDelay: 10,
      maxReconnectionDelay: 50,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 3,
    },
  })
  await client.connect(transport as Transport)
  onTestFinished(() => client.close())
  return { client, transport }
}

function parse(body: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = []
  createParser({ onEvent: (event) => events.push(event) }).feed(body)
  return events
}

describe('startRecordingTarget', () => {
  it('records method, path, raw headers, body and connection', async () => {
    await start()
    const socket = connectSocket(target.port, '127.0.0.1')
    const body = '{"jsonrpc":"2.0","id":7,"method":"ping","params":{"ü":"\\u0000"}}'
    socket.write(
      `POST /mcp?x=1 HTTP/1.1\r\nHost: h\r\nX-Odd-CASE: a\r\nx-odd-case: b\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
    const [answer] = await once(socket, 'data')
    socket.destroy()
    expect(String(answer)).toContain('"id":7')
    const [recorded] = target.requests
    expect(recorded).toMatchObject({
      method: 'POST',
      url: '/mcp?x=1',
      rpc: 'ping',
      socket: 1,
      body,
    })
    expect(recorded?.rawHeaders.slice(2, 6)).toEqual(['X-Odd-CASE', 'a', 'x-odd-case', 'b'])
  })

  it('tells an answered request from one whose client went away', async () => {
    await start({ handlers: { wait: () => NO_ANSWER } })
    await call(target.url, 'ping')
    expect(await target.requests[0]?.closed).toBe('finished')
    await call(target.url, 'wait', {}, { patienceMs: 50 })
    expect(await target.requests[1]?.closed).toBe('aborted')
    await eventually(() => expect(target.requests[1]?.aborted).toBe(true))
  })

  it('waits for requests that come later, and gives up', async () => {
    await start()
    const waiting = target.until(({ rpc }) => rpc === 'tools/list')
    await call(target.url, 'tools/list')
    expect((await waiting).rpc).toBe('tools/list')
    await expect(target.until(() => false, 20)).rejects.toThrow('within 20 ms')
  })

  it('aborts the exchange when the client leaves', async () => {
    const gone = vi.fn()
    await start({
      handlers: {
        wait: (_params, { signal }) => {
          signal.addEventListener('abort', gone)
          return NO_ANSWER
        },
      },
    })
    await call(target.url, 'wait', {}, { patienceMs: 50 })
    await eventually(() => expect(gone).toHaveBeenCalled())
  })

  it('answers from the script: results, errors, extra members, pages', async () => {
    await start({
      tools: [tool('a', { 'x-unknown': 1 }), tool('b'), tool('c')],
      pageSize: 2,
      handlers: {
        boom: () => {
          throw new RpcFailure(-32001, 'no', { data: { why: 1 }, status: 418 })
        },
      },
    })
    const first = JSON.parse((await call(target.url, 'tools/list')).body).result
    expect(first.tools[0]).toMatchObject({ name: 'a', 'x-unknown': 1 })
    const params = { cursor: first.nextCursor }
    const second = JSON.parse((await call(target.url, 'tools/list', params)).body).result
    expect(second).toEqual({ tools: [tool('c')] })
    const failed = await call(target.url, 'boom')
    expect(failed.status).toBe(418)
    expect(JSON.parse(failed.body).error).toEqual({ code: -32001, message: 'no', data: { why: 1 } })
    expect(JSON.parse((await call(target.url, 'nothing')).body).error.code).toBe(-32601)
    target.on('nothing', () => ({ late: true }))
    expect(JSON.parse((await call(target.url, 'nothing')).body).result).toEqual({ late: true })
  })

  it('refuses unknown protocol versions and GET when it has no stream', async () => {
    await start({ getStream: false, versions: ['2025-03-26'] })
    const headers = { 'mcp-protocol-version': '2025-11-25' }
    expect((await call(target.url, 'ping', {}, { headers })).status).toBe(400)
    expect((await send(target.url, { method: 'GET' })).status).toBe(405)
    expect((await send(target.url, { method: 'DELETE' })).status).toBe(405)
    const initialized = JSON.parse((await call(target.url, 'initialize', INITIALIZE)).body)
    expect(initialized.result.protocolVersion).toBe('2025-03-26')
  })

  it('hands sessions out, needs them and forgets them', async () => {
    await start({ sessions: 'required' })
    const initialized = await call(target.url, 'initialize', INITIALIZE)
    const headers = { 'mcp-session-id': String(initialized.headers['mcp-session-id']) }
    expect((await call(target.url, 'tools/list')).status).toBe(400)
    expect((await call(target.url, 'tools/list', {}, { headers })).status).toBe(200)
    await target.forget()
    expect((await call(target.url, 'tools/list', {}, { headers })).status).toBe(404)

    const again = await call(target.url, 'initialize', INITIALIZE)
    const renewed = { 'mcp-session-id': String(again.headers['mcp-session-id']) }
    expect((await send(target.url, { method: 'DELETE', headers: renewed })).status).toBe(200)
    expect((await call(target.url, 'tools/list', {}, { headers: renewed })).status).toBe(404)
  })

  it('lets a test take over the whole answer', async () => {
    await start()
    target.intercept((_request, response) => {
      response.writeHead(418).end('teapot')
      return true
    })
    expect(await call(target.url, 'ping')).toMatchObject({ status: 418, body: 'teapot' })
  })
})

describe('startRecordingTarget, with the client of SDK v1', () => {
  it.each(['json', 'sse'] as const)('answers everything as %s', async (answerWith) => {
    const { client } = await connect({
      answerWith,
      sessions: 'required',
      prompts: [{ name: 'p' }],
      resources: [{ name: 'r', uri: 'r://1' }],
      resourceTemplates: [{ name: 't', uriTemplate: 'r://{id}' }],
      listChanged: true,
    })
    expect((await client.listTools()).tools[0]?.name).toBe('echo')
    const called = await client.callTool({ name: 'echo', arguments: { a: 1 } })
    expect(called.content).toEqual([{ type: 'text', text: '{"tool":"echo","arguments":{"a":1}}' }])
    await expect(client.callTool({ name: 'nope' })).rejects.toThrow('Unknown tool: nope')
    expect((await client.getPrompt({ name: 'p' })).messages).toHaveLength(1)
    expect((await client.readResource({ uri: 'r://1' })).contents).toHaveLength(1)
    expect((await client.listResourceTemplates()).resourceTemplates).toHaveLength(1)
    await client.subscribeResource({ uri: 'r://1' })
    const ref = { type: 'ref/prompt' as const, name: 'p' }
    const { completion } = await client.complete({ ref, argument: { name: 'x', value: 'v' } })
    expect(completion.values).toEqual(['v-one', 'v-two'])
    await client.setLoggingLevel('info')
    await client.ping()
    expect(target.of('tools/call')).toHaveLength(2)
    expect(target.of('tools/call')[0]?.sessionId).toMatch(/^session-/)
  })

  it('notifies and asks on the stream of a call and takes the posted responses', async () => {
    const { client } = await connect({
      handlers: {
        'tools/call': async (_params, exchange) => {
          await exchange.notify('notifications/message', { level: 'info', data: 'hello' })
          const roots = await exchange.ask('roots/list')
          const sampled = await exchange.ask('sampling/createMessage', {
            messages: [],
            maxTokens: 1,
          })
          const elicited = await exchange.ask('elicitation/create', {
            message: 'm',
            requestedSchema: { type: 'object', properties: {} },
          })
          const all = [roots['result'], sampled['result'], elicited['error'] !== undefined]
          return { content: [{ type: 'text', text: JSON.stringify(all) }] }
        },
      },
    })
    const logged = vi.fn()
    client.setNotificationHandler(LoggingMessageNotificationSchema, logged)
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///x' }] }))
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'm',
      role: 'assistant' as const,
      content: { type: 'text' as const, text: 'word' },
    }))
    client.setRequestHandler(ElicitRequestSchema, () => {
      throw new Error('refused')
    })
    const result = await client.callTool({ name: 'echo' })
    const [roots, sampled, refused] = JSON.parse(
      (result as { content: { text: string }[] }).content[0]?.text ?? '',
    )
    expect(roots).toEqual({ roots: [{ uri: 'file:///x' }] })
    expect(sampled.content.text).toBe('word')
    expect(refused).toBe(true)
    expect(logged).toHaveBeenCalledTimes(1)
  })

  it('notifies and asks on the GET stream', async () => {
    const { client, transport } = await connect({ sessions: 'required', listChanged: true })
    const changed = vi.fn()
    client.setNotificationHandler(ToolListChangedNotificationSchema, changed)
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }))
    await eventually(() => expect(target.getStreams(transport.sessionId)).toHaveLength(1))
    await target.notify('notifications/tools/list_changed')
    await eventually(() => expect(changed).toHaveBeenCalled())
    expect((await target.ask('roots/list'))['result']).toEqual({ roots: [] })
    expect(() => target.ask('roots/list', {}, 'another')).toThrow('No GET stream')
  })

  it.each([
    { lineEnd: '\r\n' },
    { comments: true, retryMs: 5, eventIds: true },
    { named: false, tight: true },
    { multiline: true },
    { byteOrderMark: true },
    { chunkBytes: 1 },
    { chunkBytes: 7, lineEnd: '\r\n', comments: true },
  ] satisfies SseStyle[])('is understood when its event streams look like %j', async (sse) => {
    const { client } = await connect({ answerWith: 'sse', sse })
    const result = await client.callTool({ name: 'echo', arguments: { text: '¡🌧!' } })
    expect(JSON.stringify(result)).toContain('¡🌧!')
  })

  it('lets a client come back for an answer with the last event id', async () => {
    const { client } = await connect({
      sessions: 'required',
      sse: { eventIds: true, priming: true, retryMs: 10 },
      handlers: {
        'tools/call': async (_params, { notify, stream }) => {
          await notify('notifications/message', { level: 'info', data: 'before' })
          await stream.disconnect()
          await notify('notifications/message', { level: 'info', data: 'meanwhile' })
          await new Promise((resolve) => setTimeout(resolve, 50))
          return { content: [{ type: 'text', text: 'at last' }] }
        },
      },
    })
    const logs: unknown[] = []
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      logs.push(params.data)
    })
    const result = await client.callTool({ name: 'echo' })
    expect(result.content).toEqual([{ type: 'text', text: 'at last' }])
    expect(logs).toEqual(['before', 'meanwhile'])
    const resumed = target.requests.find(({ headers }) => headers['last-event-id'] !== undefined)
    expect(resumed?.headers['last-event-id']).toMatch(/-1$/)
  })
})

describe('event streams on the wire', () => {
  it('begin with an id without data, and a retry, when primed', async () => {
    const sse = { eventIds: true, priming: true, retryMs: 1_500, lineEnd: '\r\n' as const }
    await start({ answerWith: 'sse', sse })
    const { body, headers } = await call(target.url, 'ping')
    expect(headers['content-type']).toBe('text/event-stream')
    expect(body).toMatch(/^event: message\r\nid: s1-0\r\nretry: 1500\r\ndata: \r\n\r\n/)
    expect(body).toMatch(/id: s1-1\r\ndata: \{"jsonrpc".*\}\r\n\r\n$/)
  })

  it('may end their lines with a lone CR', async () => {
    await start({ answerWith: 'sse', sse: { lineEnd: '\r' } })
    const { body } = await call(target.url, 'ping')
    expect(body).toBe('event: message\rdata: {"jsonrpc":"2.0","id":1,"result":{}}\r\r')
  })

  it('leave in segments that do not respect lines', async () => {
    await start({ answerWith: 'sse', sse: { chunkBytes: 5 } })
    const sizes = await new Promise<number[]>((resolve) => {
      const chunks: number[] = []
      const outgoing = request(target.url, { method: 'POST', headers: MCP_HEADERS }, (incoming) => {
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk.length))
        incoming.on('end', () => resolve(chunks))
      })
      outgoing.end('{"jsonrpc":"2.0","id":1,"method":"ping"}')
    })
    expect(sizes.length).toBeGreaterThan(5)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(15)
  })

  it('can be cut, or carry any bytes', async () => {
    await start({
      handlers: {
        cut: async (_params, { stream }) => {
          await stream.raw(': raw\n\n')
          await stream.comment('half')
          stream.cut()
          return NO_ANSWER
        },
      },
    })
    const { body, error } = await call(target.url, 'cut')
    expect(body).toBe(': raw\n\n: half\n\n')
    expect(error).toBe('ECONNRESET')
  })

  it('keep their meaning in every style', () => {
    const style = fc.record({
      comments: fc.boolean(),
      lineEnd: fc.constantFrom('\n' as const, '\r\n' as const, '\r' as const),
      named: fc.boolean(),
      tight: fc.boolean(),
    })
    fc.assert(
      fc.property(style, fc.jsonValue(), (sse, value) => {
        const rendered = renderEvent({ data: JSON.stringify(value, undefined, 1), id: '7' }, sse)
        const [event] = parse(`${rendered}:\n\n`)
        expect(event?.id).toBe('7')
        expect(JSON.parse(event?.data ?? '')).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
