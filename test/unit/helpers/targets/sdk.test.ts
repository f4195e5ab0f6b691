import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
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
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { eventually } from '../../../helpers/targets/eventually.js'
import {
  type SdkV1Options,
  type SdkV2Options,
  startSdkV1Target,
  startSdkV2Target,
} from '../../../helpers/targets/sdk.js'

const CAPABILITIES = { sampling: {}, elicitation: {}, roots: {} }
const SAMPLED = {
  model: 'm',
  role: 'assistant' as const,
  content: { type: 'text' as const, text: 'word' },
}
const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]?.text

async function connectV1(options: SdkV1Options = {}) {
  const target = await startSdkV1Target(options)
  onTestFinished(() => target.close())
  const client = new Client({ name: 't', version: '1' }, { capabilities: CAPABILITIES })
  await client.connect(new StreamableHTTPClientTransport(new URL(target.url)) as Transport)
  onTestFinished(() => client.close())
  return { client, target }
}

async function connectV2(mode: 'auto' | 'legacy', options: SdkV2Options = {}) {
  const target = await startSdkV2Target(options)
  onTestFinished(() => target.close())
  const client = new ClientV2(
    { name: 't', version: '1' },
    { capabilities: CAPABILITIES, versionNegotiation: { mode } },
  )
  await client.connect(new TransportV2(new URL(target.url)))
  onTestFinished(() => client.close())
  return { client, target }
}

describe('startSdkV1Target', () => {
  it('asks its client for a sample, a form and roots', async () => {
    const { client } = await connectV1()
    client.setRequestHandler(CreateMessageRequestSchema, () => SAMPLED)
    client.setRequestHandler(ElicitRequestSchema, () => ({
      action: 'accept' as const,
      content: { name: 'Ada' },
    }))
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///a' }] }))
    expect(textOf(await client.callTool({ name: 'ask_model' }))).toContain('word')
    expect(textOf(await client.callTool({ name: 'ask_user' }))).toContain('Ada')
    expect(textOf(await client.callTool({ name: 'ask_roots' }))).toBe('["file:///a"]')
  })

  it('reports progress and logs, notices cancellation and completes', async () => {
    const { client } = await connectV1()
    const logged: unknown[] = []
    const steps: number[] = []
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      logged.push(params.data)
    })
    await client.callTool({ name: 'progress', arguments: { steps: 2 } }, undefined, {
      onprogress: ({ progress }) => steps.push(progress),
    })
    expect(steps).toEqual([1, 2])
    expect(logged).toEqual(['step 1', 'step 2'])
    const cancel = new AbortController()
    const waiting = client.callTool({ name: 'wait', arguments: { ms: 10_000 } }, undefined, {
      signal: cancel.signal,
    })
    setTimeout(() => cancel.abort(), 30)
    await expect(waiting).rejects.toThrow()
    await eventually(() => expect(logged).toContain('wait cancelled'))
    const { completion } = await client.complete({
      ref: { type: 'ref/resource', uri: 'test://colours/{colour}' },
      argument: { name: 'colour', value: 'bl' },
    })
    expect(completion.values).toEqual(['blue', 'black'])
  })

  it('announces changed tools and touched resources', async () => {
    const { client, target } = await connectV1()
    const changed = vi.fn()
    const updated = vi.fn()
    client.setNotificationHandler(ToolListChangedNotificationSchema, changed)
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, updated)
    await target.until(({ method }) => method === 'GET')
    await client.callTool({ name: 'toggle_extra' })
    await client.subscribeResource({ uri: 'test://readme' })
    await client.callTool({ name: 'touch', arguments: { uri: 'test://readme' } })
    await eventually(() => expect(updated).toHaveBeenCalled())
    expect(changed).toHaveBeenCalled()
  })

  it.each([
    { sessions: 'none' },
    { sessions: 'none', answerWith: 'json' },
    { answerWith: 'json' },
    { resumable: true },
  ] as const)('also works with %j', async (options) => {
    const { client } = await connectV1(options)
    const sum = await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } })
    expect(sum.structuredContent).toEqual({ sum: 3 })
    expect((await client.callTool({ name: 'fail' })).isError).toBe(true)
    expect(
      (await client.getPrompt({ name: 'paint', arguments: { colour: 'red' } })).messages,
    ).toHaveLength(1)
  })

  it('forgets its sessions', async () => {
    const { client, target } = await connectV1()
    target.forget()
    await expect(client.listTools()).rejects.toThrow(/404|not found/i)
  })

  it('serves the client of SDK v2 too', async () => {
    const target = await startSdkV1Target()
    onTestFinished(() => target.close())
    const client = new ClientV2(
      { name: 't', version: '1' },
      { versionNegotiation: { mode: 'auto' } },
    )
    await client.connect(new TransportV2(new URL(target.url)))
    onTestFinished(() => client.close())
    const result = await client.callTool({ name: 'echo', arguments: { text: 'hi' } })
    expect(textOf(result)).toBe('hi')
    expect(target.of('initialize')).toHaveLength(1)
  })
})

describe('startSdkV2Target', () => {
  it('asks its client by input_required', async () => {
    const { client, target } = await connectV2('auto')
    client.setRequestHandler('sampling/createMessage', () => SAMPLED)
    client.setRequestHandler('elicitation/create', () => ({
      action: 'accept' as const,
      content: { name: 'Ada' },
    }))
    client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///a' }] }))
    expect(textOf(await client.callTool({ name: 'ask_user' }))).toContain('Ada')
    expect(textOf(await client.callTool({ name: 'ask_model' }))).toContain('word')
    expect(textOf(await client.callTool({ name: 'ask_roots' }))).toContain('file:///a')
    expect(target.of('initialize')).toEqual([])
    const retried = target.of('tools/call')[1]?.message?.['params']
    expect(retried).toMatchObject({ requestState: 'asked-once' })
  })

  it('streams progress, wants annotated headers and stops when its client leaves', async () => {
    const { client, target } = await connectV2('auto')
    const steps: number[] = []
    await client.callTool(
      { name: 'progress', arguments: { steps: 2 } },
      { onprogress: ({ progress }) => steps.push(progress) },
    )
    expect(steps).toEqual([1, 2])
    await client.listTools()
    await client.callTool({ name: 'regional', arguments: { region: 'eu' } })
    expect(target.of('tools/call').at(-1)?.headers['mcp-param-region']).toBe('eu')
    const cancel = new AbortController()
    const waiting = client.callTool(
      { name: 'wait', arguments: { ms: 10_000 } },
      { signal: cancel.signal },
    )
    setTimeout(() => cancel.abort(), 50)
    await expect(waiting).rejects.toThrow()
    expect(await target.of('tools/call').at(-1)?.closed).toBe('aborted')
  })

  it('publishes changes to those who listen', async () => {
    const { client, target } = await connectV2('auto')
    const changed = vi.fn()
    client.setNotificationHandler('notifications/tools/list_changed', changed)
    await client.listen({ toolsListChanged: true })
    target.notify.toolsChanged()
    await eventually(() => expect(changed).toHaveBeenCalled())
  })

  it('serves older revisions without sessions', async () => {
    const { client, target } = await connectV2('legacy')
    const sum = await client.callTool({ name: 'add', arguments: { a: 1, b: 2 } })
    expect(sum.structuredContent).toEqual({ sum: 3 })
    expect(target.of('initialize')).toHaveLength(1)
  })
})
