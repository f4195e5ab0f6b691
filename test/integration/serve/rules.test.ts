import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ConfigInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

type Rules = NonNullable<NonNullable<ConfigInput['targets']>[string]['rules']>

const NAMES = ['read', 'deleteAll', 'transfer', 'wipe', 'lösche alles', `long_${'x'.repeat(60)}`]

const SECRET = 'canary-9f2c'

let identity: Identity
let target: RecordingTarget
let stack: Stack

const rules: Rules = [
  {
    when: 'tool.annotations.destructiveHint == true && !("admin" in caller.roles)',
    deny: 'no-dest',
  },
  { when: 'tool.name == "deleteAll" && caller.dct != "T1"', deny: 'Only for T1' },
  { when: 'tool.name == "transfer" && arguments.amount > 1000', deny: 'At most 1000' },
  { when: 'now > timestamp("2999-01-01T00:00:00Z")', deny: 'Too late' },
]

beforeAll(async () => {
  identity = await startIdentity({ clock })
  const tools = NAMES.map((name) => ({
    ...tool(name),
    annotations: { destructiveHint: name === 'wipe' },
  }))
  target = await startRecordingTarget({ tools })
  target.on('tools/call', () => ({ content: [] }))
  stack = await startStack({
    identity,
    targets: { t: { url: target.url, rules }, u: { url: target.url } },
  })
})
afterEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await target.close()
  await identity.close()
})

type Answered = {
  error: unknown
  result: { tools: { name: string }[]; cacheScope?: string }
}

const claims = { dct: 'T1', roles: ['admin'] }

async function send(at: Stack, message: object, as: object) {
  const authorization = `Bearer ${await at.token({ ...as })}`
  return readMessage(await at.post(message, { authorization }))
}

async function listed(at: Stack, as: object): Promise<string[]> {
  const { result } = await send(at, { jsonrpc: '2.0', id: 1, method: 'tools/list' }, as)
  return result.tools.map(({ name }: { name: string }) => name)
}

const call = (at: Stack, name: string, as: object, args: object | string = {}) =>
  typeof args === 'string'
    ? sendText(at, name, as, args)
    : send(
        at,
        { jsonrpc: '2.0', id: 'c', method: 'tools/call', params: { name, arguments: args } },
        as,
      )

async function sendText(at: Stack, name: string, as: object, args: string) {
  const authorization = `Bearer ${await at.token({ ...as })}`
  const text = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":${JSON.stringify(name)},"arguments":${args}}}`
  return readMessage(await at.post(text, { authorization }))
}

const nameIn = (message: { params?: unknown } | undefined) =>
  (message?.params as { name?: string } | undefined)?.name

const called = () => target.of('tools/call').map(({ message }) => nameIn(message))

describe('a tool that a rule denies', () => {
  it('is hidden from the list, and its call is refused with the reason and nothing else', async () => {
    const names = await listed(stack, { dct: 'T2' })
    expect(names).toContain('t_read')
    expect(names).not.toContain('t_wipe')
    expect(names).not.toContain('t_deleteAll')
    // the other target has no rules
    expect(names).toContain('u_wipe')
    const { error } = await call(stack, 't_deleteAll', { dct: 'T2' })
    const { code, message, data } = error
    expect({ code, message }).toEqual({ code: -32602, message: 'Only for T1' })
    expect(Object.keys(data)).toEqual(['requestId'])
    expect((await call(stack, 't_wipe', { dct: 'T2' })).error.message).toBe('no-dest')
    expect(called()).toEqual([])
    const record = stack.logs().findLast(({ event }) => event === 'request')
    expect(record).toMatchObject({ refusal: 'policy', rule: 'rules[0]', target: 't' })
  })

  it('is there for callers whom no rule is about', async () => {
    expect(await listed(stack, claims)).toEqual(expect.arrayContaining(['t_wipe', 't_deleteAll']))
    expect((await call(stack, 't_wipe', claims)).result).toBeDefined()
    expect(called()).toEqual(['wipe'])
  })

  it('is refused where a claim that the rule needs is not there, and the log says why', async () => {
    const names = await listed(stack, { roles: ['admin'] })
    expect(names).not.toContain('t_deleteAll')
    const { error } = await call(stack, 't_deleteAll', { roles: ['admin'] })
    expect(error.message).toBe('Only for T1')
    expect(stack.logs()).toContainEqual(
      expect.objectContaining({ event: 'rule_failed', rule: 'rules[1]', code: 'no_such_key' }),
    )
    expect(called()).toEqual([])
  })

  it('stays denied however its name is written', async () => {
    for (const name of [
      't_DELETEALL',
      't_deleteall',
      't_deleteAll ',
      't_ｄeleteAll',
      'deleteAll',
      't_none',
    ]) {
      const { error } = await call(stack, name, { dct: 'T2' })
      expect([name, error.code, error.message]).toEqual([name, -32602, `Unknown tool: ${name}`])
    }
    expect(called()).toEqual([])
  })
})

