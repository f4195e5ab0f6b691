import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { resolveConfig } from '../../../src/config/load.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { echoProgram } from '../../helpers/targets/echo-program.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const KEY = 'key-of-the-relations'
const ANN = 'U2ann'
const TOOLS = ['read_doc', 'delete_doc', 'share_doc', 'move_doc'].map((name) => tool(name))
const MIRRORING = [
  {
    name: 'delete_doc',
    inputSchema: {
      type: 'object',
      properties: {
        id: { type: 'string', 'x-mcp-header': 'Doc' },
        note: { type: 'string', 'x-mcp-header': 'Note' },
        plain: { type: 'string' },
      },
    },
  },
]
const ruleOf = (resource: string, relation = 'owner', resourceType = 'doc') => ({
  resourceType,
  resource,
  relation,
})
const FGA = {
  'delete_*': ruleOf('{arguments.id}'),
  '*_doc_twice': ruleOf('{arguments.id}'),
  share_doc: ruleOf('{arguments.id}'),
  'share_*': ruleOf('{claims.team}/{arguments.id}', 'member', '{target}'),
  move_doc: ruleOf('{tenant}:{arguments.from}:{arguments.to}', '{tool}', 'path'),
}

/** What Descope is asked, and what it answers in place of the emulator. */
let asked: { tuples: Record<string, string>[] }[] = []
let answer: ((real: () => Promise<Response>) => Promise<Response>) | undefined

let identity: Identity
let docs: RecordingTarget
let modern: ModernRecordingTarget
let one: Stack
let several: Stack
let stateless: Stack
let alone: Stack
let programs: Stack
beforeAll(async () => {
  const ofAnn = { target: ANN, targetType: 'user' }
  identity = await startIdentity({
    clock,
    managementKeys: [KEY],
    relations: [
      { resourceType: 'doc', relation: 'owner', resource: '7', ...ofAnn },
      { resourceType: 'docs', relation: 'member', resource: 'blue/7', ...ofAnn },
      { resourceType: 'path', relation: 'move_doc', resource: 'T1:a:b:c', ...ofAnn },
    ],
  } as never)
  docs = await startRecordingTarget({ tools: TOOLS })
  modern = await startModernRecordingTarget({ tools: MIRRORING as never, lenient: true })
  const real = globalThis.fetch
  vi.stubGlobal('fetch', (input: string | URL | Request, init?: RequestInit) => {
    if (!String(input).endsWith('/v1/mgmt/fga/check')) return real(input, init)
    asked.push(JSON.parse(String(init?.body)))
    return answer === undefined ? real(input, init) : answer(() => real(input, init))
  })
  const config = { descope: { managementKey: KEY } }
  const ofDocs = { url: docs.url, tools: { fga: FGA } }
  const ofModern = { url: modern.url, tools: { fga: FGA } }
  one = await startStack({ identity, config, targets: { docs: { ...ofDocs, prefix: '' } } })
  several = await startStack({
    identity,
    config: { ...config, server: { endpoints: 'each' } },
    targets: { docs: ofDocs, open: docs.url },
  })
  stateless = await startStack({
    identity,
    config,
    targets: { docs: ofModern, open: modern.url },
  })
  alone = await startStack({ identity, config, targets: { docs: { ...ofModern, prefix: '' } } })
  programs = await startStack({
    identity,
    config,
    targets: { docs: echoProgram({ prefix: '', tools: { fga: { lines: FGA['delete_*'] } } }) },
  })
})
afterEach(() => {
  asked = []
  answer = undefined
  for (const target of [docs, modern]) target.clear()
})
afterAll(async () => {
  vi.unstubAllGlobals()
  const all = [one, several, stateless, alone, programs, docs, modern, identity]
  for (const { close } of all) await close()
})

let resource = 0
/** A name that no answer is kept for. */
const fresh = () => `new-${resource++}`

const bearer = async (stack: Stack, claims: object = {}) => ({
  authorization: `Bearer ${await stack.token({ sub: ANN, ...claims })}`,
})

const callOf = (name: string, args: object, id: string | number = 'c') => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
})

async function call(stack: Stack, name: string, args: object, claims: object = {}) {
  return readMessage(await stack.post(callOf(name, args), await bearer(stack, claims)))
}

const allowed = (isAllowed: boolean) => async () =>
  Response.json({ tuples: [{ allowed: isAllowed }] })

/** Holds Descope's answer until the test lets it go. */
function hold() {
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const came = new Promise<void>((resolve) => {
    answer = async () => {
      resolve()
      await gate
      return Response.json({ tuples: [{ allowed: true }] })
    }
  })
  return { came, release }
}

