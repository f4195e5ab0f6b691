import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TargetInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { exposeTemplate, exposeUri } from '../../../src/gateway/routing/resource-uris.js'
import { modernRequest, openModern, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const URIS = [
  'note://open/1',
  'note://secret/1',
  'note://boss/1',
  'note://paid/1',
  'Note://Secret/2',
]
const contents = {
  listChanged: true,
  prompts: ['greet', 'hush', 'command', 'sell'].map((name) => ({ name })),
  resources: URIS.map((uri) => ({ uri, name: uri })),
  resourceTemplates: ['note://open/{id}', 'note://secret/{id}', 'note://{folder}/{id}'].map(
    (uriTemplate) => ({ uriTemplate, name: uriTemplate }),
  ),
}
const rules: Partial<TargetInput> = {
  prompts: { deny: ['hush'], roles: { command: ['boss'] }, scopes: { sell: ['sales'] } },
  resources: {
    deny: ['note://secret/*'],
    roles: { 'note://boss/*': ['boss'] },
    scopes: { 'note://paid/*': ['premium'] },
  },
}
/** Values of `folder`; of `id` any. */
const complete = ({ argument }: { argument?: { name?: string } }) => {
  const values = argument?.name === 'folder' ? ['open', 'secret', 'boss', 'paid'] : ['1', '2']
  return { completion: { values, total: values.length, hasMore: false } }
}

let identity: Identity
let older: RecordingTarget
let newer: ModernRecordingTarget
const stacks: Record<string, Stack> = {}
beforeAll(async () => {
  identity = await startIdentity({ clock })
  older = await startRecordingTarget({ ...contents, sessions: 'required' })
  newer = await startModernRecordingTarget(contents)
  for (const target of [older, newer]) {
    target.on('completion/complete', complete as never)
    target.on('tools/call', () => ({
      content: [{ type: 'resource_link', uri: 'note://secret/1', name: 'x' }],
    }))
  }
  const config = { session: { secret: 'a-session-secret-of-more-than-32-bytes' } }
  const start = async (name: string, targets: Record<string, TargetInput>) => {
    stacks[name] = await startStack({ identity, config, targets })
  }
  const [old, modern] = [older, newer].map(({ url }) => ({ url, ...rules }))
  await start('older alone', { t: { ...old, prefix: '' } })
  await start('older of several', { t: { ...old }, u: { url: older.url } })
  await start('newer alone', { t: { ...modern, prefix: '' } })
  await start('newer of several', { t: { ...modern }, u: { url: newer.url } })
})
afterAll(async () => {
  for (const stack of Object.values(stacks)) await stack.close()
  await Promise.all([older.close(), newer.close(), identity.close()])
})
beforeEach(() => {
  older.clear()
  newer.clear()
})

const isSeveral = (at: string) => at.endsWith('several')
const named = (at: string, name: string) => (isSeveral(at) ? `t_${name}` : name)
/** As the proxy exposes URIs and templates. */
const located = (at: string, uri: string) => {
  const target = { name: 't', prefix: 't' }
  if (!isSeveral(at)) return uri
  return uri.includes('{') ? exposeTemplate(target, uri) : exposeUri(target, uri)
}

interface Client {
  ask(
    method: string,
    params?: object,
  ): Promise<{ status: number; challenge: string; message: ReturnType<typeof JSON.parse> }>
}

async function connect(at: string, claims: object, era: 'session' | 'stateless'): Promise<Client> {
  const stack = stacks[at] as Stack
  const authorization = `Bearer ${await stack.token({ ...claims })}`
  if (era === 'stateless') {
    return {
      async ask(method, params = {}) {
        const { status, message } = await postStateless(stack, modernRequest(method, params), {
          authorization,
        })
        return { status, challenge: '', message }
      },
    }
  }
  const headers = await initialized(stack, authorization)
  return {
    async ask(method, params = {}) {
      const answer = await stack.post({ jsonrpc: '2.0', id: 7, method, params }, headers)
      const challenge = answer.headers.get('www-authenticate') ?? ''
      return { status: answer.status, challenge, message: await readMessage(answer) }
    },
  }
}

const WAYS: [string, 'session' | 'stateless'][] = [
  ['older alone', 'session'],
  ['older of several', 'session'],
  ['newer alone', 'session'],
  ['newer of several', 'session'],
  ['newer alone', 'stateless'],
  ['newer of several', 'stateless'],
]
const arrived = () => [...older.requests, ...newer.requests].map(({ rpc }) => rpc)

describe.each(WAYS)('prompts and resources with rules, %s, %s', (at, era) => {
  const own = (uris: string[]) => uris.map((uri) => located(at, uri))
  const listed = async (client: Client, method: string, member: string, field: string) => {
    const { message } = await client.ask(method)
    const all = message.result[member].map((entry: Record<string, string>) => entry[field])
    return all.filter((text: string) => !/^(u_|u\+|[a-z]+:\/\/u\/)/i.test(text))
  }

  it('are listed for whom they may be had by, and what lacks scopes alone too', async () => {
    const client = await connect(at, {}, era)
    expect(await listed(client, 'prompts/list', 'prompts', 'name')).toEqual(
      ['greet', 'sell'].map((name) => named(at, name)),
    )
    expect(await listed(client, 'resources/list', 'resources', 'uri')).toEqual(
      own(['note://open/1', 'note://paid/1']),
    )
    const templates = ['resources/templates/list', 'resourceTemplates', 'uriTemplate'] as const
    expect(await listed(client, ...templates)).toEqual(
      own(['note://open/{id}', 'note://{folder}/{id}']),
    )
    const boss = await connect(at, { roles: ['boss'] }, era)
    expect(await listed(boss, 'resources/list', 'resources', 'uri')).toContain(
      located(at, 'note://boss/1'),
    )
    expect(await listed(boss, 'prompts/list', 'prompts', 'name')).toContain(named(at, 'command'))
  })

  it('are refused as if they were not there, and nothing of it reaches the target', async () => {
    const client = await connect(at, {}, era)
    older.clear()
    newer.clear()
    const uris = ['note://secret/1', 'note://boss/1', 'NOTE://x/../secret/1', 'note://%73ecret/1']
    const verbs = era === 'session' ? ['read', 'subscribe', 'unsubscribe'] : ['read']
    const expected = (text: string) => expect.objectContaining({ code: -32602, message: text })
    for (const uri of own(uris)) {
      for (const verb of verbs) {
        const { message, status } = await client.ask(`resources/${verb}`, { uri })
        expect([status, message.error]).toEqual([200, expected(`Unknown resource: ${uri}`)])
      }
      const ref = { type: 'ref/resource', uri }
      const argument = { name: 'id', value: '' }
      const { message } = await client.ask('completion/complete', { ref, argument })
      expect(message.error).toEqual(expected(`Unknown reference: ${uri}`))
    }
    for (const name of ['hush', 'command', 'HUSH'].map((it) => named(at, it))) {
      const { message } = await client.ask('prompts/get', { name })
      expect(message.error).toEqual(expected(`Unknown prompt: ${name}`))
      for (const type of ['ref/prompt', 'ref/resource', 'x']) {
        const params = { ref: { type, name }, argument: { name: 'id', value: '' } }
        const answer = await client.ask('completion/complete', params)
        expect(answer.message.error).toEqual(expected(`Unknown reference: ${name}`))
      }
    }
    // a target may look for a resource by the member "name", and for a prompt by "uri"
    const uri = located(at, 'hush')
    const odd = [
      { type: 'ref/resource', name: named(at, 'note://secret/1') },
      { type: 'ref/prompt', uri },
    ]
    for (const ref of odd) {
      const params = { ref, argument: { name: 'id', value: '' } }
      const { message } = await client.ask('completion/complete', params)
      expect(message.error?.message).toContain('Unknown reference')
    }
    expect(arrived()).toEqual([])
    const record = stacks[at]?.logs().findLast(({ event }) => event === 'request')
    expect(record).toMatchObject({ target: 't', refusal: 'policy', rule: 'prompts.deny "hush"' })
  })

  it('judge both members of a reference that has two', async () => {
    const client = await connect(at, {}, era)
    older.clear()
    newer.clear()
    const uri = located(at, 'note://open/{id}')
    for (const type of ['ref/prompt', 'ref/resource']) {
      const params = { ref: { type, name: 'hush', uri }, argument: { name: 'id', value: '' } }
      expect((await client.ask('completion/complete', params)).message.error?.code).toBe(-32602)
    }
    expect(arrived()).toEqual([])
  })

  it('ask for the scopes that a prompt or a resource needs', async () => {
    const client = await connect(at, {}, era)
    const requests: [string, object][] = [
      ['prompts/get', { name: named(at, 'sell') }],
      ['resources/read', { uri: located(at, 'note://paid/1') }],
    ]
    if (era === 'session') {
      requests.push(['resources/subscribe', { uri: located(at, 'note://paid/1') }])
    }
    for (const [method, params] of requests) {
      const { status, challenge } = await client.ask(method, params)
      expect(status).toBe(403)
      if (era === 'session') {
        expect(challenge).toContain('error="insufficient_scope"')
        expect(challenge).toMatch(/scope="(sales|premium) mcp:use"/)
      }
    }
    const paying = await connect(at, { scope: 'sales premium' }, era)
    for (const [method, params] of requests) {
      expect((await paying.ask(method, params)).message.result).toBeDefined()
    }
  })

  it('complete values that lead to listed resources alone', async () => {
    const client = await connect(at, {}, era)
    const uri = located(at, 'note://{folder}/{id}')
    const values = async (name: string, known?: object) => {
      const { message } = await client.ask('completion/complete', {
        ref: { type: 'ref/resource', uri },
        argument: { name, value: '' },
        ...(known && { context: { arguments: known } }),
      })
      return message.result?.completion ?? message.error.message
    }
    expect(await values('folder')).toEqual({ values: ['open', 'paid'], hasMore: false })
    expect(await values('id', { folder: 'open' })).toMatchObject({ values: ['1', '2'], total: 2 })
    expect(await values('id')).toEqual({ values: [], hasMore: false })
    expect(await values('id', { folder: 'secret' })).toBe(`Unknown reference: ${uri}`)
    const escaped = uri.replaceAll('{', '%7B').replaceAll('}', '%7d')
    const ref = { type: 'ref/resource', uri: escaped }
    const folder = { name: 'folder', value: '' }
    const answer = await client.ask('completion/complete', { ref, argument: folder })
    expect(JSON.stringify(answer.message)).not.toContain('secret')
    const prompt = { ref: { type: 'ref/prompt', name: named(at, 'greet') } }
    const argument = { name: 'folder', value: '' }
    const { message } = await client.ask('completion/complete', { ...prompt, argument })
    expect(message.result.completion.total).toBe(4)
  })

  it('say nothing of links in the answer to a call that is allowed', async () => {
    const client = await connect(at, {}, era)
    const { message } = await client.ask('tools/call', { name: named(at, 'echo'), arguments: {} })
    expect(message.result.content[0].uri).toBe(located(at, 'note://secret/1'))
  })

  it('close the target for methods that no policy can judge', async () => {
    const client = await connect(at, {}, era)
    older.clear()
    newer.clear()
    if (!isSeveral(at)) {
      expect((await client.ask('vendor/read', { uri: 'note://secret/1' })).message.error.code).toBe(
        -32601,
      )
    }
    expect(arrived()).toEqual([])
  })
})

/** Initializes, and returns the headers of what follows. */
async function initialized(stack: Stack, authorization: string) {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  }
  const hello = await stack.post(
    { jsonrpc: '2.0', id: 0, method: 'initialize', params },
    { authorization },
  )
  await hello.text()
  const session = hello.headers.get('mcp-session-id')
  return { authorization, ...(session && { 'mcp-session-id': session }) }
}

