import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const README = 'data://readme/a?b=c#d'
const URN = 'urn:isbn:1'

let identity: Identity
let docs: RecordingTarget
let git: RecordingTarget
let both: Stack
let one: Stack

const contents = (mark: string) => ({
  tools: Array.from({ length: 5 }, (_, i) => tool(`${mark}${i}`)),
  prompts: [{ name: 'paint' }, { name: `${mark}-only` }],
  resources: [README, URN, 'git+ssh://docs/x', ':odd'].map((uri) => ({ uri, name: mark })),
  resourceTemplates: [{ uriTemplate: 'test://colours/{colour}', name: mark }],
  pageSize: 2,
})

beforeAll(async () => {
  identity = await startIdentity({ clock })
  docs = await startRecordingTarget(contents('d'))
  git = await startRecordingTarget(contents('g'))
  both = await startStack({ identity, targets: { docs: docs.url, git: git.url } })
  one = await startStack({ identity, targets: { docs: docs.url } })
})
afterEach(() => {
  docs.clear()
  git.clear()
})
afterAll(async () => {
  await both.close()
  await one.close()
  await docs.close()
  await git.close()
  await identity.close()
})

async function ask(at: Stack, method: string, params: object = {}) {
  const response = await at.post({ jsonrpc: '2.0', id: 'f-1', method, params })
  const message = await readMessage(response)
  expect(message.id).toBe('f-1')
  return message
}

const LISTS = [
  ['tools/list', 'tools', 'name'],
  ['prompts/list', 'prompts', 'name'],
  ['resources/list', 'resources', 'uri'],
  ['resources/templates/list', 'resourceTemplates', 'uriTemplate'],
] as const

describe('the lists of two targets', () => {
  it.each(LISTS)('%s are merged over all pages, in order', async (method, member, field) => {
    const { result } = await ask(both, method)
    const count = docs.contents[member].length
    expect(result[member]).toHaveLength(2 * count)
    expect(result.nextCursor).toBeUndefined()
    expect(result._meta).toBeUndefined()
    expect(new Set(result[member].map((entry: object) => entry[field as never])).size).toBe(
      2 * count,
    )
    for (const target of [docs, git]) {
      expect(target.of(method)).toHaveLength(Math.ceil(count / 2))
    }
  })

  it('name each entry after its target', async () => {
    const { tools } = (await ask(both, 'tools/list')).result
    expect(tools.map(({ name }: { name: string }) => name)).toEqual([
      ...['docs_d0', 'docs_d1', 'docs_d2', 'docs_d3', 'docs_d4'],
      ...['git_g0', 'git_g1', 'git_g2', 'git_g3', 'git_g4'],
    ])
    const { resources } = (await ask(both, 'resources/list')).result
    const uris = resources.map(({ uri }: { uri: string }) => uri)
    expect(uris).toContain('data://docs/readme/a?b=c#d')
    expect(uris).toContain('data://git/readme/a?b=c#d')
    expect(uris).toContain('docs+urn:isbn:1')
    const { resourceTemplates } = (await ask(both, 'resources/templates/list')).result
    expect(resourceTemplates[1].uriTemplate).toBe('test://git/colours/{colour}')
  })

  it.each(LISTS)('%s leave out a target that is down, in words and in the log', async (method) => {
    const stack = await startStack({
      identity,
      targets: { docs: docs.url, gone: 'http://127.0.0.1:9/mcp' },
    })
    try {
      const { result } = await ask(stack, method)
      expect(result._meta).toEqual({ 'mcp-descope-proxy/unavailableTargets': ['gone'] })
      expect(stack.logs()).toContainEqual(
        expect.objectContaining({ event: 'target_unavailable', target: 'gone', level: 'warn' }),
      )
    } finally {
      await stack.close()
    }
  })

  it('are an error when all targets are down, and so are initialize and ping', async () => {
    const down = 'http://127.0.0.1:9/mcp'
    const stack = await startStack({ identity, targets: { a: down, b: down } })
    try {
      for (const method of [...LISTS.map(([name]) => name), 'initialize', 'ping']) {
        const { error } = await ask(stack, method, { protocolVersion: '2025-11-25' })
        expect([method, error.code, error.data.cause]).toEqual([method, -32603, 'unreachable'])
      }
    } finally {
      await stack.close()
    }
  })

  it('are whole when a target does not know the method, and end with a target that loops', async () => {
    const looping = await startRecordingTarget({
      handlers: { 'tools/list': () => ({ tools: [tool('again')], nextCursor: 'same' }) },
    })
    const silent = await startRecordingTarget({ prompts: [] })
    silent.intercept((request, response) => {
      if (request.rpc !== 'tools/list') return false
      const error = { code: -32601, message: 'Method not found' }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id: request.message?.['id'], error }))
      return true
    })
    const stack = await startStack({
      identity,
      targets: { docs: docs.url, looping: looping.url, silent: silent.url },
    })
    try {
      const { result } = await ask(stack, 'tools/list')
      const names = result.tools.map(({ name }: { name: string }) => name)
      expect(names).toEqual(expect.arrayContaining(['docs_d4', 'looping_again']))
      expect(result._meta).toBeUndefined()
      expect(looping.of('tools/list').length).toBeLessThanOrEqual(100)
    } finally {
      await stack.close()
      await looping.close()
      await silent.close()
    }
  })
})