describe('a rule about arguments', () => {
  it('is asked on a call alone', async () => {
    expect(await listed(stack, claims)).toContain('t_transfer')
    expect((await call(stack, 't_transfer', claims, { amount: 10 })).result).toBeDefined()
    const { error } = await call(stack, 't_transfer', claims, { amount: 5000 })
    expect(error.message).toBe('At most 1000')
    expect((await call(stack, 't_read', claims, { amount: 5000 })).result).toBeDefined()
    expect(called()).toEqual(['transfer', 'read'])
  })

  it.each([
    '{}',
    `{"amount":"${SECRET}"}`,
    '{"amount":5,"amount":5000}',
    '{"amount":5,"Amount":5000}',
    '{"amount":9007199254740993}',
    'null',
    '[5]',
  ])('denies what it cannot be evaluated with: %s', async (args) => {
    const { error } = await call(stack, 't_transfer', claims, args)
    expect(error.message).toBe('At most 1000')
    expect(called()).toEqual([])
    expect(stack.logText()).not.toContain(SECRET)
  })
})

it('a call before any list waits for the list, once for all', async () => {
  const fresh = await startStack({ identity, targets: { t: { url: target.url, rules } } })
  const answers = await Promise.all(
    ['t_wipe', 't_read', 't_wipe'].map((name) => call(fresh, name, { dct: 'T1' })),
  )
  expect(answers.map(({ error }) => error?.message)).toEqual(['no-dest', undefined, 'no-dest'])
  expect(target.of('tools/list')).toHaveLength(1)
  await call(fresh, 't_read', { dct: 'T1' })
  expect(target.of('tools/list')).toHaveLength(1)
  await fresh.close()
})

it('decides in the stateless protocol as in sessions', async () => {
  const modern = await startModernRecordingTarget({
    tools: ['wipe', 'transfer'].map((name) => {
      return { ...tool(name), annotations: { destructiveHint: name === 'wipe' } }
    }),
  })
  const at = await startStack({ identity, targets: { t: { url: modern.url, rules } } })
  const ask = async (method: string, params: object = {}) =>
    (await postStateless(at, modernRequest(method, params))).message as Answered
  const wiped = await ask('tools/call', { name: 't_wipe', arguments: {} })
  expect(wiped.error).toMatchObject({ code: -32602, message: 'no-dest' })
  const large = await ask('tools/call', { name: 't_transfer', arguments: { amount: 5000 } })
  expect(large.error).toMatchObject({ code: -32602, message: 'At most 1000' })
  const { result } = await ask('tools/list')
  expect(result.tools.map(({ name }) => name)).toEqual(['t_transfer'])
  expect(result.cacheScope ?? 'private').toBe('private')
  expect(modern.of('tools/call')).toEqual([])
  await at.close()
  await modern.close()
})

it('lists exactly what may be called, whatever the policy, the rules and the names', async () => {
  const conditions = [
    'tool.name == "read"',
    'tool.name.startsWith("d")',
    'tool.annotations.destructiveHint',
    '"admin" in caller.roles',
    'caller.dct == "T1"',
    'has(caller.dct)',
    'target == "t"',
    'now < timestamp("2000-01-01T00:00:00Z")',
    'caller.nothing == 1',
    'tool.name.matches("^(l.*)+$")',
  ]
  const condition = fc
    .array(fc.tuple(fc.boolean(), fc.constantFrom(...conditions)), { minLength: 1, maxLength: 3 })
    .chain((parts) =>
      fc
        .constantFrom(' && ', ' || ')
        .map((by) => parts.map(([no, it]) => (no ? `!(${it})` : it)).join(by)),
    )
  const policy = fc.record({
    rules: fc.array(
      condition.map((when) => ({ when, deny: 'no' })),
      { minLength: 1, maxLength: 4 },
    ),
    deny: fc.subarray(['DELETEALL', 'w*'], { maxLength: 1 }),
    prefix: fc.constantFrom('', 't'),
    as: fc.constantFrom({}, { dct: 'T1' }, { roles: ['admin'] }, { dct: 'T2', roles: ['admin'] }),
    callsFirst: fc.boolean(),
  })
  const exposed = new Map<string, string[]>()
  for (const prefix of ['', 't']) {
    const plain = await startStack({ identity, targets: { t: { url: target.url, prefix } } })
    exposed.set(prefix, await listed(plain, {}))
    await plain.close()
  }
  await fc.assert(
    fc.asyncProperty(policy, async ({ rules: given, deny, prefix, as, callsFirst }) => {
      const at = await startStack({
        identity,
        targets: { t: { url: target.url, rules: given, tools: { deny }, prefix } },
      })
      try {
        const callable: string[] = []
        const first = callsFirst ? undefined : await listed(at, as)
        for (const name of exposed.get(prefix) ?? []) {
          const { result } = await call(at, name, as)
          if (result !== undefined) callable.push(name)
          const other = await call(at, name.toUpperCase(), as)
          if (result === undefined) expect(other.result).toBeUndefined()
        }
        const list = first ?? (await listed(at, as))
        expect(callable.sort()).toEqual([...list].sort())
      } finally {
        await at.close()
      }
    }),
    { numRuns: 8 },
  )
})
