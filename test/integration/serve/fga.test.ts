import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createRelationCheck } from '../../../src/auth/descope/relations.js'
import { resolveConfig } from '../../../src/config/load.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createRelationGuard } from '../../../src/gateway/routing/relations.js'
import { parseMessageText } from '../../../src/mcp/message.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const TOOLS = ['read_doc', 'delete_doc'].map((name) => tool(name))
const KEY = 'key-of-the-relations'
const RULE = { resourceType: 'doc', resource: '{arguments.id}', relation: 'owner' }
const FGA = { 'delete_*': RULE }
const ANN = 'U2ann'

let identity: Identity
let docs: RecordingTarget
let other: RecordingTarget
let modern: ModernRecordingTarget
let one: Stack
let several: Stack
let stateless: Stack
let wrongKey: Stack
beforeAll(async () => {
  const relation = { resourceType: 'doc', relation: 'owner', target: ANN, targetType: 'user' }
  identity = await startIdentity({
    clock,
    managementKeys: [KEY],
    relations: ['7', '8'].map((resource) => ({ ...relation, resource })),
  } as never)
  docs = await startRecordingTarget({ tools: TOOLS })
  other = await startRecordingTarget({ tools: TOOLS })
  modern = await startModernRecordingTarget({ tools: TOOLS })
  const config = { descope: { managementKey: KEY } }
  const ofDocs = { url: docs.url, tools: { fga: FGA } }
  one = await startStack({ identity, config, targets: { docs: { ...ofDocs, prefix: '' } } })
  several = await startStack({ identity, config, targets: { docs: ofDocs, other: other.url } })
  const ofModern = { url: modern.url, tools: { fga: FGA } }
  stateless = await startStack({ identity, config, targets: { docs: ofModern } })
  wrongKey = await startStack({
    identity,
    config: { descope: { managementKey: 'another-key' } },
    targets: { docs: { ...ofDocs, prefix: '' } },
  })
})
afterEach(() => {
  for (const target of [docs, other, modern]) target.clear()
})
afterAll(async () => {
  const all = [one, several, stateless, wrongKey, docs, other, modern, identity]
  for (const { close } of all) await close()
})

async function call(stack: Stack, name: string, args: string, sub = ANN) {
  const params = `{"name":${JSON.stringify(name)},"arguments":${args}}`
  const text = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":${params}}`
  const authorization = `Bearer ${await stack.token({ sub })}`
  return readMessage(await stack.post(text, { authorization }))
}

describe('a tool that needs a relation', () => {
  it('is listed, and called by whoever has the relation to the resource', async () => {
    const list = await readMessage(await one.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }))
    expect(list.result.tools).toHaveLength(2)
    expect(await call(one, 'delete_doc', '{"id":"7"}')).toHaveProperty('result')
    expect(await call(one, 'delete_doc', '{"id":8}')).toHaveProperty('result')
    expect(docs.of('tools/call')).toHaveLength(2)
    const { error } = await call(one, 'delete_doc', '{"id":"7"}', 'U2bob')
    expect(error).toMatchObject({ code: -32602, message: 'Not allowed for this resource' })
    expect(docs.of('tools/call')).toHaveLength(2)
    expect(one.logs().find((line) => line['refusal'] === 'fga')).toMatchObject({
      tool: 'delete_doc',
      rule: 'tools.fga "delete_*"',
    })
    expect(await call(one, 'read_doc', '{}', 'U2bob')).toHaveProperty('result')
  })

  it.each([
    '{}',
    '{"id":""}',
    '{"id":null}',
    '{"id":["7"]}',
    '{"id":{"id":"7"}}',
    '{"id":7.0}',
    '{"id":9007199254740993}',
    '{"id":"9","id":"7"}',
    '{"ID":"9","id":"7"}',
    '{"ID":"7"}',
    '{"\\u0069d":"9","id":"7"}',
    `{"id":"${'7'.repeat(257)}"}`,
    '{"id":"\\ud800"}',
    '["7"]',
    '"7"',
    'null',
  ])('is refused for the arguments %s', async (args) => {
    expect(await call(one, 'delete_doc', args)).toHaveProperty('error')
    expect(docs.of('tools/call')).toHaveLength(0)
  })

  it('is refused under every name that a lenient target could take for it', async () => {
    for (const name of ['DELETE_doc', 'Delete_Doc', 'délete_doc', 'ｄelete_doc']) {
      expect(await call(one, name, '{"id":"7"}', 'U2bob')).toHaveProperty('error')
    }
    expect(docs.of('tools/call')).toHaveLength(0)
  })

  it('of one of several targets leaves the tool of that name at the others open', async () => {
    expect(await call(several, 'docs_delete_doc', '{"id":"9"}')).toHaveProperty('error')
    expect(await call(several, 'docs_delete_doc', '{"id":"7"}')).toHaveProperty('result')
    expect(await call(several, 'other_delete_doc', '{"id":"9"}')).toHaveProperty('result')
    expect([docs, other].map((target) => target.of('tools/call').length)).toEqual([1, 1])
  })

  it('is checked for clients of the stateless protocol too', async () => {
    const authorization = `Bearer ${await stateless.token({ sub: ANN })}`
    const ask = (id: string) => {
      const params = { name: 'docs_delete_doc', arguments: { id } }
      return postStateless(stateless, modernRequest('tools/call', params), { authorization })
    }
    expect((await ask('9')).message).toHaveProperty('error')
    expect(modern.of('tools/call')).toHaveLength(0)
    expect((await ask('7')).message).toHaveProperty('result')
    expect(modern.of('tools/call')).toHaveLength(1)
  })

  it('is refused with the setting to look at when Descope refuses the management key', async () => {
    const { error } = await call(wrongKey, 'delete_doc', '{"id":"7"}')
    expect(error.message).toContain('descope.managementKey')
    expect(docs.of('tools/call')).toHaveLength(0)
    expect(wrongKey.logText()).toContain('fga_failed')
    expect(wrongKey.logText()).not.toContain('another-key')
  })

  it('keeps methods from the target about which no policy could decide', async () => {
    const message = { jsonrpc: '2.0', id: 1, method: 'com.example/delete', params: {} }
    expect((await readMessage(await one.post(message))).error).toMatchObject({ code: -32601 })
  })

  it('does not start without a management key', () => {
    const targets = { docs: { url: 'http://localhost:1/mcp', tools: { fga: FGA } } }
    const { configUrl } = identity
    expect(() => resolveConfig({ descope: { configUrl }, targets }, { env: {} })).toThrow(
      /managementKey/,
    )
  })
})

