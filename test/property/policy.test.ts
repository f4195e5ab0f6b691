import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { isObject, tryParseJson } from '../../src/util/json.js'
import { startStack } from '../helpers/stack.js'
import { tool } from '../helpers/targets/contents.js'
import { startRecordingTarget } from '../helpers/targets/recording.js'

const names = [
  ...[
    'echo',
    'delete',
    'DELETE',
    'deletE',
    'ｄelete',
    'dele\u200bte',
    'delete ',
    'admin',
    'reserved',
  ],
  ...['__proto__', 'constructor', 'a/b', 'lösche', 'secret_x', 'SECRET_x', '\u017fecret_x'],
]
const tools = {
  deny: ['delete', 'secret_*'],
  roles: { admin: ['boss'] },
  tenants: { reserved: ['T1'] },
}
/** What a lenient target may take for a tool that nobody here may call. */
function isWithheld(name: unknown): boolean {
  const plain = String(name)
    .normalize('NFKC')
    .replace(/[\p{Cf}\s]/gu, '')
    .toLowerCase()
  return /^(delete|admin|reserved)$|^secret_/.test(plain)
}

const target = await startRecordingTarget({
  sessions: 'required',
  sse: { eventIds: true },
  tools: names.map((name) => tool(name)),
})
target.on('tools/call', () => ({ content: [] }))
const one = await startStack({ targets: { t: { url: target.url, tools, prefix: '' } } })
const two = await startStack({
  identity: one.identity,
  targets: { t: { url: target.url, tools }, u: { url: target.url, tools } },
})
afterAll(async () => {
  await two.close()
  await open.close()
  await one.close()
  await sessionless.close()
  await target.close()
})

const sessionless = await startRecordingTarget({
  sse: { eventIds: true },
  tools: [tool('echo')],
})
const open = await startStack({
  identity: one.identity,
  targets: { t: { url: sessionless.url, prefix: '' } },
})

/** What arrived; that sessions which nobody uses are ended is none of a caller's doing. */
const arrivals = () => target.requests.filter(({ method }) => method !== 'DELETE')

const accept = 'application/json, text/event-stream'
const [mine, theirs] = await Promise.all([one.token({ sub: 'me' }), one.token({ sub: 'them' })])
const both = (of: typeof one) => Promise.all(['me', 'them'].map((sub) => of.token({ sub })))
const tokenOf = { one: [mine, theirs], two: await both(two), open: await both(open) }

/** Sends bytes as they are; an answer that never comes fails the test. */
async function send(
  of: typeof one,
  body: string | Uint8Array | undefined,
  headers: Record<string, string>,
  method = 'POST',
) {
  const response = await fetch(of.url, {
    method,
    headers: { 'content-type': 'application/json', accept, ...headers },
    ...(body !== undefined && { body: body as string }),
    signal: AbortSignal.timeout(15_000),
  })
  const isOpen = method === 'GET' && response.status === 200
  if (isOpen) await response.body?.cancel()
  return { status: response.status, text: isOpen ? '' : await response.text() }
}