const namesIn = ({ tools }: { tools: { name: string }[] }) => tools.map(({ name }) => name)

describe('a list that is too long for one answer', () => {
  const many = (mark: string) => ({
    tools: Array.from({ length: 2_500 }, (_, i) => tool(`${mark}${i}`)),
    pageSize: 500,
  })
  let long: RecordingTarget
  let longer: RecordingTarget
  let front: Stack
  let replica: Stack
  beforeAll(async () => {
    const config = { session: { secret: 'a-session-secret-of-more-than-32-bytes' } }
    long = await startRecordingTarget(many('l'))
    longer = await startRecordingTarget({ ...many('m'), pageSize: 400 })
    const targets = { docs: docs.url, long: long.url, longer: longer.url }
    front = await startStack({ identity, targets, config })
    replica = await startStack({ identity, targets, config })
  })
  afterAll(() => Promise.all([front.close(), replica.close(), long.close(), longer.close()]))

  it('comes in parts, each of which any process can give', async () => {
    const first = (await ask(front, 'tools/list')).result
    expect(first.tools).toHaveLength(5 + 2_000 + 2_000)
    const { nextCursor: cursor } = first
    docs.clear()
    const second = (await ask(replica, 'tools/list', { cursor })).result
    expect(second.nextCursor).toBeUndefined()
    expect(docs.requests).toHaveLength(0)
    const names = [...namesIn(first), ...namesIn(second)]
    expect(new Set(names).size).toBe(5 + 2 * 2_500)
    expect(names).toHaveLength(5 + 2 * 2_500)
  })

  it('is not continued by a cursor that is changed, of another list, user or making', async () => {
    const { nextCursor } = (await ask(front, 'tools/list')).result
    const token = await front.token({ sub: 'Uanother' })
    const other = { authorization: `Bearer ${token}` }
    for (const [cursor, method, headers] of [
      [nextCursor, 'prompts/list', {}],
      [nextCursor, 'tools/list', other],
      [`${nextCursor}A`, 'tools/list', {}],
      ['after-2', 'tools/list', {}],
      [7, 'tools/list', {}],
      ['', 'tools/list', {}],
    ] as const) {
      const message = { jsonrpc: '2.0', id: 1, method, params: { cursor } }
      const { error } = await readMessage(await front.post(message, headers))
      expect(error).toMatchObject({ code: -32602, message: 'Invalid cursor' })
    }
  })

  it('is not lost when a target is too slow for all of its pages', async () => {
    const slow = await startRecordingTarget({
      handlers: {
        'tools/list': async ({ cursor = '0' }) => {
          await new Promise((resolve) => setTimeout(resolve, 150))
          const page = Number(cursor)
          const next = page < 9 ? { nextCursor: String(page + 1) } : {}
          return { tools: [tool(`t${page}`)], ...next }
        },
      },
    })
    const config = { timeouts: { list: 0.5 } }
    const stack = await startStack({
      identity,
      targets: { docs: docs.url, slow: slow.url },
      config,
    })
    try {
      const names = []
      let cursor: string | undefined
      do {
        const { result } = await ask(stack, 'tools/list', cursor === undefined ? {} : { cursor })
        names.push(...namesIn(result))
        cursor = result.nextCursor
      } while (cursor !== undefined)
      expect(names).toHaveLength(5 + 10)
      expect(names.at(-1)).toBe('slow_t9')
    } finally {
      await stack.close()
      await slow.close()
    }
  })
})

