import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import { tool } from '../targets/contents.js'
import { eventually } from '../targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../targets/recording.js'
import type { Caller, Heard } from './caller.js'

/** How the hostile target is called. `lib_git`, a neighbour, begins with its prefix. */
export const HOSTILE = 'lib'
export const NEIGHBOURS = ['lib_git', 'notes'] as const

/** What the tool `git_x` of the hostile target would be called, were its name not taken. */
const MET = 'x_2658ad'

export type Neighbours = Record<(typeof NEIGHBOURS)[number], RecordingTarget>

/** Starts two targets that do everything well. */
export async function startNeighbours(met: string = MET): Promise<Neighbours> {
  const start = async (name: string) => {
    const target = await startRecordingTarget({
      sessions: 'required',
      sse: { eventIds: true },
      listChanged: true,
      instructions: `How to use ${name}.`,
      tools: ['echo', 'work', 'ask', met].map((each) =>
        tool(each, { title: `${each} of ${name}` }),
      ),
      prompts: [{ name: 'greet', description: `of ${name}` }],
      resources: [{ uri: 'file:///etc/one', name: `one of ${name}` }],
      resourceTemplates: [{ uriTemplate: 'doc://all/{id}', name: `all of ${name}` }],
    })
    target.on('tools/call', async (params, { notify, ask }) => {
      const { progressToken } = (params['_meta'] ?? {}) as { progressToken?: string }
      const said = { from: name, tool: params['name'], arguments: params['arguments'] }
      if (params['name'] === 'work') {
        for (const progress of [1, 2]) {
          await notify('notifications/progress', { progressToken, progress, total: 2 } as never)
          await new Promise((resolve) => setTimeout(resolve, 30))
        }
      }
      if (params['name'] !== 'ask') return { content: [], structuredContent: said }
      const { result } = await ask('elicitation/create', question(name))
      return { content: [], structuredContent: { ...said, answer: result } }
    })
    return target
  }
  const [git, notes] = await Promise.all(NEIGHBOURS.map(start))
  return { lib_git: git, notes } as Neighbours
}

const question = (name: string) => ({
  message: `${name} asks`,
  requestedSchema: { type: 'object', properties: {} },
})

export const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: { elicitation: {}, sampling: {}, roots: {} },
  clientInfo: { name: 'caller', version: '1' },
}

const LISTS = [
  ['tools/list', 'tools'],
  ['prompts/list', 'prompts'],
  ['resources/list', 'resources'],
  ['resources/templates/list', 'resourceTemplates'],
] as const

/** Entries of the neighbours, and whether any name stands twice in the list of all. */
async function lists(caller: Caller): Promise<Record<string, JsonObject[]>> {
  const listed = await Promise.all(
    LISTS.map(async ([method, member]) => [member, await all(caller, method, member)] as const),
  )
  return Object.fromEntries(
    listed.map(([member, entries]) => [
      member,
      entries.filter((entry) =>
        NEIGHBOURS.some((name) =>
          [entry['title'], entry['description'], entry['name']].some(
            (text) => typeof text === 'string' && text.endsWith(`of ${name}`),
          ),
        ),
      ),
    ]),
  )
}

async function all(caller: Caller, method: string, member: string): Promise<JsonObject[]> {
  const entries: JsonObject[] = []
  let cursor: unknown
  // what one target alone goes on with is of no interest here
  for (let part = 0; part < 3 && (part === 0 || cursor !== undefined); part += 1) {
    const { result, error } = await caller.request(method, cursor ? { cursor } : {})
    if (result === undefined) throw new Error(`${method}: ${JSON.stringify(error)}`)
    entries.push(...(result[member] as JsonObject[]))
    cursor = result['nextCursor']
  }
  const keys = entries.map((entry) => entry['uri'] ?? entry['uriTemplate'] ?? entry['name'])
  expect(new Set(keys).size, `${method} names each once`).toBe(keys.length)
  return entries
}

const isOf = (name: string, message: Heard) =>
  JSON.stringify(message.params?.['data'] ?? message.params?.['message'] ?? '').startsWith(
    `"${name} `,
  )

