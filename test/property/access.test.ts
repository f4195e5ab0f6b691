import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { AccessConfig } from '../../src/config/target-types.js'
import { envelope } from '../helpers/modern-client.js'
import { type Stack, startStack } from '../helpers/stack.js'
import { tool } from '../helpers/targets/contents.js'
import { startModernRecordingTarget } from '../helpers/targets/modern.js'
import { startRecordingTarget } from '../helpers/targets/recording.js'

const contents = (name: string) => ({
  instructions: `Ask ${name}.`,
  tools: [tool('echo'), tool(`of_${name}`), tool('a name with spaces')],
  prompts: [{ name: 'paint' }],
  resources: [{ uri: `test://${name}/readme`, name: 'readme' }],
  resourceTemplates: [{ uriTemplate: `test://${name}/{colour}`, name: 'colour' }],
  listChanged: true,
})
const pool = {
  a: await startRecordingTarget({ ...contents('a'), sessions: 'required', pageSize: 2 }),
  b: await startRecordingTarget(contents('b')),
  c: await startModernRecordingTarget({ ...contents('c'), pageSize: 2 }),
  d: await startModernRecordingTarget(contents('d')),
}
type Name = keyof typeof pool
const NAMES = Object.keys(pool) as Name[]
for (const target of [pool.a, pool.b]) target.on('tools/call', () => ({ content: [] }))
for (const target of [pool.c, pool.d]) target.on('tools/call', () => ({ content: [] }))

const config = {
  session: { secret: 'a-session-secret-of-more-than-32-bytes' },
  server: { publicUrl: 'http://localhost:8123' },
}
const first = await startStack({ targets: { a: pool.a.url }, config })
afterAll(async () => {
  await first.close()
  await Promise.all(NAMES.map((name) => pool[name].close()))
})

/** What a caller may hold, and what rules may ask for. */
const words = fc.subarray(['one', 'two'])
const optional = (list: fc.Arbitrary<string[]>) => fc.option(list, { nil: undefined })
const rules = fc.record({
  tenants: optional(words),
  roles: optional(words),
  permissions: optional(words),
  scopes: optional(words),
})
const caller = fc.record({
  tenant: fc.constantFrom(undefined, 'one', 'two'),
  roles: words,
  permissions: words,
  ofTenant: words,
  scopes: words,
})
type Caller = typeof caller extends fc.Arbitrary<infer T> ? T : never

/** The contract once more, in other words than those of the program. */
function isAdmitted(rule: AccessConfig, who: Caller): boolean {
  const inTenant = who.tenant === undefined ? [] : who.ofTenant
  const held = {
    tenants: who.tenant === undefined ? [] : [who.tenant],
    roles: [...who.roles, ...inTenant],
    permissions: [...who.permissions, ...inTenant],
    scopes: who.scopes,
  }
  return (Object.keys(held) as (keyof typeof held)[]).every((member) => {
    const wanted = rule[member]
    return wanted === undefined || held[member].some((item) => wanted.includes(item))
  })
}

const targets = fc.uniqueArray(
  fc.record({ name: fc.constantFrom(...NAMES), rule: rules, bare: fc.boolean() }),
  { selector: ({ name }) => name, minLength: 2, maxLength: 3 },
)
type Targets = typeof targets extends fc.Arbitrary<infer T> ? T : never

const inputOf = (chosen: Targets) =>
  Object.fromEntries(
    chosen.map(({ name, rule, bare }, index) => {
      const prefix = bare && index === 0 ? { prefix: '' } : {}
      const asks = Object.values(rule).some((list) => list !== undefined)
      return [name, { url: pool[name].url, ...(asks && { access: rule }), ...prefix }]
    }),
  )

interface Sent {
  method: 'POST' | 'GET' | 'DELETE'
  message?: object
  headers?: Record<string, string>
}