it('a list of any length hides none of the other lists', async () => {
  const COUNT = 200_000
  const own = await startRecordingTarget()
  const resources = Array.from({ length: COUNT }, (_, i) => `{"uri":"x:${i}"}`).join(',')
  own.intercept(({ rpc, message }, response) => {
    if (rpc !== 'resources/list') return false
    const id = JSON.stringify(message?.['id'])
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(`{"jsonrpc":"2.0","id":${id},"result":{"resources":[${resources}]}}`)
    return true
  })
  const stack = await startStack({ identity, targets: { docs: docs.url, own: own.url } })
  try {
    const { result } = await ask(stack, 'resources/list')
    expect(result.resources).toHaveLength(4 + COUNT)
  } finally {
    await stack.close()
    await own.close()
  }
})

describe('the last list of a target', () => {
  it('stands in while the target is down, as the policy is for who asks, and for a while', async () => {
    const own = await startRecordingTarget({ tools: [tool('read'), tool('write')] })
    let later = 0
    const shifted = { ...clock, now: () => Date.now() + later }
    const tools = { scopes: { write: ['docs:write'] }, whenScopeMissing: 'hide' } as const
    const targets = { docs: docs.url, own: { url: own.url, tools } }
    const stack = await startStack({ identity, targets, clock: shifted })
    try {
      const authorization = `Bearer ${await stack.token({ scope: 'mcp:use docs:write' })}`
      const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' }
      const all = (await readMessage(await stack.post(list, { authorization }))).result
      expect(namesIn(all)).toContain('own_write')
      await own.close()
      const { result } = await ask(stack, 'tools/list')
      expect(namesIn(result).slice(-1)).toEqual(['own_read'])
      expect(result._meta).toEqual({ 'mcp-descope-proxy/staleTargets': ['own'] })
      // nobody has ever asked for this one
      const prompts = (await ask(stack, 'prompts/list')).result
      expect(prompts._meta).toEqual({ 'mcp-descope-proxy/unavailableTargets': ['own'] })
      later = 601_000
      const late = { authorization: `Bearer ${await stack.token()}` }
      const gone = (await readMessage(await stack.post(list, late))).result
      expect(gone._meta).toEqual({ 'mcp-descope-proxy/unavailableTargets': ['own'] })
      expect(namesIn(gone)).not.toContain('own_read')
    } finally {
      await stack.close()
    }
  })

  it('does not stand in for one that refuses its credential', async () => {
    const own = await startRecordingTarget({ tools: [tool('read')] })
    const stack = await startStack({ identity, targets: { docs: docs.url, own: own.url } })
    try {
      await ask(stack, 'tools/list')
      own.intercept((_request, response) => {
        response.writeHead(401).end()
        return true
      })
      const { result } = await ask(stack, 'tools/list')
      expect(result._meta).toEqual({ 'mcp-descope-proxy/unavailableTargets': ['own'] })
    } finally {
      await stack.close()
      await own.close()
    }
  })
})