describe('the headers of a call that was checked by its arguments', () => {
  const send = async (stack: Stack, name: string, args: object, headers: Record<string, string>) =>
    postStateless(stack, modernRequest('tools/call', { name, arguments: args }), {
      ...(await bearer(stack)),
      ...headers,
    })

  it.each<[string, Record<string, string>]>([
    ['another value', { 'mcp-param-doc': '9' }],
    ['another value in Base64', { 'mcp-param-doc': '=?base64?OQ==?=' }],
    ['the value of another argument', { 'mcp-param-doc': 'harmless' }],
    ['both values', { 'mcp-param-doc': '7, 9' }],
    ['no value', { 'mcp-param-doc': '' }],
    ['a value for an argument that is not sent', { 'mcp-param-note': '9' }],
    ['an argument that the tool does not repeat', { 'mcp-param-plain': 'harmless' }],
    ['a name that the tool does not know', { 'mcp-param-id': '7' }],
  ])('are refused with %s', async (_what, headers) => {
    for (const [stack, name] of [
      [stateless, 'docs_delete_doc'],
      [alone, 'delete_doc'],
    ] as const) {
      const { status, message } = await send(stack, name, { id: '7', plain: 'harmless' }, headers)
      expect(status).toBe(400)
      expect(message).toMatchObject({ id: 'm-1', error: { code: -32020 } })
    }
    expect(modern.of('tools/call')).toHaveLength(0)
  })

  it('reach the target where they say what the arguments say, and no others of MCP do', async () => {
    const headers = { 'mcp-param-doc': '=?base64?Nw==?=', 'mcp-param-note': 'n', 'mcp-doc': '9' }
    for (const [stack, name] of [
      [stateless, 'docs_delete_doc'],
      [alone, 'delete_doc'],
    ] as const) {
      modern.clear()
      const { message } = await send(stack, name, { id: '7', note: 'n' }, headers)
      expect(message).toHaveProperty('result')
      const [request] = modern.of('tools/call')
      expect(request?.headers).toMatchObject({ 'mcp-param-doc': '=?base64?Nw==?=' })
      expect(request?.headers).toMatchObject({ 'mcp-param-note': 'n', 'mcp-name': 'delete_doc' })
      expect(request?.headers).not.toHaveProperty('mcp-doc')
    }
    await send(stateless, 'open_delete_doc', { id: '7' }, { 'mcp-doc': '9' })
    expect(modern.of('tools/call').at(-1)?.headers).toHaveProperty('mcp-doc', '9')
  })

  it('are refused where the target does not say what its tools repeat', async () => {
    modern.contents.tools = []
    const { message } = await send(alone, 'delete_other', { id: '7' }, { 'mcp-param-doc': '7' })
    modern.contents.tools = MIRRORING as never
    expect(message.error).toMatchObject({ code: -32020 })
    expect(modern.of('tools/call')).toHaveLength(0)
  })
})

describe('a call that waits for Descope', () => {
  it('is not sent when its client leaves', async () => {
    const { came, release } = hold()
    const abort = new AbortController()
    const body = JSON.stringify(callOf('delete_doc', { id: fresh() }))
    const headers = { 'content-type': 'application/json', ...(await bearer(one)) }
    const left = fetch(one.url, { method: 'POST', body, headers, signal: abort.signal })
    await came
    abort.abort()
    await expect(left).rejects.toThrow()
    await vi.waitFor(() =>
      expect(one.logs().some((line) => line['outcome'] === 'client_left')).toBe(true),
    )
    release()
    await call(one, 'read_doc', {})
    expect(docs.of('tools/call')).toHaveLength(1)
  })

  it('is answered and not sent when it is cancelled', async () => {
    const { came, release } = hold()
    const auth = await bearer(one)
    const waiting = one.post(callOf('delete_doc', { id: fresh() }, 41), auth)
    await came
    const cancel = (requestId: unknown) => ({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId },
    })
    // neither another id nor another user ends it
    await one.post(cancel('41'), auth)
    await one.post(cancel(41), await bearer(one, { sub: 'U2bob' }))
    expect((await one.post(cancel(41), auth)).status).toBe(202)
    const { id, error } = await readMessage(await waiting)
    expect(id).toBe(41)
    expect(error.message).toContain('cancelled')
    release()
    await call(one, 'read_doc', {})
    expect(docs.of('tools/call')).toHaveLength(1)
  })

  it('is sent once it is allowed, whatever else came meanwhile', async () => {
    const { came, release } = hold()
    const waiting = call(one, 'delete_doc', { id: fresh() })
    await came
    expect(await call(one, 'read_doc', {})).toHaveProperty('result')
    release()
    expect(await waiting).toHaveProperty('result')
    expect(docs.of('tools/call')).toHaveLength(2)
  })
})