const ask = (method: string, params: object = {}) => ({ jsonrpc: '2.0', id: 7, method, params })
const tell = (method: string, params: object = {}) => ({ jsonrpc: '2.0', method, params })

/** Everything that a client may send of both eras, with names of all targets there are. */
function requests(): { method: string; params: object }[] {
  const named = NAMES.flatMap((name) => [`${name}_echo`, `${name}_of_${name}`, `of_${name}`])
  const uris = NAMES.flatMap((name) => [
    `test://${name}/readme`,
    `test://${name}/${name}/readme`,
    `${name}+urn:x`,
  ])
  const tasks = NAMES.flatMap((name) => [`${name}.task`, 'task'])
  const of = (method: string, list: object[]) => list.map((params) => ({ method, params }))
  return [
    ...of('ping', [{}]),
    ...of('logging/setLevel', [{ level: 'info' }]),
    ...['tools', 'prompts', 'resources', 'resources/templates', 'tasks'].flatMap((kind) =>
      of(`${kind}/list`, [{}, { cursor: 'x' }, { cursor: '' }]),
    ),
    ...of(
      'tools/call',
      named.map((name) => ({ name, arguments: {} })),
    ),
    ...of('tools/call', [{ name: 'a_a_name_with_spaces_000000' }, {}]),
    ...of(
      'prompts/get',
      NAMES.map((name) => ({ name: `${name}_paint` })),
    ),
    ...of(
      'resources/read',
      uris.map((uri) => ({ uri })),
    ),
    ...of(
      'resources/subscribe',
      uris.map((uri) => ({ uri })),
    ),
    ...of(
      'resources/unsubscribe',
      uris.map((uri) => ({ uri })),
    ),
    ...of(
      'completion/complete',
      NAMES.flatMap((name) => [
        { ref: { type: 'ref/prompt', name: `${name}_paint` }, argument: { name: 'x', value: '' } },
        { ref: { type: 'ref/resource', uri: `test://${name}/{colour}` }, argument: {} },
      ]),
    ),
    ...['get', 'result', 'update', 'cancel'].flatMap((verb) =>
      of(
        `tasks/${verb}`,
        tasks.map((taskId) => ({ taskId })),
      ),
    ),
    ...of('vendor/method', [{}]),
    ...of('server/discover', [{}]),
  ]
}

function script(): Sent[] {
  const all = requests()
  const modern = all.map(({ method, params }): Sent => {
    const { name, uri, taskId } = params as Record<string, string | undefined>
    const mirrored = name ?? uri ?? taskId
    return {
      method: 'POST',
      message: ask(method, { ...params, _meta: envelope() }),
      headers: {
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': method,
        ...(mirrored !== undefined && { 'mcp-name': mirrored }),
      },
    }
  })
  const sessionBased = all.map(({ method, params }): Sent => {
    return { method: 'POST', message: ask(method, params) }
  })
  const told = [
    tell('notifications/initialized'),
    tell('notifications/cancelled', { requestId: 7 }),
    tell('notifications/progress', { progressToken: 'x', progress: 1 }),
    tell('notifications/roots/list_changed'),
    tell('vendor/notification'),
    { jsonrpc: '2.0', id: 1, result: {} },
  ].map((message): Sent => ({ method: 'POST', message }))
  const listen: Sent = {
    method: 'POST',
    message: ask('subscriptions/listen', {
      notifications: {
        toolsListChanged: true,
        resourceSubscriptions: NAMES.map((name) => `test://${name}/${name}/readme`),
      },
      _meta: envelope(),
    }),
    headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'subscriptions/listen' },
  }
  return [...modern, listen, ...told, ...sessionBased, { method: 'GET' }, { method: 'DELETE' }]
}
const SCRIPT = script()

const HELLO = ask('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: { roots: {}, sampling: {} },
  clientInfo: { name: 'c', version: '1' },
})