/** Uses one neighbour in every way there is; returns what the caller got. */
async function use(
  caller: Caller,
  name: string,
  target: RecordingTarget,
  session: string,
  uri: unknown,
) {
  const call = async (what: string, more: JsonObject = {}) => {
    const params = { name: `${name}_${what}`, arguments: { n: 1, text: `for ${name}` }, ...more }
    return await caller.request('tools/call', params)
  }
  const tools = await Promise.all([
    ...[1, 2, 3].map((n) => call('echo', { arguments: { n } })),
    call('work', { _meta: { progressToken: `of ${name}` } }),
    call('ask'),
    call(MET),
  ])
  const others = await Promise.all([
    caller.request('resources/read', { uri }),
    caller.request('resources/subscribe', { uri }),
    caller.request('prompts/get', { name: `${name}_greet`, arguments: { a: 'b' } }),
    caller.request('completion/complete', {
      ref: { type: 'ref/prompt', name: `${name}_greet` },
      argument: { name: 'a', value: name },
    }),
  ])
  await target.notify('notifications/message', { level: 'info', data: `${name} says` }, session)
  await target.notify('notifications/resources/updated', { uri: 'file:///etc/one' }, session)
  const { result: asked } = await target.ask('elicitation/create', question(name), session)
  const heard = await eventually(() => {
    const all = caller.inbox.filter(
      (message) =>
        isOf(name, message) ||
        message.params?.['uri'] === uri ||
        message.params?.['progressToken'] === `of ${name}`,
    )
    if (all.filter(({ method }) => method !== 'notifications/progress').length < 4) {
      throw new Error(`${name} is not heard: ${JSON.stringify(all)}`)
    }
    return all
  })
  const asks = heard.filter(({ id }) => id !== undefined).map(({ id }) => id)
  const cancelled = caller.inbox.filter(
    ({ method, params }) =>
      method === 'notifications/cancelled' && asks.includes(params?.['requestId']),
  )
  return {
    uri,
    answers: [...tools, ...others].map(({ result, error }) => ({ result, error })),
    heard: heard
      .map(({ method, params }) => JSON.stringify({ method, params }))
      .sort((a, b) => (a < b ? -1 : 1)),
    ...{ asked, cancelled },
  }
}

/**
 * Does everything that a caller of the two neighbours may do, and returns what came of it, to be
 * compared with the same where no target is hostile.
 *
 * @param provoke Uses the hostile target meanwhile.
 */
export async function useNeighbours(
  caller: Caller,
  neighbours: Neighbours,
  provoke: (caller: Caller) => void = () => undefined,
) {
  const { result: initialized } = await caller.request('initialize', INITIALIZE)
  const { protocolVersion, capabilities, instructions } = initialized as {
    protocolVersion: string
    capabilities: Record<string, JsonObject>
    instructions: string
  }
  await caller.send({ method: 'notifications/initialized' })
  await caller.open()
  provoke(caller)
  const first = await lists(caller)
  const who = randomUUID()
  for (const name of NEIGHBOURS) {
    await caller.request('tools/call', { name: `${name}_echo`, arguments: { who } })
  }
  const sessions = await eventually(() =>
    NEIGHBOURS.map((name) => {
      const mine = neighbours[name].requests.find(({ body }) => body.includes(who))
      if (neighbours[name].getStreams(mine?.sessionId).length !== 1) throw new Error('no stream')
      return mine?.sessionId ?? ''
    }),
  )
  provoke(caller)
  const used = await Promise.all(
    NEIGHBOURS.map((name, i) => {
      const entry = first['resources']?.find((each) => each['name'] === `one of ${name}`)
      return use(caller, name, neighbours[name], sessions[i] as string, entry?.['uri'])
    }),
  )
  provoke(caller)
  const last = await lists(caller)
  const { result: pong } = await caller.request('ping')
  const seen = NEIGHBOURS.map((name, i) => {
    const mine = neighbours[name].requests.filter(({ sessionId }) => sessionId === sessions[i])
    return {
      calls: mine.filter(({ rpc }) => rpc === 'tools/call').length,
      streams: mine.filter(({ method }) => method === 'GET').length,
      cookies: mine.filter(({ headers }) => headers.cookie !== undefined).length,
      alive: neighbours[name].sessions.has(sessions[i] as string),
    }
  })
  const strays = caller.strays.map((stray) => JSON.stringify(stray).slice(0, 200))
  await caller.close()
  await eventually(() => {
    for (const [i, name] of NEIGHBOURS.entries()) {
      const isOpen = neighbours[name].sessions.has(sessions[i] as string)
      if (isOpen) throw new Error(`${name} keeps the session`)
    }
  })
  return {
    initialized: {
      protocolVersion,
      tools: capabilities['tools'],
      prompts: capabilities['prompts'],
      resources: capabilities['resources'],
      logging: capabilities['logging'],
      completions: capabilities['completions'],
      explained: NEIGHBOURS.filter((name) => instructions.includes(`How to use ${name}.`)),
    },
    ...{ first, used, last, pong, seen, strays },
  }
}
