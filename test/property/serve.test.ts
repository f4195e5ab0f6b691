import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { startStack } from '../helpers/stack.js'
import { startRecordingTarget } from '../helpers/targets/recording.js'

const ALLOWED = 'echo'
const names = ['echo', 'delete', 'ECHO', 'echo ', 'docs_echo', '__proto__', 'ec\u0000ho', '']
const target = await startRecordingTarget({
  tools: names.map((name) => ({ name, inputSchema: { type: 'object' } })),
})
const stack = await startStack({
  targets: { docs: { url: target.url, tools: { allow: [ALLOWED], deny: [] } } },
})
let events = ''
const noisy = await startRecordingTarget({
  intercept: (request, response) => {
    if (!String(request.body).includes('tools/call')) return false
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events)
    return true
  },
})
const behind = await startStack({ targets: { noisy: noisy.url } })

afterAll(async () => {
  await Promise.all([stack.close(), behind.close()])
  await Promise.all([target.close(), noisy.close()])
})

/** Sends bytes as they are; an answer that never comes fails the test. */
async function send(
  of: typeof stack,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
) {
  const response = await fetch(of.url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      authorization: `Bearer ${await of.token()}`,
      ...headers,
    },
    body: body as RequestInit['body'] & string,
    signal: AbortSignal.timeout(15_000),
  })
  return { status: response.status, text: await response.text() }
}

const exposed = fc.constantFrom(...names.flatMap((name) => [name, `docs_${name}`]))
const member = fc.oneof(
  exposed.map((name) => `"name":${JSON.stringify(name)}`),
  exposed.map((name) => `"n\\u0061me":${JSON.stringify(name)}`),
  fc.constantFrom(
    '"arguments":{}',
    '"arguments":{"name":"delete"}',
    '"_meta":{}',
    '"NAME":"delete"',
  ),
  fc.json().map((value) => `"arguments":${value}`),
)
const call = fc
  .tuple(
    fc.constantFrom('1', '"a"', 'null', '1.5', '9007199254740993', '{}'),
    fc.array(member, { maxLength: 4 }),
    fc.constantFrom('', ',"method":"ping"', ',"params":{"name":"docs_delete"}', ',"jsonrpc":"1.0"'),
  )
  .map(
    ([id, members, more]) =>
      `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{${members.join(',')}}${more}}`,
  )
const bytes = fc.oneof(
  { weight: 4, arbitrary: call },
  { weight: 1, arbitrary: call.map((text) => `[${text}]`) },
  { weight: 1, arbitrary: call.map((text) => `\ufeff${text}`) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 400 }) },
  {
    weight: 2,
    arbitrary: fc.tuple(call, fc.nat(), fc.nat({ max: 255 })).map(([text, at, byte]) => {
      const changed = Buffer.from(text)
      changed[at % changed.length] = byte
      return new Uint8Array(changed)
    }),
  },
)

describe('serve, given whatever bytes', () => {
  it('answers, and lets only the tool reach the target that the policy allows', async () => {
    await fc.assert(
      fc.asyncProperty(bytes, async (body) => {
        const before = target.requests.length
        const { status } = await send(stack, body)
        expect([200, 202, 400, 403, 404, 413, 415]).toContain(status)
        for (const { body: arrived } of target.requests.slice(before)) {
          const message = JSON.parse(String(arrived || '{}'))
          if (message.method === 'tools/call') expect(message.params.name).toBe(ALLOWED)
        }
      }),
      { numRuns: 150 },
    )
    const { status } = await send(
      stack,
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"docs_echo","arguments":{}}}',
    )
    expect(status).toBe(200)
  }, 60_000)

  it('lets nothing reach the target without a token', async () => {
    const header = fc.oneof(
      fc.constantFrom('Bearer', 'Bearer ', 'Basic YTpi', 'bearer null', 'Bearer a.b.c', 'DPoP x'),
      fc.string({ unit: fc.constantFrom(...'Bearer .-_=eyJ'), maxLength: 60 }),
    )
    await fc.assert(
      fc.asyncProperty(call, header, async (body, authorization) => {
        const before = target.requests.length
        const { status } = await send(stack, body, { authorization: authorization.trim() || 'x' })
        expect([400, 401]).toContain(status)
        expect(target.requests.length).toBe(before)
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  it('takes no session id that it did not make', async () => {
    const id = fc.string({
      unit: fc.constantFrom(...'abcXYZ019.-_~'),
      minLength: 1,
      maxLength: 300,
    })
    await fc.assert(
      fc.asyncProperty(id, async (session) => {
        const before = target.requests.length
        const ping = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'
        const { status } = await send(stack, ping, { 'mcp-session-id': session })
        expect(status).toBe(404)
        expect(target.requests.length).toBe(before)
      }),
      { numRuns: 60 },
    )
  }, 60_000)

  it('answers a call whatever the stream of its target holds', async () => {
    const answer = '{"jsonrpc":"2.0","id":7,"result":{"content":[]}}'
    const line = fc.oneof(
      fc.constantFrom('data: ', 'event: message', 'id: 1', 'retry: x', ':', '', '\r', 'data'),
      fc.constantFrom(`data: ${answer}`, 'data: {"jsonrpc":"2.0","method":"notifications/x"}'),
      fc.json().map((value) => `data: ${value}`),
      fc.string().map((value) => `data: ${value}`),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 12 }), async (lines) => {
        events = lines.join('\n')
        const body =
          '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"noisy_x","arguments":{}}}'
        const { status, text } = await send(behind, body)
        expect(status).toBe(200)
        // a stream that ends behind an event with an id can be resumed
        expect(text).toMatch(/"id":\s*7\b|^id: \S/m)
      }),
      { numRuns: 80 },
    )
  }, 60_000)
})
