import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { objectMember } from '../../../src/util/json.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

type Record_ = Record<string, unknown>

const CANARY = 'canary-5f2c9e7a1b'

const KEY = 'a-management-key-of-the-tests'

const folder = mkdtempSync(join(tmpdir(), 'mcp descope audit '))
const file = join(folder, 'audit.jsonl')
const modernFile = join(folder, 'stateless.jsonl')

let identity: Identity
let docs: RecordingTarget
let bank: RecordingTarget
let late: RecordingTarget
let limited: string
let modern: ModernRecordingTarget
let stack: Stack
let stateless: Stack
beforeAll(async () => {
  identity = await startIdentity({ clock, managementKeys: [KEY] })
  docs = await startRecordingTarget({
    tools: ['read', 'write', 'broken', 'slow', 'admin'].map((name) => tool(name)),
    handlers: {
      'tools/call': ({ name }) => {
        if (name === 'slow') return NO_ANSWER
        if (name === 'broken') throw new Error(`no ${CANARY}`)
        return { content: [{ type: 'text', text: CANARY }], isError: name === 'write' }
      },
    },
  })
  bank = await startRecordingTarget({ tools: [tool('pay')] })
  late = await startRecordingTarget({ handlers: { 'tools/call': () => NO_ANSWER } })
  modern = await startModernRecordingTarget({ tools: [tool('read'), tool('admin')] })
  stack = await startStack({
    identity,
    config: {
      audit: { file, descope: true },
      descope: { managementKey: KEY },
      server: { endpoints: 'both' },
      limits: { callsPerCaller: 2 },
      timeouts: { answer: 2 },
    },
    targets: {
      docs: {
        url: docs.url,
        tools: { deny: ['admin'], scopes: { write_all: ['w'] }, stepUp: ['transfer_*'] },
      },
      bank: { url: bank.url, access: { roles: ['teller'] } },
      down: 'http://127.0.0.1:9/mcp',
      late: late.url,
    },
  })
  limited = await stack.token({ sub: 'limited' })
  stateless = await startStack({
    identity,
    config: { audit: { file: modernFile, arguments: true } },
    targets: { docs: { url: modern.url, tools: { deny: ['admin'] } } },
  })
})
afterAll(async () => {
  for (const { close } of [stack, stateless, docs, bank, late, modern, identity]) await close()
  rmSync(folder, { recursive: true })
})