/** Sends one request; of a stream that stays open, what came at once. */
async function send(of: Stack, token: string, { method, message, headers = {} }: Sent) {
  const abort = new AbortController()
  const response = await fetch(of.url, {
    method,
    headers: {
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${token}`,
      ...(message && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(message && { body: JSON.stringify(message) }),
    signal: abort.signal,
  })
  const isStream = response.headers.get('content-type')?.includes('text/event-stream')
  const staysOpen =
    isStream && (method === 'GET' || headers['mcp-method'] === 'subscriptions/listen')
  let text = ''
  if (staysOpen) {
    const timer = setTimeout(() => abort.abort(), 60)
    const decoder = new TextDecoder()
    try {
      for await (const chunk of response.body ?? []) text += decoder.decode(chunk as Uint8Array)
    } catch {}
    clearTimeout(timer)
  } else text = await response.text()
  return { status: response.status, headers: new Map(response.headers), text }
}

type Answer = Awaited<ReturnType<typeof send>>

/** Ids that are made at random are alike in form only. */
const RANDOM = new Set(['date', 'mcp-session-id', 'x-request-id'])

const comparable = ({ status, headers, text }: Answer) => ({
  status,
  headers: [...headers].map(([name, value]) => [name, RANDOM.has(name) ? value.length : value]),
  text: text.replace(/"requestId":"[^"]+"/g, '"requestId":""'),
})

/** All that a caller can learn of a proxy, in the order in which it was asked. */
async function learn(of: Stack, token: string) {
  const hello = await send(of, token, { method: 'POST', message: HELLO })
  const session = hello.headers.get('mcp-session-id')
  const learned: unknown[] = [comparable(hello)]
  for (const sent of SCRIPT) {
    const isModern = sent.headers !== undefined
    const headers = {
      ...sent.headers,
      ...(session !== undefined && !isModern && { 'mcp-session-id': session }),
    }
    learned.push([sent, comparable(await send(of, token, { ...sent, headers }))])
  }
  return learned
}

describe('a target that does not admit a caller', () => {
  it('cannot be told from one that is not there, by any method of both eras', async () => {
    let hiddenOnes = 0
    await fc.assert(
      fc.asyncProperty(targets, caller, async (chosen, who) => {
        const admitted = chosen.filter(({ rule }) => isAdmitted(rule, who))
        const hidden = chosen.filter(({ rule }) => !isAdmitted(rule, who))
        hiddenOnes += hidden.length
        // a proxy cannot be configured without any target, so that one stands for all that hide
        const [other = 'a'] = NAMES.filter((name) => chosen.every((it) => it.name !== name))
        const alone = [{ name: other, rule: { roles: [] } as AccessConfig, bare: false }]
        const options = { identity: first.identity, config }
        const all = inputOf(chosen)
        const guarded = await startStack({ ...options, targets: all })
        const rest = Object.entries(all).filter(([name]) => admitted.some((it) => it.name === name))
        const without = await startStack({
          ...options,
          targets: admitted.length > 0 ? Object.fromEntries(rest) : inputOf(alone as Targets),
        })
        try {
          const claims = {
            aud: [guarded.server.resource],
            scope: who.scopes.join(' '),
            roles: who.roles,
            permissions: who.permissions,
            ...(who.tenant !== undefined && { dct: who.tenant }),
            tenants: Object.fromEntries(
              ['one', 'two'].map((tenant) => [
                tenant,
                tenant === who.tenant ? { roles: who.ofTenant, permissions: who.ofTenant } : {},
              ]),
            ),
          }
          const token = await guarded.token(claims)
          for (const name of NAMES) pool[name].clear()
          const learned = await learn(guarded, token)
          for (const { name } of hidden) expect([name, pool[name].requests]).toEqual([name, []])
          expect(learned).toEqual(await learn(without, token))
        } finally {
          await Promise.all([guarded.close(), without.close()])
        }
      }),
      { numRuns: 12 },
    )
    expect(hiddenOnes).toBeGreaterThan(0)
  }, 180_000)
})