async function openSession(of: typeof one, token: string): Promise<string> {
  const response = await fetch(of.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${token}` },
    body: JSON.stringify({
      ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
      params: {
        protocolVersion: '2025-11-25',
        capabilities: {},
        clientInfo: { name: 'c', version: '1' },
      },
    }),
  })
  await response.text()
  return response.headers.get('mcp-session-id') ?? ''
}

const spelled = (text: string) =>
  fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 8 }).map((choices) =>
    [...JSON.stringify(text).slice(1, -1)]
      .map((sign, at) => {
        const isPlain = /[a-zA-Z/_]/.test(sign)
        const code = sign.charCodeAt(0).toString(16).padStart(4, '0')
        return isPlain && choices[at % choices.length] === 1 ? `\\u${code}` : sign
      })
      .join(''),
  )
const exposed = fc
  .constantFrom(...names, 'missing')
  .chain((name) => fc.constantFrom(name, `t_${name}`, `u_${name}`, `T_${name}`, `t_t_${name}`))
const named = exposed.chain((name) => spelled(name).map((text) => `"${text}"`))
const key = (name: string) =>
  fc.oneof(
    { weight: 5, arbitrary: spelled(name) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(name.toUpperCase(), name.replace('e', 'E'), `${name} `),
    },
    { weight: 1, arbitrary: fc.constant(name.replace('s', '\u017f').replace('k', '\u212a')) },
  )
const gap = fc.constantFrom('', ' ', '\n', '\t', '\r\n')
const params = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.tuple(key('name'), named) },
      fc.tuple(key('arguments'), fc.oneof(fc.json(), fc.constant('{"name":"delete"}'))),
      fc.tuple(fc.constantFrom('_meta', 'task', '__proto__', 'x'), fc.json()),
    ),
    { maxLength: 3 },
  )
  .map((members) => `{${members.map(([name, value]) => `"${name}":${value}`).join(',')}}`)
const method = fc.oneof(
  { weight: 6, arbitrary: spelled('tools/call') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'Tools/Call',
      'TOOLS/CALL',
      'tool\u017f/call',
      'tools/call ',
      'tools//call',
    ),
  },
  { weight: 1, arbitrary: fc.constantFrom('tools/list', 'ping', 'tasks/result', 'x/y') },
)
const message = fc
  .array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.tuple(
          key('method'),
          method.map((text) => `"${text}"`),
        ),
      },
      { weight: 4, arbitrary: fc.tuple(key('params'), params) },
      fc.tuple(key('id'), fc.constantFrom('1', '"x"', 'null', '{}', '1e400', '-0')),
      fc.tuple(fc.constantFrom('result', 'error', '__proto__'), params),
    ),
    { maxLength: 4 },
  )
  .chain((members) => gap.map((between) => ({ members, between })))
  .map(({ members, between }) => {
    const all = [['jsonrpc', '"2.0"'], ['id', '7'], ...members]
    return `{${all.map(([name, value]) => `${between}"${name}"${between}:${value}`).join(',')}}`
  })
const call = fc.tuple(named, method, gap).map(([name, of, between]) => {
  const given = `"params":${between}{"name":${between}${name},"arguments":{}}`
  return `{"jsonrpc":"2.0",${between}"id":7,"method":"${of}",${given}${between}}`
})
const body = fc.oneof(
  { weight: 4, arbitrary: call },
  { weight: 4, arbitrary: message },
  { weight: 1, arbitrary: fc.array(call, { maxLength: 3 }).map((calls) => `[${calls.join(',')}]`) },
  { weight: 1, arbitrary: call.map((text) => new Uint8Array(Buffer.from(text, 'utf16le'))) },
  { weight: 1, arbitrary: call.map((text) => new Uint8Array(Buffer.from(text, 'latin1'))) },
)

/** What a lenient reader may take for the tool that is called. */
function calledTools(text: string): unknown[] {
  const value = tryParseJson(text)
  return [value].flat().flatMap((item) => {
    const given = isObject(item) ? item['params'] : undefined
    const isCall = /call/i.test(JSON.stringify(isObject(item) ? item : {}))
    return isCall && isObject(given) ? [given['name']] : []
  })
}

describe('a policy, whatever bytes a caller sends', () => {
  it('admits each tool that arrives at the target, and those that it admits do arrive', async () => {
    const arrived = new Set<unknown>()
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom('one', 'two'), async (bytes, at) => {
        target.clear()
        const of = { one, two }[at]
        const { status } = await send(of, bytes, { authorization: `Bearer ${tokenOf[at][0]}` })
        expect([200, 202, 400, 403, 404, 413, 415]).toContain(status)
        for (const { body: text } of target.requests) {
          for (const name of calledTools(String(text))) {
            expect([name, isWithheld(name)]).toEqual([name, false])
            arrived.add(name)
          }
        }
      }),
      { numRuns: 400 },
    )
    expect([...arrived]).toContain('echo')
    expect(arrived.size).toBeGreaterThan(2)
  }, 60_000)

  it('lists what it admits and nothing else', async () => {
    const text = (
      await send(one, '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', {
        authorization: `Bearer ${mine}`,
      })
    ).text
    for (const name of ['delete', 'DELETE', 'admin', 'reserved', 'secret_x', 'SECRET_x']) {
      expect(text).not.toContain(`"name":"${name}"`)
    }
    expect(text).toContain('"name":"echo"')
  })

  it('reaches the target for nobody whose token is not whole', async () => {
    const mutated = fc
      .tuple(fc.nat(), fc.constantFrom('', 'A', '.', '=', 'é', ' ', '\\'))
      .map(([at, put]) => {
        const place = at % mine.length
        return mine.slice(0, place) + put + mine.slice(place + 1)
      })
      .filter((token) => token !== mine && /^[\x20-\x7e]+$/.test(token) && !isSameToken(token))
    await fc.assert(
      fc.asyncProperty(body, mutated, async (bytes, token) => {
        target.clear()
        const { status } = await send(one, bytes, { authorization: `Bearer ${token}` })
        expect([400, 401]).toContain(status)
        expect(arrivals()).toEqual([])
      }),
      { numRuns: 80 },
    )
  }, 60_000)
})

/** The last sign of a signature holds bits that mean nothing. */
const isSameToken = (token: string) =>
  Buffer.from(token.split('.')[2] ?? '', 'base64url').equals(
    Buffer.from(mine.split('.')[2] ?? '', 'base64url'),
  ) && token.split('.').slice(0, 2).join('.') === mine.split('.').slice(0, 2).join('.')

describe('a session of somebody else, or of nobody', () => {
  it.each(['one', 'two'] as const)(
    'opens nothing, behind %s target(s)',
    async (at) => {
      const of = { one, two }[at]
      const [me = '', them = ''] = tokenOf[at]
      const [own, other] = [await openSession(of, me), await openSession(of, them)]
      expect(own.length * other.length).toBeGreaterThan(0)
      const session = fc
        .oneof(
          fc.constantFrom(
            other,
            own.toUpperCase(),
            `${own}a`,
            own.slice(1),
            own.slice(0, -2),
            `${own},${own}`,
          ),
          fc.constantFrom(...target.sessions, '__proto__', 'undefined', 'null', '0'),
          fc.tuple(fc.nat(), fc.constantFrom(...'aZ09-_.~')).map(([place, put]) => {
            const index = place % (own.length - 1)
            return own.slice(0, index) + put + own.slice(index + 1)
          }),
          fc.string({ unit: fc.constantFrom(...'abZ019.-_~'), minLength: 1, maxLength: 400 }),
        )
        .filter((id) => id !== own)
      const verb = fc.constantFrom('POST', 'GET', 'DELETE')
      const last = fc.oneof(
        fc.constantFrom(undefined, '1', 'a', '__proto__', own, other),
        fc.string({ unit: fc.constantFrom(...'ab01.-_:|'), minLength: 1, maxLength: 200 }),
      )
      await fc.assert(
        fc.asyncProperty(session, verb, last, async (id, how, lastId) => {
          target.clear()
          const bytes = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
          const headers = {
            authorization: `Bearer ${me}`,
            'mcp-session-id': id,
            ...(lastId !== undefined && how === 'GET' && { 'last-event-id': lastId }),
          }
          const { status } = await send(of, how === 'POST' ? bytes : undefined, headers, how)
          expect([400, 404]).toContain(status)
          expect(arrivals()).toEqual([])
        }),
        { numRuns: 60 },
      )
      // neither of the two was hurt
      for (const [token, id] of [
        [me, own],
        [them, other],
      ] as const) {
        const headers = { authorization: `Bearer ${token}`, 'mcp-session-id': id }
        const list = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
        expect((await send(of, list, headers)).status).toBe(200)
      }
    },
    60_000,
  )

  it.each([
    ['two targets', 'two'],
    ['a target without sessions', 'open'],
  ] as const)(
    'resumes no stream of theirs, behind %s',
    async (_behind, at) => {
      const [of, asked] = at === 'two' ? [two, target] : [open, sessionless]
      const [me = '', them = ''] = tokenOf[at]
      const [own, other] = [await openSession(of, me), await openSession(of, them)]
      const prefix = at === 'two' ? 't_' : ''
      asked.on('tools/call', async (_params, exchange) => {
        await exchange.notify('notifications/message', { level: 'info', data: 'theirs' })
        return { content: [{ type: 'text', text: 'theirs' }] }
      })
      const theirCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${prefix}echo","arguments":{}}}`
      const { text } = await send(of, theirCall, {
        authorization: `Bearer ${them}`,
        ...(other && { 'mcp-session-id': other }),
      })
      expect(text).toContain('theirs')
      const ids = [...text.matchAll(/^id: ?(.+)$/gm)].map(([, id = '']) => id)
      expect(ids.length).toBeGreaterThan(0)
      const known = fc.constantFrom(...ids)
      const lastId = fc.oneof(
        known,
        fc.tuple(known, fc.nat(), fc.constantFrom(...'aZ09')).map(([id, place, put]) => {
          const index = place % id.length
          return id.slice(0, index) + put + id.slice(index + 1)
        }),
      )
      await fc.assert(
        fc.asyncProperty(lastId, async (id) => {
          asked.clear()
          const response = await fetch(of.url, {
            headers: {
              ...{ accept: 'text/event-stream', authorization: `Bearer ${me}` },
              ...(own && { 'mcp-session-id': own }),
              'last-event-id': id,
            },
            signal: AbortSignal.timeout(15_000),
          })
          await response.body?.cancel()
          expect([200, 400, 404, 405]).toContain(response.status)
          // whatever is asked of the target carries none of the ids that it gave to others
          for (const { headers } of asked.requests) expect(headers['last-event-id']).toBeUndefined()
        }),
        { numRuns: 25 },
      )
      asked.on('tools/call', () => ({ content: [] }))
    },
    60_000,
  )
})
