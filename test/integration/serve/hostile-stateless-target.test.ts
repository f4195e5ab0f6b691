import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { modernRequest, openModern, postStateless } from '../../helpers/modern-client.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernExchange,
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { NO_ANSWER } from '../../helpers/targets/recording.js'

const TAG = 'io.modelcontextprotocol/subscriptionId'
const NAMES = ['notes', 'docs'] as const

type Behaviour = (target: ModernRecordingTarget) => void

const message = (method: string, params: object = {}) => ({ jsonrpc: '2.0', method, params })

/** Answers every request with these bytes. */
const raw =
  (type: string, body: (id: unknown) => string): Behaviour =>
  (target) =>
    target.intercept((request, response) => {
      const isProbe = request.rpc === 'server/discover'
      if (isProbe) return false
      response.writeHead(200, { 'content-type': type })
      response.end(body(JSON.stringify(request.message?.['id'])))
      return true
    })

const json = (body: (id: unknown) => string) => raw('application/json', body)
const events = (body: (id: unknown) => string) => raw('text/event-stream', body)

/** Answers lists and calls alike. */
function on(target: ModernRecordingTarget, answer: (exchange: ModernExchange) => unknown): void {
  for (const method of ['tools/list', 'prompts/list', 'resources/list', 'tools/call']) {
    target.on(method, (_params, exchange) => answer(exchange))
  }
}

const BEHAVIOURS: Record<string, Behaviour> = {
  'no result at all': json((id) => `{"jsonrpc":"2.0","id":${id}}`),
  'a result that is text': json((id) => `{"jsonrpc":"2.0","id":${id},"result":"x"}`),
  'half a message': json((id) => `{"jsonrpc":"2.0","id":${id},"result":{"tools":[`),
  'an answer to another request': json(() => '{"jsonrpc":"2.0","id":"m-2","result":{}}'),
  'two ids': json((id) => `{"jsonrpc":"2.0","id":${id},"ID":"m-2","result":{"tools":[]}}`),
  'foreign answers in its stream': events(
    (id) =>
      `${`data: {"jsonrpc":"2.0","id":"m-2","result":{}}\n\n`.repeat(50)}data: {"id":${id}}\n\n`,
  ),
  'a flood of notifications before an answer': events((id) => {
    const flood = JSON.stringify(message('notifications/message', { data: 'x'.repeat(100) }))
    return `${`data: ${flood}\n\n`.repeat(2_000)}data: {"jsonrpc":"2.0","id":${id},"result":{}}\n\n`
  }),
  'requests in its stream': events(
    (id) => `data: {"jsonrpc":"2.0","id":${id},"method":"sampling/createMessage","params":{}}\n\n`,
  ),
  'questions without end': (target) =>
    on(target, () => ({
      resultType: 'input_required',
      inputRequests: { q: { method: 'elicitation/create', params: { message: 'again' } } },
      requestState: randomUUID(),
    })),
  'a result type that nobody knows': (target) => on(target, () => ({ resultType: 'x', tools: {} })),
  'a huge _meta': (target) =>
    on(target, () => ({ tools: [], _meta: { x: 'y'.repeat(3 * 1024 * 1024) } })),
  'lies about caching': (target) =>
    on(target, () => ({ tools: [], ttlMs: 1e300, cacheScope: ['public'], content: [] })),
  'a list that never ends': (target) =>
    on(target, () => ({ tools: [tool(randomUUID())], nextCursor: randomUUID() })),
  'members that reach prototypes': json(
    (id) => `{"jsonrpc":"2.0","id":${id},"result":{"tools":[],"__proto__":{"ttlMs":-1}}}`,
  ),
  'a flood on its subscription': (target) =>
    target.on('subscriptions/listen', async (_params, { stream, id }) => {
      const params = { notifications: { toolsListChanged: true, x: {} }, _meta: { [TAG]: id } }
      await stream.send(message('notifications/subscriptions/acknowledged', params))
      for (const of of ['s-1', id, 'other']) {
        const flood = message('notifications/message', { _meta: { [TAG]: of }, data: HOSTILE })
        for (let count = 0; count < 200; count++) await stream.send(flood)
      }
      await stream.send({ jsonrpc: '2.0', id: 'other', result: { resultType: 'complete' } })
      return NO_ANSWER
    }),
  'a subscription that is an error': (target) =>
    target.on('subscriptions/listen', (_params, { response }) => {
      response.writeHead(400).end('{"id":null,"error":{"code":1,"message":"no"}}')
      return NO_ANSWER
    }),
}

