import type { ServerResponse } from 'node:http'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { isObject, tryParseJson } from '../../src/util/json.js'
import { startStack } from '../helpers/stack.js'
import { startRecordingTarget } from '../helpers/targets/recording.js'

/** What the target answers a list or a call with, and how its bytes are cut. */
let script: { bytes: Buffer; cuts: readonly number[]; type: string }

const target = await startRecordingTarget({
  intercept: ({ rpc }, response) => {
    if (rpc !== 'tools/list' && rpc !== 'tools/call') return false
    response.writeHead(200, { 'content-type': script.type })
    void writeCut(response)
    return true
  },
})
const tools = { deny: ['hidden*'], roles: { admin: ['boss'] } }
const one = await startStack({ targets: { t: { url: target.url, tools, prefix: '' } } })
const other = await startRecordingTarget()
const two = await startStack({
  identity: one.identity,
  targets: { t: { url: target.url, tools }, o: { url: other.url } },
})
afterAll(async () => {
  await two.close()
  await one.close()
  await Promise.all([target.close(), other.close()])
})

async function writeCut(response: ServerResponse): Promise<void> {
  const { bytes, cuts } = script
  let from = 0
  for (const cut of [...cuts, bytes.length]) {
    const to = Math.min(bytes.length, from + cut)
    if (to > from) response.write(bytes.subarray(from, to))
    from = to
    // pieces that are written in one turn arrive as one
    await new Promise((resolve) => setImmediate(resolve))
  }
  response.end()
}

const HIDDEN = ['hidden', 'hidden_x', 'HIDDEN', 'ｈidden', 'hid\u200bden', 'admin']
const name = fc.constantFrom('fine', 'also fine', 'lösche', '__proto__', ...HIDDEN)
const toolText = fc
  .tuple(
    name,
    fc.constantFrom('', ',"description":"hidden"', ',"__proto__":{}', ',"_meta":{"x":1}'),
  )
  .chain(([given, more]) =>
    fc.constantFrom(
      `{"name":${JSON.stringify(given)},"inputSchema":{"type":"object"}${more}}`,
      `{"inputSchema":{"type":"object"},"n\\u0061me":${JSON.stringify(given)}${more}}`,
      // which of the two does a client read?
      `{"name":"fine","inputSchema":{},"name":${JSON.stringify(given)}}`,
      `{"name":${JSON.stringify(given)},"inputSchema":{},"name":"fine"}`,
    ),
  )
const odd = fc.constantFrom(
  'null',
  '7',
  '"hidden"',
  '[]',
  '{}',
  '{"name":7}',
  '{"name":["hidden"]}',
)
const list = fc
  .tuple(
    fc.array(fc.oneof({ weight: 4, arbitrary: toolText }, { weight: 1, arbitrary: odd }), {
      maxLength: 5,
    }),
    fc.constantFrom(
      '',
      ',"nextCursor":""',
      ',"nextCursor":null',
      ',"nextCursor":"x"',
      ',"tools":[]',
    ),
  )
  .chain(([all, more]) =>
    fc.constantFrom(
      `{"tools":[${all.join(',')}]${more}}`,
      `{"t\\u006fols":[${all.join(', ')}]}`,
      `{"tools":[],"tools":[${all.join(',')}]}`,
      `{"tools":[${all.join(',')}],"tools":[]}`,
      `{"tools":{"0":${all[0] ?? '{}'}}}`,
    ),
  )
const response = (result: string) =>
  fc.constantFrom(
    `{"jsonrpc":"2.0","id":7,"result":${result}}`,
    `{"result":${result},"jsonrpc":"2.0","id":7}`,
    `{"jsonrpc":"2.0","id":"7","result":${result}}`,
    `[{"jsonrpc":"2.0","id":7,"result":${result}}]`,
    `{"jsonrpc":"2.0","id":7,"result":{"tools":[]},"result":${result}}`,
    `{"jsonrpc":"2.0","id":7,"result":${result},"error":null}`,
    `{"jsonrpc":"2.0","id":8,"result":${result}}`,
    `\ufeff{"jsonrpc":"2.0","id":7,"result":${result}}`,
  )
const noise = fc.oneof(
  fc.constantFrom(
    ...[
      ': comment',
      'event: ping\ndata: ping',
      'data: {"type":"heartbeat"}',
      'id: 5',
      'retry: 1',
      'data',
    ],
    'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}',
    'data: {"jsonrpc":"2.0","id":99,"result":{"tools":[{"name":"hidden"}]}}',
    'event: message\ndata: {"jsonrpc":"2.0"}',
    'data: {"jsonrpc":"2.0","id":7',
    'data: \u0000',
  ),
  fc.string({ maxLength: 8 }).map((text) => `data: ${text.replace(/[\r\n]/g, '')}`),
)
const newline = fc.constantFrom('\n', '\r\n', '\r')
/** A response as one event, on one `data` line or on several. */
const event = (text: string) =>
  fc.constantFrom(
    `event: message\ndata: ${text}`,
    `data:${text}`,
    `id: 1\ndata: ${text.replaceAll(',', ',\ndata: ')}`,
    `event: other\ndata: ${text}`,
    `data: ${text}\nevent: message`,
  )