describe('what is not ours to change', () => {
  const BIG = '{"max": 12345678901234567890.10, "\\u0061":[ ] }'

  it('passes as each target wrote it, in lists, results and requests to the client', async () => {
    const own = await startRecordingTarget()
    own.intercept(({ rpc, message }, response) => {
      if (message === undefined || !('id' in message)) return false
      const id = JSON.stringify(message['id'])
      const body = {
        'tools/list': `{"tools":[{"name":"t","inputSchema":${BIG}}]}`,
        'tools/call': `{"content":[{"type":"resource_link","x":${BIG},"uri":"a://b"}]}`,
      }[rpc as string]
      if (body === undefined) return false
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const asked = `{"id":9,"params":${BIG},"method":"elicitation/create","jsonrpc":"2.0"}`
      if (rpc === 'tools/call') response.write(`data: ${asked}\n\n`)
      response.end(`data: {"result":${body},"id":${id},"jsonrpc":"2.0"}\n\n`)
      return true
    })
    const stack = await startStack({ identity, targets: { docs: docs.url, own: own.url } })
    try {
      const id = 9007199254740991
      const list = await (await stack.post({ jsonrpc: '2.0', id, method: 'tools/list' })).text()
      expect(list).toContain(`{"name":"own_t","inputSchema":${BIG}}`)
      expect(JSON.parse(list).id).toBe(id)
      const call = { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'own_t' } }
      const [asked, answer] = (await (await stack.post(call)).text()).split('\n\n')
      expect(asked).toMatch(/^data: \{"id":"p\.[^"]+","params":/)
      expect(asked).toContain(BIG)
      expect(answer).toContain(`"x":${BIG},"uri":"a://own/b"`)
    } finally {
      await stack.close()
      await own.close()
    }
  })
})

describe('a resource of one of two targets', () => {
  it('is read under every URI that is listed, and the answer names it likewise', async () => {
    const { resources } = (await ask(both, 'resources/list')).result
    expect(resources).toHaveLength(8)
    for (const { uri, name } of resources as { uri: string; name: string }[]) {
      const { result } = await ask(both, 'resources/read', { uri })
      expect([uri, result?.contents[0].uri]).toEqual([uri, uri])
      const [owner, other] = name === 'd' ? [docs, git] : [git, docs]
      expect(owner.of('resources/read')).toHaveLength(1)
      expect(other.of('resources/read')).toHaveLength(0)
      const own = (owner.of('resources/read')[0]?.message?.['params'] ?? {}) as { uri?: string }
      expect(owner.contents.resources.map((entry) => entry['uri'])).toContain(own.uri)
      docs.clear()
      git.clear()
    }
  })

  it.each([README, 'data://elsewhere/readme', 'docs', '', 'DATA'])(
    'is unknown under %j',
    async (uri) => {
      const { error } = await ask(both, 'resources/read', { uri })
      expect(error).toMatchObject({ code: -32602 })
      expect([...docs.requests, ...git.requests]).toHaveLength(0)
    },
  )

  it('is subscribed at its own target only', async () => {
    const uri = 'data://git/readme/a?b=c#d'
    for (const method of ['resources/subscribe', 'resources/unsubscribe']) {
      expect((await ask(both, method, { uri })).result).toEqual({})
      expect(git.of(method)[0]?.message).toMatchObject({ params: { uri: README } })
    }
    expect(docs.requests).toHaveLength(0)
  })

  it('is linked by its exposed URI in results and in updates on the stream of a call', async () => {
    git.on('tools/call', async (_params, { notify }) => {
      await notify('notifications/resources/updated', { uri: README })
      await notify('notifications/message', { level: 'info', data: { uri: README } })
      return {
        content: [
          { type: 'resource_link', uri: README, name: 'x' },
          { type: 'resource', resource: { uri: URN, text: README } },
          { type: 'text', text: README, uri: README },
        ],
        structuredContent: { uri: README },
      }
    })
    const params = { name: 'git_g0', arguments: { uri: README } }
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params }
    const text = await (await both.post(message)).text()
    const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) =>
      JSON.parse(data as string),
    )
    const exposed = 'data://git/readme/a?b=c#d'
    expect(events.map((event) => event.params ?? event.result)).toEqual([
      { uri: exposed },
      { level: 'info', data: { uri: README } },
      {
        content: [
          { type: 'resource_link', uri: exposed, name: 'x' },
          { type: 'resource', resource: { uri: 'git+urn:isbn:1', text: README } },
          { type: 'text', text: README, uri: README },
        ],
        structuredContent: { uri: README },
      },
    ])
    expect(git.of('tools/call')[0]?.message).toMatchObject({
      params: { arguments: { uri: README } },
    })
  })

  it('is completed at its target, and prompts are too', async () => {
    const argument = { name: 'colour', value: 'r' }
    for (const [ref, own] of [
      [
        { type: 'ref/resource', uri: 'test://git/colours/{colour}' },
        { uri: 'test://colours/{colour}' },
      ],
      [{ type: 'ref/prompt', name: 'git_paint' }, { name: 'paint' }],
    ]) {
      const { result } = await ask(both, 'completion/complete', { ref, argument })
      expect(result.completion.values).toEqual(['r-one', 'r-two'])
      expect(git.of('completion/complete').at(-1)?.message).toMatchObject({
        params: { ref: own, argument },
      })
    }
    expect(docs.requests).toHaveLength(0)
  })
})

