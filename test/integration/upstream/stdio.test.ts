import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterEach, describe, expect, it } from 'vitest'
import type { ConfigInput } from '../../../src/config/types.js'
import { createVisitor } from '../../../src/demo/visitor.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type Connected,
  connectAs,
  isAlive,
  programTarget,
} from '../../helpers/targets/programs.js'

const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(config: Omit<ConfigInput, 'targets'> = {}, more = {}): Promise<Stack> {
  const stack = await startStack({
    targets: { t: await programTarget({ prefix: '', ...more }) },
    config,
  })
  closing.push(stack.close)
  return stack
}

async function connect(...args: Parameters<typeof connectAs>): Promise<Connected> {
  const connected = await connectAs(...args)
  closing.push(() => connected.client.close())
  return connected
}

describe('a target on stdio', () => {
  it('[mcp-stdio-process] is served to a client that registered and signed in', async () => {
    const stack = await start()
    const visitor = createVisitor(stack.server.resource, fetch)
    await visitor.callWithoutToken()
    await visitor.register()
    await visitor.signIn()
    await visitor.connect()
    expect(await visitor.listTools()).toContain('echo')
    expect(await visitor.callTool('echo', { text: 'hello' })).toContain('hello')
    await visitor.close()
  })

  it('has its tools, prompts, resources and completions', async () => {
    const { client, call } = await connect(await start(), 'alice')
    expect(client.getServerVersion()?.name).toBe('stdio-target')
    expect(client.getInstructions()).toBe('Test server.')
    expect(await call('add', { a: 2, b: 3 })).toBe('5')
    expect((await client.listPrompts()).prompts[0]?.name).toBe('paint')
    const { contents } = await client.readResource({ uri: 'test://readme' })
    expect(contents).toMatchObject([{ text: 'Read me.' }])
    const ref = { type: 'ref/prompt' as const, name: 'paint' }
    const { completion } = await client.complete({ ref, argument: { name: 'colour', value: 'bl' } })
    expect(completion.values).toEqual(['blue', 'black'])
    await expect(client.getPrompt({ name: 'nowhere' })).rejects.toThrow()
  })

  it('reports progress and logs to the call that they belong to', async () => {
    const { client } = await connect(await start(), 'alice')
    const logs: unknown[] = []
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      logs.push(params.data)
    })
    const seen = await Promise.all(
      [3, 5].map(async (steps) => {
        const progress: unknown[] = []
        const params = { name: 'progress', arguments: { steps } }
        const result = await client.callTool(params, undefined, {
          onprogress: (step) => progress.push([step.progress, step.total]),
        })
        expect(JSON.stringify(result)).toContain(`${steps} steps`)
        return progress.length
      }),
    )
    expect(seen).toEqual([3, 5])
    await eventually(() => expect(logs).toHaveLength(8))
  })

  it('asks the client that calls for words, for facts and for its roots', async () => {
    const stack = await start()
    const answerTo = (name: string) =>
      connect(stack, 'alice', {
        capabilities: { sampling: {}, elicitation: {}, roots: {} },
        prepare(client) {
          client.setRequestHandler(CreateMessageRequestSchema, () => ({
            model: 'm',
            role: 'assistant' as const,
            content: { type: 'text' as const, text: `word of ${name}` },
          }))
          client.setRequestHandler(ElicitRequestSchema, () => ({
            action: 'accept' as const,
            content: { name },
          }))
          client.setRequestHandler(ListRootsRequestSchema, () => ({
            roots: [{ uri: `file:///${name}` }],
          }))
        },
      })
    const first = await answerTo('first')
    const second = await answerTo('second')
    expect(await first.call('ask_model')).toContain('word of first')
    expect(await second.call('ask_model')).toContain('word of second')
    expect(await second.call('ask_user')).toContain('"name":"second"')
    expect(await first.call('ask_roots')).toContain('file:///first')
    expect(await first.call('pid')).toBe(await second.call('pid'))
  })

  it('is told that a client cannot be asked', async () => {
    const { call } = await connect(await start(), 'alice')
    expect(await call('ask_model')).toMatch(/sampling|No client/)
  })

  it('[mcp-cancel] hears of a cancelled call, and of no call that its client only left', async () => {
    const stack = await start()
    const { client } = await connect(stack, 'alice')
    const logs: unknown[] = []
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      logs.push(params.data)
    })
    const stop = new AbortController()
    const params = { name: 'wait', arguments: { ms: 30_000 } }
    const call = client.callTool(params, undefined, { signal: stop.signal })
    const outcome = expect(call).rejects.toThrow()
    await eventually(() => expect(stack.logText()).toContain('child_started'))
    await client.ping()
    stop.abort('not needed')
    await outcome
    await eventually(() => expect(logs).toEqual(['wait cancelled']))

    const left = await connect(stack, 'alice')
    const abandoned = left.call('wait', { ms: 400 }).catch(() => 'left')
    await left.client.ping()
    await left.transport.close()
    expect(await abandoned).toBe('left')
    const other = await connect(stack, 'alice')
    expect(await other.call('wait', { ms: 500 })).toBe('waited')
    expect(logs).toEqual(['wait cancelled'])
  })

  it('tells every session of a user what changed', async () => {
    const stack = await start()
    const changes: string[] = []
    const sessions = await Promise.all(
      ['one', 'two'].map((name) =>
        connect(stack, 'alice', {
          prepare(client) {
            client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
              changes.push(`${name} list`)
            })
            client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
              changes.push(`${name} ${params.uri}`)
            })
          },
        }),
      ),
    )
    const other = await connect(stack, 'bob', {
      prepare(client) {
        client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
          changes.push('bob')
        })
      },
    })
    const [one] = sessions
    await one?.client.subscribeResource({ uri: 'test://readme' })
    expect(await one?.call('touch', { uri: 'test://readme' })).toBe('told')
    await one?.call('toggle_extra')
    const expected = ['one list', 'one test://readme', 'two list', 'two test://readme']
    await eventually(() => expect(changes.toSorted()).toEqual(expected))
    await other.client.ping()
    expect(changes).not.toContain('bob')
  })

  it('has one process for fifty sessions of a user, and another one for another user', async () => {
    const stack = await start()
    const mine = await Promise.all(Array.from({ length: 50 }, () => connect(stack, 'alice')))
    const pids = await Promise.all(mine.map(({ call }) => call('pid')))
    expect(new Set(pids).size).toBe(1)
    const bob = await connect(stack, 'bob')
    expect(pids).not.toContain(await bob.call('pid'))
    const tenant = await stack.token({ sub: 'alice', dct: 'T2' })
    const elsewhere = await connect({ ...stack, token: async () => tenant }, 'alice')
    expect(pids).not.toContain(await elsewhere.call('pid'))
  })

  it('gives nobody the answer to the request of another, whatever their ids are', async () => {
    const stack = await start()
    const users = ['alice', 'bob', 'alice', 'bob', 'alice']
    const sessions = await Promise.all(users.map((user) => connect(stack, user)))
    await Promise.all(
      sessions.flatMap(({ call }, index) =>
        Array.from({ length: 20 }, async (_, round) => {
          const words = `${users[index]} ${index} ${round}`
          await call('wait', { ms: (index * 7 + round * 13) % 40 })
          expect(await call('echo', { text: words })).toBe(words)
        }),
      ),
    )
  })

  it('[mcp-progress-token] serves a client without a session, and ids and tokens as they were written', async () => {
    const stack = await start()
    const body = (id: string, token: string) =>
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"progress",\n"arguments":{"steps":1},"_meta":{"progressToken":${token}}}}`
    const answers = await Promise.all(
      [
        ['"\\u00e9"', '9007199254740993'],
        ['7', '"7"'],
      ].map(async ([id = '', token = '']) => {
        const response = await stack.post(body(id, token))
        return { id, token, text: await response.text() }
      }),
    )
    for (const { id, token, text } of answers) {
      expect(text).toContain(`"id":${id}`)
      expect(text).toContain(`"progressToken":${token}`)
    }
  })

  it('ends when nobody used it for a while, and starts again for the same session', async () => {
    const stack = await start({ timeouts: { idle: 0.4 } })
    const { call, transport } = await connect(stack, 'alice')
    const pid = Number(await call('pid'))
    expect(isAlive(pid)).toBe(true)
    // the stream of the client counts as use
    await new Promise((resolve) => setTimeout(resolve, 800))
    expect(isAlive(pid)).toBe(true)
    const { sessionId } = transport
    await transport.close()
    await eventually(() => expect(isAlive(pid)).toBe(false))
    const headers = {
      authorization: `Bearer ${await stack.token({ sub: 'alice' })}`,
      'mcp-session-id': sessionId ?? '',
    }
    const params = { name: 'pid', arguments: {} }
    const again = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }, headers)
    expect(again.status).toBe(200)
    expect(await again.text()).not.toContain(`"${pid}"`)
  })
})