const read = (path = file): Record_[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

/** Waits for the record of a request. */
async function recordOf(id: string | null, path = file): Promise<Record_> {
  return expect
    .poll(() => read(path).find((record) => record['id'] === id), { timeout: 5_000 })
    .toBeDefined()
    .then(() => read(path).filter((record) => record['id'] === id)[0] as Record_)
}

let next = 0
const request = (method: string, params: object = {}) => ({
  jsonrpc: '2.0',
  id: ++next,
  method,
  params,
})

async function ask(method: string, params: object, headers: Record<string, string> = {}) {
  const response = await stack.post(request(method, params), headers)
  await response.text()
  return recordOf(response.headers.get('x-request-id'))
}

const call = (name: string, headers?: Record<string, string>) =>
  ask('tools/call', { name, arguments: { note: CANARY } }, headers)

describe('an audit record', () => {
  it.each<[string, string, object]>([
    ['a call', 'docs_read', { target: 'docs', tool: 'read', asked: 'docs_read', outcome: 'ok' }],
    ['a tool that fails', 'docs_write', { tool: 'write', outcome: 'tool_error' }],
    ['an error of the target', 'docs_broken', { tool: 'broken', outcome: 'rpc_error' }],
    [
      'a hidden tool',
      'docs_admin',
      { tool: 'admin', outcome: 'refused', refusal: 'policy', rule: 'tools.deny "admin"' },
    ],
    [
      'a hidden target',
      'bank_pay',
      { target: 'bank', tool: 'bank_pay', outcome: 'refused', refusal: 'access' },
    ],
    ['an unknown tool', 'nobody', { tool: 'nobody', outcome: 'rpc_error' }],
    [
      'a missing step-up',
      'docs_transfer_x',
      { status: 401, outcome: 'refused', refusal: 'step_up', rule: 'tools.stepUp "transfer_*"' },
    ],
    [
      'a missing scope',
      'docs_write_all',
      { status: 403, outcome: 'refused', refusal: 'scope', rule: 'tools.scopes "write_all"' },
    ],
    ['a target that is down', 'down_x', { target: 'down', outcome: 'target_failure' }],
    ['a target that is too slow', 'late_x', { target: 'late', failure: 'timeout' }],
  ])('of %s says who, what and how it ended', async (_what, name, expected) => {
    expect(await call(name)).toMatchObject({
      ...{ event: 'call', method: 'tools/call', endpoint: '/mcp', remote: '127.0.0.1' },
      ...{ subject: 'U2demoUserOfTheEmulator00000', client: expect.any(String) },
      ...expected,
    })
  })

  it('is written for prompts, resources, lists, completions and initialize, but not for notifications', async () => {
    expect(await ask('prompts/get', { name: 'docs_x' })).toMatchObject({ prompt: 'x' })
    const uri = 'docs://docs/x'
    expect(await ask('resources/read', { uri })).toMatchObject({ uri: 'docs://x', asked: uri })
    expect(await ask('resources/subscribe', { uri })).toMatchObject({ uri: 'docs://x' })
    const ref = { type: 'ref/prompt', name: 'docs_x' }
    expect(await ask('completion/complete', { ref })).toMatchObject({ prompt: 'x' })
    expect(await ask('tools/list', {})).toMatchObject({ method: 'tools/list', outcome: 'ok' })
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
    expect(await ask('initialize', params)).toMatchObject({ method: 'initialize', status: 200 })
    const told = await stack.post({ jsonrpc: '2.0', method: 'notifications/initialized' })
    await call('docs_read')
    const id = told.headers.get('x-request-id')
    expect(read().filter((record) => record['id'] === id)).toEqual([])
  })

  it('has the tenant, the user behind a subject, and the endpoint of the target', async () => {
    const url = stack.url.replace('/mcp', '/docs/mcp')
    const aud = [stack.server.resource.replace('/mcp', '/docs/mcp')]
    const token = await identity.mint({ aud, sub: 'shared', dsub: 'U1', dct: 'T1' })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const body = JSON.stringify(request('tools/call', { name: 'read' }))
    const response = await fetch(url, { method: 'POST', headers, body })
    expect(await recordOf(response.headers.get('x-request-id'))).toMatchObject({
      ...{ endpoint: '/docs/mcp', tool: 'read', subject: 'shared', user: 'U1', tenant: 'T1' },
    })
    // who is not admitted finds nothing there, and the record says who it was
    const hidden = await fetch(stack.url.replace('/mcp', '/bank/mcp'), {
      ...{ method: 'POST', body },
      headers: {
        ...headers,
        authorization: `Bearer ${await identity.mint({ aud: [stack.server.resource.replace('/mcp', '/bank/mcp')], sub: 'me' })}`,
      },
    })
    expect(hidden.status).toBe(404)
    expect(await recordOf(hidden.headers.get('x-request-id'))).toMatchObject({
      ...{ endpoint: '/bank/mcp', target: 'bank', refusal: 'access', subject: 'me' },
    })
  })

  it.each<[string, Record<string, string>, object]>([
    ['without a token', { authorization: '' }, { status: 401, refusal: 'malformed' }],
    ['with a bad token', { authorization: `Bearer ${CANARY}` }, { status: 401 }],
    ['from a foreign page', { origin: `https://${CANARY}.example` }, { refusal: 'origin' }],
    ['of another type', { 'content-type': 'text/plain' }, { status: 415, refusal: 'content_type' }],
    ['in a session of nobody', { 'mcp-session-id': CANARY }, { status: 404, refusal: 'session' }],
  ])('is written for a request %s', async (_what, headers, expected) => {
    expect(await call('docs_read', headers)).toMatchObject({ outcome: 'refused', ...expected })
  })

  it('is written once for a batch, a stream, a call that the client gives up, and one too many', async () => {
    const batch = await stack.post([request('tools/list'), request('tools/list')])
    expect(await recordOf(batch.headers.get('x-request-id'))).toMatchObject({ refusal: 'message' })

    const before = read().length
    const left = [1, 2].map(() => new AbortController())
    const calls = left.map(({ signal }) =>
      fetch(stack.url, {
        ...{
          method: 'POST',
          signal,
          body: JSON.stringify(request('tools/call', { name: 'docs_slow' })),
        },
        headers: {
          'content-type': 'application/json',
          authorization: `Bearer ${limited}`,
        },
      }).catch(() => undefined),
    )
    await expect.poll(() => docs.of('tools/call').length).toBeGreaterThan(1)
    const tooMany = await stack.post(request('tools/list'), { authorization: `Bearer ${limited}` })
    expect(tooMany.status).toBe(429)
    const refused = await recordOf(tooMany.headers.get('x-request-id'))
    expect(refused).toMatchObject({ refusal: 'caller_calls', subject: 'limited' })
    for (const controller of left) controller.abort()
    await Promise.all(calls)
    await expect
      .poll(() =>
        read()
          .slice(before)
          .filter(({ outcome }) => outcome === 'client_left'),
      )
      .toMatchObject([
        { tool: 'slow', status: 499 },
        { tool: 'slow', status: 499 },
      ])
  })

  it('cannot be forged by names, however long and whatever is in them', async () => {
    const name = `x"},\n\u001b[31m\u202e{"event":"call"`
    expect(await call(name)).toMatchObject({ tool: name })
    const long = await call(`y${'z'.repeat(100_000)}`)
    expect(String(long['tool'])).toHaveLength(1_025)
    const text = readFileSync(file, 'utf8')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/)
  })

  it('never holds tokens, headers, arguments or what a target says', async () => {
    const logged = stack.logText()
    expect(await call('docs_write')).toMatchObject({ outcome: 'tool_error' })
    expect(readFileSync(file, 'utf8')).not.toContain(CANARY)
    expect(readFileSync(file, 'utf8')).not.toContain(KEY)
    expect(JSON.stringify(identity.auditEvents)).not.toContain(CANARY)
    expect(logged).not.toContain(KEY)
  })

  it('has no members but those that the document names', async () => {
    const page = readFileSync(new URL('../../../docs/audit.md', import.meta.url), 'utf8')
    const table = page.split('\n').filter((line) => line.startsWith('| `'))
    const named = table.flatMap((line) => [...(line.split(' | ')[0] ?? '').matchAll(/`(\w+)`/g)])
    const known = named.map(([, name]) => name)
    const calls = read().filter(({ event }) => event === 'call')
    const members = new Set(calls.flatMap((record) => Object.keys(record)))
    expect([...members].filter((member) => !known.includes(member))).toEqual([])
    const elsewhere = ['task', 'arguments', 'mac']
    expect(
      known.filter((name) => !members.has(String(name)) && !elsewhere.includes(String(name))),
    ).toEqual([])
  })

  it('reaches Descope with the user, the client and the tenant', async () => {
    const { id } = await call('docs_admin')
    const eventOf = () =>
      identity.auditEvents.find(({ data }) => objectMember({ data }, 'data')?.['id'] === id)
    await expect.poll(eventOf).toMatchObject({
      ...{ action: 'mcp.tools/call', userId: 'U2demoUserOfTheEmulator00000', type: 'warn' },
      data: { tool: 'admin', refusal: 'policy' },
    })
  })
})

describe('an audit record of the stateless protocol', () => {
  it('has the arguments where that is configured, without what is secret by its name', async () => {
    const given = { password: CANARY, nested: { apiKey: CANARY, note: 'fine' }, list: [1] }
    await postStateless(
      stateless,
      modernRequest('tools/call', { name: 'docs_read', arguments: given }),
    )
    await postStateless(stateless, modernRequest('tools/call', { name: 'docs_admin' }))
    await postStateless(
      stateless,
      modernRequest('tools/call', { name: 'docs_read', arguments: { text: 'x'.repeat(20_000) } }),
    )
    await expect.poll(() => read(modernFile).length).toBe(4)
    const nested = { apiKey: '[redacted]', note: 'fine' }
    expect(read(modernFile).slice(1)).toMatchObject([
      { tool: 'read', arguments: { password: '[redacted]', nested, list: [1] }, outcome: 'ok' },
      { tool: 'admin', outcome: 'refused', refusal: 'policy' },
      { tool: 'read', arguments: '[16395 characters]' },
    ])
  })
})