describe('a check of a relation', () => {
  let server: Server
  let answer: (response: ServerResponse) => void
  let asked = 0
  beforeAll(async () => {
    server = createServer((request, response) => {
      asked++
      request.resume().on('end', () => answer(response))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  const principal = (subject: string, tenant?: string) =>
    ({ issuer: 'i', subject, tenant, scopes: new Set(), roles: [], permissions: [] }) as never
  const open = (more: Partial<typeof clock> = {}) => {
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const runtime = { fetch, clock: { ...clock, ...more } }
    return createRelationCheck(runtime, { base, projectId: 'P1' }, KEY)
  }
  const json = (status: number, body: string) => (response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(body)
  }

  it.each<[string, (response: ServerResponse) => void]>([
    ['401', json(401, '{}')],
    ['403', json(403, '{}')],
    ['404', json(404, '{}')],
    ['500', json(500, '{}')],
    ['a redirect', (response) => response.writeHead(302, { location: '/' }).end()],
    ['no JSON', json(200, 'yes')],
    ['no tuples', json(200, '{}')],
    ['"true"', json(200, '{"tuples":[{"allowed":"true"}]}')],
    ['two tuples', json(200, '{"tuples":[{"allowed":true},{"allowed":true}]}')],
    ['nothing', (response) => response.destroy()],
    ['too late', () => {}],
  ])('is refused when Descope answers %s', async (what, how) => {
    answer = how
    // of a time-out only its length is made up
    const after: typeof clock.after = (ms, run) => clock.after(Math.min(ms, 100), run)
    const guard = createRelationGuard('docs', FGA, open(what === 'too late' ? { after } : {}))
    const params = '{"name":"delete_doc","arguments":{"id":"7"}}'
    const text = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`
    const refusal = await guard?.check('delete_doc', parseMessageText(text), principal(ANN))
    expect(refusal).toMatchObject({ isFailure: true, rule: 'tools.fga "delete_*"' })
    expect(refusal?.text).toContain('Descope console')
  })

  it('is asked about again after ten seconds, and at once after a failure', async () => {
    let now = 1_000_000
    const check = open({ now: () => now })
    const relation = { resourceType: 'doc', resource: '7', relation: 'owner' }
    const ask = () => check(relation, principal(ANN))
    asked = 0
    answer = json(500, '{}')
    await expect(ask()).rejects.toThrow('500')
    answer = json(200, '{"tuples":[{"allowed":true}]}')
    expect(await ask()).toBe(true)
    expect(asked).toBe(2)
    answer = json(200, '{"tuples":[{"allowed":false}]}')
    now += 9_999
    expect(await ask()).toBe(true)
    expect(asked).toBe(2)
    now += 1
    expect(await ask()).toBe(false)
    expect(asked).toBe(3)
  })

  it('is one for equal calls at the same time, and never shared by users or tenants', async () => {
    answer = json(200, '{"tuples":[{"allowed":true}]}')
    const check = open()
    const relation = { resourceType: 'doc', resource: '7', relation: 'owner' }
    asked = 0
    await Promise.all([check(relation, principal(ANN)), check(relation, principal(ANN))])
    await check(relation, principal(ANN))
    expect(asked).toBe(1)
    await check(relation, principal('U2bob'))
    await check(relation, principal(ANN, 'T1'))
    await check({ ...relation, resource: '8' }, principal(ANN))
    expect(asked).toBe(4)
  })
})
