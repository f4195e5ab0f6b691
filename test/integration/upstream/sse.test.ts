import {
  CreateMessageRequestSchema,
  LoggingMessageNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it } from 'vitest'
import type { ConfigInput, TargetInput } from '../../../src/config/types.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { startOlderTarget } from '../../helpers/targets/older.js'
import { type Connected, connectAs } from '../../helpers/targets/programs.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'
import { type SseTarget, startSseTarget } from '../../helpers/targets/sse-v1.js'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(
  target: TargetInput,
  config: Omit<ConfigInput, 'targets'> = {},
  more: Partial<Parameters<typeof startStack>[0]> = {},
): Promise<Stack> {
  const stack = await startStack({ targets: { t: { prefix: '', ...target } }, config, ...more })
  closing.push(stack.close)
  return stack
}

async function startSse(isAllowed?: (token: string) => boolean): Promise<SseTarget> {
  const target = await startSseTarget(isAllowed)
  closing.push(target.close)
  return target
}

async function connect(...args: Parameters<typeof connectAs>): Promise<Connected> {
  const connected = await connectAs(...args)
  closing.push(() => connected.client.close())
  return connected
}

describe('a target on HTTP+SSE', () => {
  it.each(['auto', 'sse'] as const)(
    '[mcp-http-sse-fallback] is served (%s), each session on a stream of its own',
    async (transport) => {
      const target = await startSse()
      const stack = await start({ url: target.url, transport })
      const sessions = await Promise.all(['a', 'b', 'a'].map((user) => connect(stack, user)))
      await Promise.all(
        sessions.flatMap(({ call }, index) =>
          Array.from({ length: 10 }, async (_, round) => {
            const text = `${index} ${round}`
            expect(await call('echo', { text })).toBe(text)
          }),
        ),
      )
      expect(target.streams.size).toBe(3)
      await sessions[0]?.transport.terminateSession()
      await eventually(() => expect(target.streams.size).toBe(2))
      const again = await connect(stack, 'c')
      expect((await again.client.listTools()).tools.length).toBeGreaterThan(5)
      // the first three came at once, and tried both eras; nobody tries again after them
      const tried = target.requests.filter(({ method, url }) => method === 'POST' && url === '/sse')
      expect(tried.length).toBeLessThanOrEqual(transport === 'sse' ? 0 : 6)
    },
  )

  it('reports progress, logs and changes, asks the client, and can be cancelled', async () => {
    const target = await startSse()
    const stack = await start({ url: target.url })
    const seen: unknown[] = []
    const { client, call } = await connect(stack, 'a', {
      capabilities: { sampling: {} },
      prepare(made) {
        made.setRequestHandler(CreateMessageRequestSchema, () => ({
          model: 'm',
          role: 'assistant' as const,
          content: { type: 'text' as const, text: 'a word' },
        }))
        made.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
          seen.push(params.data)
        })
        made.setNotificationHandler(ToolListChangedNotificationSchema, () => {
          seen.push('changed')
        })
      },
    })
    const progress: number[] = []
    const params = { name: 'progress', arguments: { steps: 2 } }
    await client.callTool(params, undefined, { onprogress: (step) => progress.push(step.progress) })
    expect(progress).toEqual([1, 2])
    expect(await call('ask_model')).toContain('a word')
    await call('toggle_extra')
    await eventually(() => expect(seen).toEqual(['step 1', 'step 2', 'changed']))
    const stop = new AbortController()
    const waiting = client.callTool({ name: 'wait', arguments: { ms: 30_000 } }, undefined, {
      signal: stop.signal,
    })
    const outcome = expect(waiting).rejects.toThrow()
    await client.ping()
    stop.abort()
    await outcome
    await eventually(() => expect(seen).toContain('wait cancelled'))
  })

  it('is called through any replica with one session, and its stream is opened where it lacks', async () => {
    const target = await startSse()
    const session = { secret: 'a-session-secret-of-more-than-32-bytes' }
    const server = { publicUrl: 'http://replicas.example' }
    const config = { session, server }
    const first = await start({ url: target.url }, config)
    const second = await start({ url: target.url }, config, { identity: first.identity })
    const { client, call, transport } = await connect(first, 'a')
    const headers = {
      authorization: `Bearer ${await first.token({ sub: 'a' })}`,
      'mcp-session-id': transport.sessionId ?? '',
      host: 'replicas.example',
    }
    for (let round = 0; round < 5; round++) {
      expect(await call('echo', { text: `first ${round}` })).toBe(`first ${round}`)
      const params = { name: 'echo', arguments: { text: `second ${round}` } }
      const message = { jsonrpc: '2.0', id: round, method: 'tools/call', params }
      const answer = await second.post(message, headers)
      expect(answer.status).toBe(200)
      expect(JSON.stringify(await readMessage(answer))).toContain(`second ${round}`)
    }
    expect(target.streams.size).toBe(2)
    const stop = new AbortController()
    const stream = await fetch(second.url, {
      headers: { ...headers, accept: 'text/event-stream' },
      signal: stop.signal,
    })
    expect(stream.status).toBe(200)
    stop.abort()
    for (const { sessionId } of [...target.streams.values()]) {
      await target.streams.get(sessionId)?.close()
    }
    await eventually(() => expect(target.streams.size).toBe(0))
    expect(await call('echo', { text: 'again' })).toBe('again')
    await client.ping()
  })

  it('opens the stream of a client whose session another replica opened', async () => {
    const target = await startSse()
    const session = { secret: 'a-session-secret-of-more-than-32-bytes' }
    const config = { session, server: { publicUrl: 'http://replicas.example' } }
    const first = await start({ url: target.url }, config)
    const second = await start({ url: target.url }, config, { identity: first.identity })
    const { transport } = await connect(first, 'a')
    const response = await fetch(second.url, {
      headers: {
        authorization: `Bearer ${await first.token({ sub: 'a' })}`,
        'mcp-session-id': transport.sessionId ?? '',
        accept: 'text/event-stream',
      },
    })
    expect(response.status).toBe(200)
    await response.body?.cancel()
  })

  it('gets the credential on the stream and on each message', async () => {
    const target = await startSse((token) => token === 'Bearer of-the-target')
    const credential = { type: 'bearer', token: 'of-the-target' } as const
    const stack = await start({ url: target.url, credential })
    const { call } = await connect(stack, 'a')
    expect(await call('echo', { text: 'hello' })).toBe('hello')
    const seen = new Set(target.requests.map(({ headers }) => headers.authorization))
    expect([...seen]).toEqual(['Bearer of-the-target'])
    const other = await start({ url: target.url, credential: { ...credential, token: 'wrong' } })
    const answer = await other.post({
      ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
      params: {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'raw', version: '1' },
      },
    })
    expect((await readMessage(answer)).error.data.cause).toBe('refused_credential')
  })

  it('[mcp-http-sse-origin] may name an endpoint at its own origin only', async () => {
    const other = await startSse()
    const target = await startOlderTarget({ endpoint: `${other.origin}/messages` })
    closing.push(target.close)
    const stack = await start({ url: target.url, transport: 'sse' })
    await expect(connect(stack, 'a')).rejects.toThrow(/another origin/)
    expect(other.requests).toEqual([])
  })

  it('loses a stream that nobody uses, and its client does not notice', async () => {
    const target = await startSse()
    const stack = await start({ url: target.url }, { timeouts: { idle: 0.3 } })
    const { transport, call } = await connect(stack, 'a')
    await call('echo', { text: 'x' })
    const { sessionId = '' } = transport
    await transport.close()
    await eventually(() => expect(target.streams.size).toBe(0))
    const headers = {
      authorization: `Bearer ${await stack.token({ sub: 'a' })}`,
      'mcp-session-id': sessionId,
    }
    const params = { name: 'echo', arguments: { text: 'again' } }
    const answer = await stack.post(
      { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
      headers,
    )
    expect(await answer.text()).toContain('again')
  })
})

it('a target on Streamable HTTP is called directly once it is known to be one', async () => {
  const target = await startRecordingTarget({ sessions: 'required' })
  closing.push(target.close)
  const stack = await start({ url: target.url })
  const { call } = await connect(stack, 'a')
  await call('echo', { text: 'x' })
  expect(stack.logText()).toContain('speaks Streamable HTTP')
  expect(target.requests.filter(({ url }) => !url.startsWith('/mcp'))).toEqual([])
})