const stream = (result: fc.Arbitrary<string>) =>
  fc
    .tuple(
      fc.array(noise, { maxLength: 3 }),
      fc.array(result.chain(response).chain(event), { minLength: 1, maxLength: 2 }),
      fc.array(noise, { maxLength: 2 }),
      newline,
      fc.boolean(),
    )
    .map(([before, events, after, end, ended]) => {
      const text = [...before, ...events, ...after].join('\n\n') + (ended ? '\n\n' : '')
      return { text: text.replaceAll('\n', end), type: 'text/event-stream' }
    })
const json = (result: fc.Arbitrary<string>) =>
  result.chain(response).map((text) => ({ text, type: 'application/json' }))
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 })

/** Sends a request; an answer that never comes fails the test. */
async function ask(of: typeof one, method: string, params: object, accept: string) {
  const answer = await fetch(of.url, {
    method: 'POST',
    headers: {
      ...{ 'content-type': 'application/json', accept },
      authorization: `Bearer ${await of.token()}`,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 7, method, params }),
    signal: AbortSignal.timeout(15_000),
  })
  const text = await answer.text()
  const isStream = answer.headers.get('content-type')?.includes('text/event-stream') === true
  return { status: answer.status, text, messages: isStream ? eventsOf(text) : [parsed(text)] }
}

const eventsOf = (text: string) =>
  text
    .replace(/\r\n?/g, '\n')
    .split('\n\n')
    .map((part) =>
      part
        .split('\n')
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5))
        .join('\n'),
    )
    .filter((data) => data.trim() !== '')
    .map(parsed)

function parsed(text: string) {
  const value = tryParseJson(text)
  if (!isObject(value)) throw new Error(`no message of JSON-RPC: ${text.slice(0, 200)}`)
  expect(value['jsonrpc']).toBe('2.0')
  return value
}

const accepts = fc.constantFrom('application/json, text/event-stream', 'text/event-stream', '*/*')
const servers = fc.constantFrom('one', 'two')

describe('what a target streams', () => {
  it('shows no tool that is hidden, in whatever shape the list comes', async () => {
    let shown = 0
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(stream(list), json(list)),
        cuts,
        servers,
        accepts,
        async ({ text, type }, pieces, at, accept) => {
          script = { bytes: Buffer.from(text), cuts: pieces, type }
          const answer = await ask({ one, two }[at], 'tools/list', {}, accept)
          expect([200, 502]).toContain(answer.status)
          for (const message of answer.messages) {
            // a name in a description is a text like any other
            const written = JSON.stringify(message).replaceAll('"description":"hidden"', '')
            expect(written).not.toMatch(/hidden|ｈidden|hid\u200bden|"admin"|_admin"/i)
            if (written.includes('fine')) shown += 1
          }
          const answers = answer.messages.filter(({ method }) => method === undefined)
          // a stream with an event id may end before its answer: it is gone on with
          if (answers.length === 0 && /^id: ?./m.test(text.replace(/\r/g, '\n'))) return
          expect(answers).toHaveLength(1)
          expect(answers[0]?.['id']).toBe(7)
        },
      ),
      { numRuns: 250 },
    )
    expect(shown).toBeGreaterThan(20)
  }, 60_000)

  it('gives each call one answer, under its own id', async () => {
    const result = fc.oneof(
      fc.constantFrom('{"content":[]}', '{}', 'null', '7', '{"content":[],"content":[]}'),
      fc.json().map((value) => `{"content":[],"structuredContent":${value}}`),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(stream(result), json(result)),
        cuts,
        servers,
        accepts,
        async ({ text, type }, pieces, at, accept) => {
          script = { bytes: Buffer.from(text), cuts: pieces, type }
          const name = at === 'one' ? 'fine' : 't_fine'
          const answer = await ask({ one, two }[at], 'tools/call', { name, arguments: {} }, accept)
          expect([200, 502]).toContain(answer.status)
          const answers = answer.messages.filter(({ method }) => method === undefined)
          // a stream with an event id may end before its answer: it is gone on with
          if (answers.length === 0 && /^id: ?./m.test(text.replace(/\r/g, '\n'))) return
          expect(answers).toHaveLength(1)
          expect(answers[0]?.['id']).toBe(7)
          const { result, error } = answers[0] ?? {}
          expect((result === undefined) !== (error == null)).toBe(true)
        },
      ),
      { numRuns: 250 },
    )
  }, 60_000)

  it('reads the same however its bytes are cut', async () => {
    const whole = '{"content":[{"type":"text","text":"ü €😀 ü"}]}'
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 60, maxLength: 120 }),
        newline,
        servers,
        async (pieces, end, at) => {
          const text = `event: message\nid: 1\ndata: {"jsonrpc":"2.0","id":7,"result":${whole}}\n\n`
          const bytes = Buffer.from(text.replaceAll('\n', end))
          script = { bytes, cuts: pieces, type: 'text/event-stream' }
          const name = at === 'one' ? 'fine' : 't_fine'
          const accept = 'application/json, text/event-stream'
          const { messages } = await ask({ one, two }[at], 'tools/call', { name }, accept)
          expect(messages).toEqual([{ jsonrpc: '2.0', id: 7, result: JSON.parse(whole) }])
        },
      ),
      { numRuns: 40 },
    )
  }, 60_000)
})
