import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import type { LegacyHost } from './legacy-host.js'
import { eventually } from './targets/eventually.js'
import { startModernTarget } from './targets/modern.js'
import type { SdkV2Target } from './targets/sdk-v2.js'

/** A host that reached a target of 2026-07-28 in one way or the other. */
export interface TranslatedHost {
  host: LegacyHost
  close(): Promise<void>
}

/**
 * What a real client of SDK v1 can do with a real server of SDK v2 that refuses every older
 * version. The server checks headers against bodies itself.
 */
export function translatesForLegacyHosts(open: (url: string) => Promise<TranslatedHost>): void {
  let target: SdkV2Target
  let opened: TranslatedHost
  let host: LegacyHost
  beforeAll(async () => {
    target = await startModernTarget()
    opened = await open(target.url)
    host = opened.host
  })
  beforeEach(() => {
    target.clear()
    host.heard.length = 0
    host.asked.length = 0
  })
  afterAll(async () => {
    await opened.close()
    await target.close()
  })

  it('[mcp-translate-initialize] gets capabilities, instructions and the name of the server', () => {
    expect(host.client.getServerVersion()).toMatchObject({ name: 'sdk-v2', version: '2.0.0' })
    expect(host.client.getInstructions()).toBe('Test server.')
    expect(host.client.getServerCapabilities()).toMatchObject({
      tools: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      logging: {},
    })
  })

  it('lists and calls tools', async () => {
    const { tools } = await host.client.listTools()
    expect(tools.map(({ name }) => name)).toContain('echo')
    expect(await host.call('echo', { text: 'grüße' })).toBe('grüße')
    const result = await host.client.callTool({ name: 'add', arguments: { a: 2, b: 3 } })
    expect(result.structuredContent).toEqual({ sum: 5 })
    expect(await host.client.callTool({ name: 'fail' })).toMatchObject({ isError: true })
    await expect(host.call('nowhere')).rejects.toThrow('nowhere')
  })

  it('[mcp-translate-envelope] says in every request what its host said at initialize', async () => {
    await host.call('echo', { text: 'x' })
    const [request] = target.of('tools/call')
    expect(request?.headers).toMatchObject({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'echo',
    })
    expect(request?.headers['mcp-session-id']).toBeUndefined()
    expect(request?.message).toMatchObject({
      params: {
        _meta: {
          'io.modelcontextprotocol/protocolVersion': '2026-07-28',
          'io.modelcontextprotocol/clientInfo': { name: 'legacy host é', version: '1.0.0' },
          'io.modelcontextprotocol/clientCapabilities': {
            elicitation: {},
            sampling: {},
            roots: {},
          },
        },
      },
    })
  })

  it('[mcp-translate-params] repeats arguments in headers where the schema says so', async () => {
    expect(await host.call('regional', { region: 'Zürich ' })).toBe('Zürich ')
    const encoded = Buffer.from('Zürich ').toString('base64')
    expect(target.of('tools/call')[0]?.headers['mcp-param-region']).toBe(`=?base64?${encoded}?=`)
  })

  it('[mcp-translate-input] asks the user, the model and for roots on behalf of the server', async () => {
    expect(JSON.parse(await host.call('ask_user'))).toEqual({
      kind: 'elicit',
      content: { name: 'Ada' },
    })
    expect(await host.call('ask_model')).toContain('a word')
    expect(await host.call('ask_roots')).toContain('file:///project')
    expect(host.asked.map(({ method }) => method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ])
    expect(host.asked[0]?.params).toMatchObject({ message: 'Who are you?' })
    const retry = target.of('tools/call')[1]?.message
    expect(retry).toMatchObject({ params: { name: 'ask_user', requestState: 'asked-once' } })
    expect(retry?.['id']).not.toBe(target.of('tools/call')[0]?.message?.['id'])
  })

  it('[mcp-translate-logging] hears logs from the level that it set', async () => {
    await host.call('progress', { steps: 1 })
    expect(host.heard).toEqual([])
    await host.client.setLoggingLevel('info')
    await host.call('progress', { steps: 2 })
    expect(host.heard).toEqual(['notifications/message step 1', 'notifications/message step 2'])
    await host.client.setLoggingLevel('error')
    host.heard.length = 0
    await host.call('progress', { steps: 1 })
    expect(host.heard).toEqual([])
  })

  it('[mcp-translate-cancel] gives a call up at the server when the host cancels it', async () => {
    const stop = new AbortController()
    const options = { signal: stop.signal }
    const call = host.client.callTool(
      { name: 'wait', arguments: { ms: 60_000 } },
      undefined,
      options,
    )
    const request = await target.until(({ rpc }) => rpc === 'tools/call')
    stop.abort('enough')
    await expect(call).rejects.toThrow('enough')
    expect(await request.closed).toBe('aborted')
  })

  it('[mcp-translate-listen] hears of changed lists', async () => {
    await eventually(async () => {
      target.notify.toolsChanged()
      target.notify.promptsChanged()
      target.notify.resourcesChanged()
      expect(host.heard).toEqual(
        expect.arrayContaining([
          'notifications/tools/list_changed',
          'notifications/prompts/list_changed',
          'notifications/resources/list_changed',
        ]),
      )
    })
  })

  it('[mcp-translate-listen] hears of resources that it subscribed to, until it no longer wants to', async () => {
    await host.client.subscribeResource({ uri: 'test://readme' })
    target.notify.resourceUpdated('test://other')
    target.notify.resourceUpdated('test://readme')
    await eventually(() =>
      expect(host.heard).toContain('notifications/resources/updated test://readme'),
    )
    expect(host.heard).not.toContain('notifications/resources/updated test://other')
    await host.client.unsubscribeResource({ uri: 'test://readme' })
    host.heard.length = 0
    await eventually(() => expect(target.of('subscriptions/listen')).toHaveLength(2))
    await target.of('subscriptions/listen')[0]?.closed
    target.notify.resourceUpdated('test://readme')
    await eventually(() => {
      target.notify.toolsChanged()
      expect(host.heard).toContain('notifications/tools/list_changed')
    })
    expect(host.heard).not.toContain('notifications/resources/updated test://readme')
  })

  it('gets prompts, resources and completions', async () => {
    const { prompts } = await host.client.listPrompts()
    expect(prompts.map(({ name }) => name)).toEqual(['paint'])
    const prompt = await host.client.getPrompt({ name: 'paint', arguments: { colour: 'blue' } })
    expect(JSON.stringify(prompt.messages)).toContain('Paint it blue.')
    const { resources } = await host.client.listResources()
    expect(resources.map(({ uri }) => uri)).toContain('test://readme')
    const { resourceTemplates } = await host.client.listResourceTemplates()
    expect(resourceTemplates).toHaveLength(1)
    const read = await host.client.readResource({ uri: 'test://readme' })
    expect(read.contents[0]).toMatchObject({ text: 'Read me.' })
    const ref = { type: 'ref/prompt' as const, name: 'paint' }
    const argument = { name: 'colour', value: 'bl' }
    const { completion } = await host.client.complete({ ref, argument })
    expect(completion.values).toEqual(['blue', 'black'])
  })

  it('gets an answer to a ping', async () => {
    expect(await host.client.ping()).toEqual({})
  })
}
