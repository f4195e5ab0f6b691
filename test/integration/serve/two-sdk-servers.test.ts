import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type SdkV1Target, startSdkV1Target } from '../../helpers/targets/sdk-v1.js'

const NAMES = ['red', 'blue'] as const

let targets: Record<(typeof NAMES)[number], SdkV1Target>
let stack: Stack
let client: Client
const logs: unknown[] = []
const updated: string[] = []
let listChanges = 0

beforeAll(async () => {
  targets = {
    red: await startSdkV1Target({ name: 'red', resumable: true }),
    blue: await startSdkV1Target({ name: 'blue' }),
  }
  stack = await startStack({ targets: { red: targets.red.url, blue: targets.blue.url } })
  client = new Client(
    { name: 'a-client', version: '1' },
    { capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } } },
  )
  let answers = 0
  client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    expect(params.maxTokens).toBe(10)
    const content = { type: 'text' as const, text: `word ${++answers}` }
    return { model: 'm', role: 'assistant' as const, content }
  })
  client.setRequestHandler(ElicitRequestSchema, () => ({
    action: 'accept' as const,
    content: { name: 'Ada' },
  }))
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///work' }] }))
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    logs.push(params.data)
  })
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    updated.push(params.uri)
  })
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    listChanges++
  })
  const headers = { authorization: `Bearer ${await stack.token()}` }
  const transport = new StreamableHTTPClientTransport(new URL(stack.url), {
    requestInit: { headers },
  })
  await client.connect(transport as Transport)
  // the stream of each target is open
  await eventually(() => {
    for (const name of NAMES) {
      expect(targets[name].requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
    }
  })
})
beforeEach(() => {
  logs.length = 0
  updated.length = 0
  listChanges = 0
})
afterAll(async () => {
  await client.close()
  await stack.close()
  await Promise.all([targets.red.close(), targets.blue.close()])
})

const call = (name: string, args: Record<string, unknown> = {}) =>
  client.callTool({ name, arguments: args })
const textOf = (result: unknown) =>
  (result as { content: { text: string }[] }).content.map(({ text }) => text).join()

/** Does the same at both targets at once. */
const both = <T>(act: (name: (typeof NAMES)[number]) => Promise<T>) => Promise.all(NAMES.map(act))

it('each target has a session of its own, and promises what it can do', () => {
  const [red, blue] = NAMES.map((name) => [...targets[name].sessions.keys()])
  expect(red).toHaveLength(1)
  expect(blue).toHaveLength(1)
  expect(client.getServerCapabilities()).toMatchObject({
    logging: {},
    completions: {},
    tools: { listChanged: true },
    prompts: { listChanged: true },
    resources: { listChanged: true, subscribe: true },
  })
  expect(client.getInstructions()).toBe('## red\nTest server.\n\n## blue\nTest server.')
})

it('sampling asks the client from both at once, and each gets its own answer', async () => {
  const answers = await both(async (name) => textOf(await call(`${name}_ask_model`)))
  expect(answers.map((answer) => JSON.parse(answer).type)).toEqual(['text', 'text'])
  expect(new Set(answers).size).toBe(2)
})

it('elicitation asks the user from both at once', async () => {
  for (const answer of await both(async (name) => textOf(await call(`${name}_ask_user`)))) {
    expect(JSON.parse(answer)).toEqual({ action: 'accept', content: { name: 'Ada' } })
  }
})

it('roots are asked for by both at once', async () => {
  for (const answer of await both(async (name) => textOf(await call(`${name}_ask_roots`)))) {
    expect(JSON.parse(answer)).toEqual(['file:///work'])
  }
})

it('a change of roots reaches both', async () => {
  await client.sendRootsListChanged()
  await eventually(() => {
    for (const name of NAMES) {
      expect(targets[name].of('notifications/roots/list_changed')).toHaveLength(1)
    }
  })
})

it('progress and logging of both calls arrive, each at its own', async () => {
  const seen = await both(async (name) => {
    const steps: number[] = []
    const onprogress = ({ progress }: { progress: number }) => steps.push(progress)
    const params = { name: `${name}_progress`, arguments: { steps: name === 'red' ? 3 : 5 } }
    await client.callTool(params, undefined, { onprogress })
    return steps
  })
  expect(seen).toEqual([
    [1, 2, 3],
    [1, 2, 3, 4, 5],
  ])
  expect(logs).toHaveLength(8)
})

it('the log level reaches both', async () => {
  await client.setLoggingLevel('debug')
  for (const name of NAMES) {
    expect(targets[name].of('logging/setLevel').at(-1)?.message).toMatchObject({
      params: { level: 'debug' },
    })
  }
})

it('completion comes from the target that owns the prompt or the template', async () => {
  await both(async (name) => {
    const argument = { name: 'colour', value: 'bl' }
    for (const ref of [
      { type: 'ref/prompt' as const, name: `${name}_paint` },
      { type: 'ref/resource' as const, uri: `test://${name}/colours/{colour}` },
    ]) {
      expect((await client.complete({ ref, argument })).completion.values).toEqual([
        'blue',
        'black',
      ])
    }
  })
})

it('resources of both are read, subscribed and told of under their exposed URIs', async () => {
  const { resources } = await client.listResources()
  const uris = resources.map(({ uri }) => uri)
  expect(uris).toEqual(['test://red/readme', 'test://blue/readme'])
  await both(async (name) => {
    const uri = `test://${name}/readme`
    expect((await client.readResource({ uri })).contents[0]?.uri).toBe(uri)
    await client.subscribeResource({ uri })
    expect(textOf(await call(`${name}_touch`, { uri: 'test://readme' }))).toBe('told')
  })
  await eventually(() => expect([...updated].sort()).toEqual([...uris].sort()))
  await client.unsubscribeResource({ uri: 'test://blue/readme' })
  expect(textOf(await call('blue_touch', { uri: 'test://readme' }))).toBe('nobody subscribed')
  expect(textOf(await call('red_touch', { uri: 'test://readme' }))).toBe('told')
})

it('changed lists of both are told of, and listed', async () => {
  await both((name) => call(`${name}_toggle_extra`))
  await eventually(() => expect(listChanges).toBeGreaterThanOrEqual(2))
  const names = (await client.listTools()).tools.map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['red_extra', 'blue_extra']))
})

it('a call that the client gives up is cancelled at its target only', async () => {
  const abort = new AbortController()
  const params = { name: 'blue_wait', arguments: { ms: 20_000 } }
  const waiting = client.callTool(params, undefined, { signal: abort.signal })
  waiting.catch(() => undefined)
  await targets.blue.until(({ message }) => JSON.stringify(message ?? {}).includes('"wait"'))
  abort.abort('enough')
  await expect(waiting).rejects.toThrow('enough')
  await eventually(() => expect(targets.blue.of('notifications/cancelled')).toHaveLength(1))
  await eventually(() => expect(logs).toContain('wait cancelled'))
  expect(targets.red.of('notifications/cancelled')).toHaveLength(0)
})

it('closing the client closes the streams of both, and DELETE ends both sessions', async () => {
  await (client.transport as StreamableHTTPClientTransport).terminateSession()
  expect(NAMES.map((name) => targets[name].sessions.size)).toEqual([0, 0])
})