describe('updates of resources', () => {
  it.each([['older alone'], ['older of several'], ['newer alone'], ['newer of several']])(
    'are told on the GET stream of those who may read them alone: %s',
    async (at) => {
      const stack = stacks[at] as Stack
      const authorization = `Bearer ${await stack.token()}`
      const headers = await initialized(stack, authorization)
      for (const uri of ['note://open/1', 'note://secret/1']) {
        const params = { uri: located(at, uri) }
        const asked = { jsonrpc: '2.0', id: 1, method: 'resources/subscribe', params }
        await (await stack.post(asked, headers)).text()
      }
      const abort = new AbortController()
      const stream = await fetch(stack.url, {
        headers: { ...headers, accept: 'text/event-stream' },
        signal: abort.signal,
      })
      let text = ''
      void (async () => {
        const decoder = new TextDecoder()
        for await (const chunk of stream.body ?? []) text += decoder.decode(chunk as Uint8Array)
      })().catch(() => {})
      const isOld = at.startsWith('older')
      await eventually(() =>
        expect(isOld ? older.getStreams().length : newer.listeners).toBeGreaterThan(0),
      )
      const told = ['note://secret/1', 'note://boss/1', 'note://paid/1', 'note://open/1']
      for (const uri of told) {
        if (isOld) await older.notify('notifications/resources/updated', { uri })
        else await newer.updated(uri)
      }
      if (isOld)
        await older.notify('notifications/resources/updated', { uri: 'note://open/1', URI: 'x' })
      await eventually(() => expect(text).toContain(located(at, 'note://open/1')))
      const own = isSeveral(at) ? text.replaceAll(/note:\/\/u\/[a-z]+/g, '') : text
      expect(own).not.toMatch(/secret|boss|paid|URI/)
      abort.abort()
    },
  )

  it('are told inside the answer to a call only where they may be read', async () => {
    for (const at of ['older alone', 'older of several']) {
      older.on('tools/call', async (_params, exchange) => {
        await exchange.notify('notifications/resources/updated', { uri: 'note://secret/1' })
        await exchange.notify('notifications/resources/updated', { uri: 'note://open/1' })
        return { content: [] }
      })
      const stack = stacks[at] as Stack
      const client = await connect(at, {}, 'session')
      void client
      const answer = await stack.post({
        ...{ jsonrpc: '2.0', id: 7, method: 'tools/call' },
        params: { name: named(at, 'echo'), arguments: {} },
      })
      const text = await answer.text()
      expect(text).toContain(located(at, 'note://open/1'))
      expect(text).not.toContain('secret')
    }
  })

  it.each([['newer alone'], ['newer of several']])(
    'are subscribed to in 2026-07-28 only where they may be read: %s',
    async (at) => {
      const stack = stacks[at] as Stack
      const uris = ['note://open/1', 'note://secret/1', 'note://boss/1'].map((uri) =>
        located(at, uri),
      )
      const notifications = { resourceSubscriptions: uris, ResourceSubscriptions: uris }
      const stream = await openModern(
        stack,
        modernRequest('subscriptions/listen', { notifications }),
      )
      await stream.until(1)
      expect(stream.messages[0]?.params).toMatchObject({
        notifications: { resourceSubscriptions: [located(at, 'note://open/1')] },
      })
      await eventually(() => expect(newer.listeners).toBeGreaterThan(0))
      const sent = newer.requests.findLast(({ rpc }) => rpc === 'subscriptions/listen')
      expect(String(sent?.body)).not.toMatch(/secret|boss|ResourceSub/)
      stream.close()
      const paid = { resourceSubscriptions: [located(at, 'note://paid/1')] }
      const refused = modernRequest('subscriptions/listen', { notifications: paid })
      expect((await postStateless(stack, refused)).status).toBe(403)
    },
  )

  it.each([['newer alone'], ['newer of several']])(
    'are kept from caches for others, as lists are: %s',
    async (at) => {
      const client = await connect(at, {}, 'stateless')
      for (const [method, params] of [
        ['resources/read', { uri: located(at, 'note://open/1') }],
        ['resources/list', {}],
        ['resources/templates/list', {}],
        ['prompts/list', {}],
        ['server/discover', {}],
      ] as const) {
        const { message } = await client.ask(method, params)
        expect([method, message.result.cacheScope]).toEqual([method, 'private'])
      }
      expect((await client.ask('tools/list')).message.result.cacheScope).toBe('public')
    },
  )

  it('and lists are judged too where the stream of an answer is resumed', async () => {
    const target = await startRecordingTarget({
      ...contents,
      sessions: 'required',
      sse: { eventIds: true },
    })
    const targets = { t: { url: target.url, ...rules, prefix: '' } }
    const config = { session: { secret: 'a-session-secret-of-more-than-32-bytes' } }
    const stack = await startStack({ identity, config, targets })
    const results = {
      'resources/list': { resources: contents.resources },
      'resources/templates/list': { resourceTemplates: contents.resourceTemplates },
      'prompts/list': { prompts: contents.prompts },
      'completion/complete': complete({ argument: { name: 'folder' } }),
    }
    for (const [method, result] of Object.entries(results)) {
      target.intercept((request, response) => {
        if (request.method !== 'GET') return false
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const updated = {
          method: 'notifications/resources/updated',
          params: { uri: 'note://secret/1' },
        }
        for (const message of [updated, { id: 7, result }]) {
          response.write(`id: x\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`)
        }
        response.end()
        return true
      })
      const clientInfo = { name: 'c', version: '1' }
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
      const hello = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
      await hello.text()
      const stream = await fetch(stack.url, {
        headers: {
          authorization: `Bearer ${await stack.token()}`,
          accept: 'text/event-stream',
          'mcp-session-id': hello.headers.get('mcp-session-id') ?? '',
          'last-event-id': 'x',
        },
      })
      const text = await stream.text()
      expect([method, text.includes('"id":7')]).toEqual([method, true])
      expect([method, text]).not.toEqual([
        method,
        expect.stringMatching(/secret|boss|hush|command/i),
      ])
    }
    await stack.close()
    await target.close()
  })
})