describe('a prompt of one of two targets', () => {
  it('is got from its target, with links to its resources', async () => {
    git.on('prompts/get', ({ name }) => ({
      description: name,
      messages: [{ role: 'user', content: { type: 'resource', resource: { uri: README } } }],
    }))
    const { result } = await ask(both, 'prompts/get', { name: 'git_paint' })
    expect(result.description).toBe('paint')
    expect(result.messages[0].content.resource.uri).toBe('data://git/readme/a?b=c#d')
    expect(docs.requests).toHaveLength(0)
  })

  it('is unknown under its own name, and policies for tools do not concern it', async () => {
    const { error } = await ask(both, 'prompts/get', { name: 'paint' })
    expect(error).toMatchObject({ code: -32602, message: 'Unknown prompt: paint' })
    const tools = { allow: [] }
    const stack = await startStack({ identity, targets: { docs: { url: docs.url, tools } } })
    try {
      expect((await ask(stack, 'prompts/get', { name: 'docs_paint' })).result).toBeDefined()
    } finally {
      await stack.close()
    }
  })
})

describe('what concerns every target', () => {
  it.each([
    ['ping', {}],
    ['logging/setLevel', { level: 'debug' }],
  ])('%s reaches each of two', async (method, params) => {
    expect((await ask(both, method, params)).result).toEqual({})
    for (const target of [docs, git]) {
      expect(target.of(method)).toHaveLength(1)
      expect(target.of(method)[0]?.message).toMatchObject({ params })
    }
  })

  it('initialize is merged: capabilities, instructions, the older version', async () => {
    const old = await startRecordingTarget({
      versions: ['2025-03-26'],
      instructions: 'Be old.',
      prompts: [],
      tools: [],
      capabilities: { tools: { listChanged: true }, experimental: { x: { y: 1 } } },
    })
    const stack = await startStack({ identity, targets: { docs: docs.url, old: old.url } })
    try {
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
      const { result } = await ask(stack, 'initialize', params)
      expect(result.protocolVersion).toBe('2025-03-26')
      expect(result.capabilities).toMatchObject({
        tools: {},
        prompts: {},
        resources: {},
        logging: {},
        experimental: { x: { y: 1 } },
      })
      expect(result.capabilities.tools.listChanged).toBe(true)
      expect(result.instructions).toBe('## old\nBe old.')
      expect((await ask(stack, 'tools/list')).result._meta).toBeUndefined()
    } finally {
      await stack.close()
      await old.close()
    }
  })
})

describe('one target', () => {
  it.each<[string, object]>([
    ['resources/list', {}],
    ['resources/templates/list', {}],
    ['resources/read', { uri: README }],
    ['resources/subscribe', { uri: URN }],
    ['completion/complete', { ref: { type: 'ref/resource', uri: README }, argument: {} }],
    ['logging/setLevel', { level: 'debug' }],
    ['ping', {}],
    ['tools/list', { cursor: 'after-2' }],
    ['vendor/own', { uri: README, name: 'docs_x' }],
  ])('gets %s as the client wrote it', async (method, params) => {
    const body = ` {"id" : "f-1", "jsonrpc":"2.0","method":"${method}","params":${JSON.stringify(params)}} `
    const text = await (await one.post(body)).text()
    expect(docs.requests.map((request) => request.body)).toEqual([body])
    if (method === 'tools/list') {
      expect(text).toContain('"docs_d2"')
      expect(text).toContain('"nextCursor":"after-4"')
      return
    }
    const direct = await fetch(docs.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    })
    expect(text).toBe(await direct.text())
  })

  it('keeps its URIs in the results of tools', async () => {
    docs.on('tools/call', () => ({ content: [{ type: 'resource_link', uri: README, name: 'x' }] }))
    const { result } = await ask(one, 'tools/call', { name: 'docs_d0' })
    expect(result.content[0].uri).toBe(README)
  })
})