describe('the relation that a call needs', () => {
  it('is filled from claims, target and arguments, and all rules about the tool hold', async () => {
    const refused = await call(one, 'share_doc', { id: '7' }, { team: 'red' })
    expect(refused.error.message).toBe('Not allowed for this resource')
    expect(await call(one, 'share_doc', { id: '7' }, { team: 'blue' })).toHaveProperty('result')
    expect(asked.flatMap(({ tuples }) => tuples).map((tuple) => tuple['resource'])).toEqual([
      ...['7', 'red/7'],
      'blue/7',
    ])
    expect(asked.at(-1)?.tuples).toEqual([
      {
        ...{ resourceType: 'docs', resource: 'blue/7', relation: 'member' },
        ...{ target: ANN, targetType: 'user' },
      },
    ])
    for (const team of [undefined, ['blue'], '', { a: 1 }]) {
      expect(await call(one, 'share_doc', { id: '7' }, { team })).toHaveProperty('error')
    }
    expect(docs.of('tools/call')).toHaveLength(1)
  })

  it('is filled from tenant and tool, and never so that two resources have one name', async () => {
    const ofT1 = { dct: 'T1', tenants: { T1: {} } }
    const sent = await call(one, 'move_doc', { from: 'a', to: 'b:c' }, ofT1)
    expect(sent).toHaveProperty('result')
    const twin = await call(one, 'move_doc', { from: 'a:b', to: 'c' }, ofT1)
    expect(twin.error.message).toContain('does not say clearly')
    const without = await call(one, 'move_doc', { from: 'a', to: 'b:c' })
    expect(without.error.message).toContain('does not say clearly')
    expect(docs.of('tools/call')).toHaveLength(1)
  })

  it.each(['{arguments.a}{arguments.b}', '{target}{tool}', '{arguments}', '{claims.}', '{x}', ''])(
    'cannot be the template %j',
    (template) => {
      const targets = {
        docs: { url: docs.url, tools: { fga: { '*': ruleOf(template) } } },
      }
      const config = { descope: { configUrl: identity.configUrl, managementKey: KEY }, targets }
      expect(() => resolveConfig(config, { env: {} })).toThrow(/tools\.fga/)
    },
  )

  it('is needed at the own endpoint of the target too, and nowhere else', async () => {
    const at = async (target: string, name: string, id: string) => {
      const url = `${several.origin}/${target}/mcp`
      const aud = url.replace('127.0.0.1', 'localhost')
      const headers = {
        'content-type': 'application/json',
        ...(await bearer(several, { aud: [aud] })),
      }
      const body = JSON.stringify(callOf(name, { id }))
      return readMessage(await fetch(url, { method: 'POST', headers, body }))
    }
    expect((await at('docs', 'delete_doc', '9')).error.message).toContain('Not allowed')
    expect(docs.of('tools/call')).toHaveLength(0)
    expect(await at('docs', 'delete_doc', '7')).toHaveProperty('result')
    expect(await at('open', 'delete_doc', '9')).toHaveProperty('result')
  })

  it('is needed for a program, to which no call comes that was refused', async () => {
    const refused = await call(programs, 'lines', { id: '9' })
    expect(refused.error.message).toBe('Not allowed for this resource')
    const { result } = await call(programs, 'lines', { id: '7' })
    const lines = JSON.parse(result.content[0].text).map((line: string) => JSON.parse(line))
    const calls = lines.filter(({ method }: { method: string }) => method === 'tools/call')
    expect(calls).toHaveLength(1)
    expect(calls[0].params.arguments).toEqual({ id: '7' })
  })

  it('may be asked about at an MCP server of the same project, and of no other', () => {
    const configFor = (own: string) => ({
      descope: { configUrl: identity.configUrl, managementKey: KEY },
      targets: { docs: { url: docs.url, tools: { fga: FGA }, descope: { configUrl: own } } },
      server: { endpoints: 'each' as const, publicUrl: 'http://localhost:1' },
    })
    const { projectId, configUrl } = identity
    const sibling = configUrl.replace(/[^/]+(\/\.well-known\/[^/]+)$/, 'MS2another$1')
    const stranger = sibling.replace(projectId, `P${'x'.repeat(projectId.length - 1)}`)
    expect(sibling).not.toBe(configUrl)
    expect(() => resolveConfig(configFor(sibling), { env: {} })).not.toThrow()
    expect(() => resolveConfig(configFor(stranger), { env: {} })).toThrow(/another project/)
  })
})

describe('what Descope answers', () => {
  it.each<[string, () => Promise<Response>, string]>([
    ['401', async () => Response.json({}, { status: 401 }), 'descope.managementKey'],
    ['403', async () => Response.json({}, { status: 403 }), 'Management Keys'],
    ['404', async () => Response.json({}, { status: 404 }), 'Authorization, FGA'],
    ['500', async () => Response.json({}, { status: 500 }), 'descopestatus.com'],
    ['503', async () => new Response('', { status: 503 }), 'descopestatus.com'],
    ['nothing', async () => Promise.reject(new TypeError('fetch failed')), 'Authorization, FGA'],
    ['another body', async () => Response.json({ tuples: 'yes' }), 'Authorization, FGA'],
    ['no JSON', async () => new Response('<html>'), 'Authorization, FGA'],
    ['no relation', allowed(false), 'Not allowed for this resource'],
  ])('is told to the client with what to look at: %s', async (_what, how, hint) => {
    answer = how
    const id = fresh()
    const { error } = await call(one, 'delete_doc', { id })
    expect(error.message).toContain('Not allowed')
    expect(error.message).toContain(hint)
    expect(error.message).not.toContain(KEY)
    expect(docs.of('tools/call')).toHaveLength(0)
    // no failure is kept; a refusal is, for ten seconds
    answer = allowed(true)
    const again = await call(one, 'delete_doc', { id })
    expect(again).toHaveProperty(hint.startsWith('Not allowed') ? 'error' : 'result')
  })
})