const HOSTILE = 'of the hostile one'

let neighbours: ModernRecordingTarget[]
let calm: Awaited<ReturnType<typeof useNeighbours>>
beforeAll(async () => {
  neighbours = await Promise.all(
    NAMES.map((name) =>
      startModernRecordingTarget({
        listChanged: true,
        tools: [tool('echo', { title: `echo of ${name}` })],
        resources: [{ uri: `test://${name}`, name }],
        ttlMs: 5_000,
      }),
    ),
  )
  for (const [at, target] of neighbours.entries()) {
    target.on('tools/call', ({ arguments: args }) => ({
      content: [],
      structuredContent: { at, args },
    }))
  }
  calm = await withHostile(() => undefined)
})
afterAll(async () => {
  for (const target of neighbours) await target.close()
})

/** Does what a caller may do with the neighbours while the third one is asked for things, too. */
async function useNeighbours(stack: Stack) {
  const ask = async (method: string, params: object = {}) => {
    const { message: answer } = await postStateless(stack, modernRequest(method, params))
    return answer
  }
  const provoked = ask('tools/call', { name: 'hostile_echo', arguments: {} })
  const isOurs = (entry: { name: string; title?: string }) =>
    NAMES.some((name) => entry.title === `echo of ${name}` || entry.name === name)
  const tools = (await ask('tools/list')).result
  const resources = (await ask('resources/list')).result
  const calls = await Promise.all(
    NAMES.map((name) => ask('tools/call', { name: `${name}_echo`, arguments: { name } })),
  )
  const notifications = { toolsListChanged: true }
  const request = { ...modernRequest('subscriptions/listen', { notifications }), id: 's-1' }
  const stream = await openModern(stack, request)
  await stream.until(1)
  await neighbours[0]?.changed('tools')
  await eventually(() => {
    const isHeard = stream.messages.some(({ method }) => method?.endsWith('list_changed'))
    if (!isHeard) throw new Error('the change is not heard')
  })
  const heard = stream.messages.filter((each) => !JSON.stringify(each).includes(HOSTILE))
  stream.close()
  const { id } = await provoked
  return {
    id,
    tools: tools.tools.filter(isOurs),
    cached: [tools.cacheScope === 'public' || tools.cacheScope === 'private', tools.ttlMs <= 5_000],
    resources: resources.resources.filter(isOurs),
    calls,
    heard: heard.slice(1),
    tags: [...new Set(stream.messages.map((each) => tagOf(each)))],
  }
}

const tagOf = ({ params }: { params?: unknown }) =>
  (params as { _meta?: Record<string, unknown> })?._meta?.[TAG]

async function withHostile(behave: Behaviour) {
  const hostile = await startModernRecordingTarget({ listChanged: true, tools: [tool('echo')] })
  behave(hostile)
  const [notes, docs] = neighbours as [ModernRecordingTarget, ModernRecordingTarget]
  const stack = await startStack({
    targets: { hostile: hostile.url, notes: notes.url, docs: docs.url },
    config: { timeouts: { list: 0.5, answer: 3 } },
  })
  try {
    return await useNeighbours(stack)
  } finally {
    await stack.close()
    await hostile.close()
  }
}

describe('callers of two stateless targets notice nothing of a third one that answers with', () => {
  it('nothing odd, as far as the rest goes', () => {
    expect(calm).toMatchObject({ id: 'm-1', cached: [true, true], tags: ['s-1'] })
    expect(calm.tools).toHaveLength(2)
    expect(calm.resources).toHaveLength(2)
    expect(calm.calls.map(({ result }) => result.structuredContent.at)).toEqual([0, 1])
  })

  it.each(Object.entries(BEHAVIOURS))('%s', async (_title, behave) => {
    expect(await withHostile(behave)).toEqual(calm)
  })
})
