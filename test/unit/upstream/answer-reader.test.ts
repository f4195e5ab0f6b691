import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sendAndWait } from '../../../src/gateway/forwarding/collect-answer.js'
import { createTarget } from '../../../src/gateway/target.js'
import { STATELESS_VERSION } from '../../../src/mcp/versions.js'
import { AnswerReader, readAnswer } from '../../../src/upstream/answer-reader.js'
import { createTranslatingUpstream } from '../../../src/upstream/detection.js'
import type { Upstream, UpstreamController } from '../../../src/upstream/upstream.js'
import { createClock } from '../../../src/util/async.js'
import { openUpstream } from '../../helpers/upstream.js'
import { OPEN_TOOLS } from '../gateway/support.js'

type Answer = (response: ServerResponse) => void

const RESPONSE = '{"jsonrpc":"2.0","id":1,"result":{"resources":[]}}'

const FOREIGN = '{"jsonrpc":"2.0","id":99,"result":{}}'

const NOTIFICATION = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}'

const ERROR = (id: string) =>
  `{"jsonrpc":"2.0",${id}"error":{"code":-32602,"message":"no such cursor"}}`

const BOM = '\ufeff'

const send =
  (status: number, type: string | undefined, body: string): Answer =>
  (response) => {
    if (type !== undefined) response.setHeader('content-type', type)
    response.writeHead(status).end(body)
  }

const json = (body: string) => send(200, 'application/json', body)

const events = (...data: string[]) =>
  send(200, 'text/event-stream', data.map((text) => `data: ${text}\n\n`).join(''))

const JSON_65_MIB: Answer = (response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  const piece = Buffer.alloc(1024 * 1024, ' ')
  for (let i = 0; i < 65; i++) response.write(piece)
  response.end(RESPONSE)
}

const cutOff =
  (type: string): Answer =>
  (response) => {
    response.writeHead(200, { 'content-type': type, 'content-length': '1000' })
    response.write('data: {"json', () => response.destroy())
  }

/** What every reader makes of an answer. */
const CASES: readonly (readonly [what: string, answer: Answer, verdict: string])[] = [
  ['JSON', json(RESPONSE), 'response'],
  ['JSON with a charset', send(200, 'application/json; charset=utf-8', RESPONSE), 'response'],
  ['JSON in capitals', send(200, 'Application/JSON', RESPONSE), 'response'],
  ['JSON behind a byte order mark', json(BOM + RESPONSE), 'response'],
  ['JSON behind a notification in an array', json(`[${NOTIFICATION},${RESPONSE}]`), 'response'],
  ['JSON under the id as text', json(RESPONSE.replace('"id":1', '"id":"1"')), 'response'],
  ['JSON as plain text', send(200, 'text/plain', RESPONSE), 'invalid_answer'],
  ['JSON without a type', send(200, undefined, RESPONSE), 'invalid_answer'],
  ['a stream', events(NOTIFICATION, RESPONSE), 'response'],
  ['a stream in capitals', send(200, 'Text/Event-Stream;a=b', `data: ${RESPONSE}\n\n`), 'response'],
  [
    'a stream behind a mark',
    send(200, 'text/event-stream', `${BOM}data: ${RESPONSE}\n\n`),
    'response',
  ],
  [
    'a type like that of streams',
    send(200, 'text/event-streams', `data: ${RESPONSE}\n\n`),
    'invalid_answer',
  ],
  ['an empty body', json(''), 'invalid_answer'],
  ['an empty stream', events(), 'cut_off'],
  ['a stream without the response', events(NOTIFICATION), 'cut_off'],
  ['JSON that breaks off', cutOff('application/json'), 'cut_off'],
  ['a stream that breaks off', cutOff('text/event-stream'), 'cut_off'],
  ['JSON under another id', json(FOREIGN), 'invalid_answer'],
  ['a stream with another id', events(FOREIGN, RESPONSE), 'invalid_answer'],
  ['what is no JSON', json('<html>'), 'invalid_answer'],
  ['what is no JSON-RPC', json('{"resources":[]}'), 'invalid_answer'],
  ['more than 64 MiB', JSON_65_MIB, 'invalid_answer'],
  ['an error', json(ERROR('"id":1,')), 'error'],
  ['an error without an id', json(ERROR('')), 'error'],
  ['a refusal', send(400, 'application/json', ERROR('"id":1,')), 'error'],
  ['a refusal without an id', send(400, 'application/json', ERROR('')), 'error'],
  ['a refusal under another id', send(400, 'application/json', ERROR('"id":99,')), 'error'],
  ['a refusal as plain text', send(400, 'text/plain', BOM + ERROR('"id":1,')), 'error'],
  ['a long page', send(404, 'text/html', `<html>${'x'.repeat(100_000)}`), 'http_status'],
  ['a redirect', send(307, 'text/html', ''), 'http_status'],
]

let answer: Answer = () => {}

const server = createServer((request, response) => {
  request.resume()
  answer(response)
})

let upstream: Upstream

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  upstream = openUpstream(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`))
})

afterAll(async () => {
  await upstream.close()
  server.closeAllConnections()
  server.close()
})

const clock = createClock()

const REQUEST = {
  method: 'POST' as const,
  headers: ['content-type', 'application/json', 'accept', 'application/json, text/event-stream'],
  body: '{"jsonrpc":"2.0","id":1,"method":"resources/list"}',
}

function verdictOf(text: string): string {
  const message = JSON.parse(text) as object
  return 'result' in message ? 'response' : 'error'
}

/** Asks as the checks and the probes of a target do. */
async function readOne(): Promise<string> {
  const read = await readAnswer({ clock, upstream }, REQUEST, 1, 30_000)
  if (read.kind === 'failed') return read.failure.cause
  const { status, message, header } = read.answer
  if (message !== undefined) return 'result' in message ? 'response' : 'error'
  if (status >= 300) return 'http_status'
  return header('content-type') === 'text/event-stream' ? 'cut_off' : 'invalid_answer'
}

/** Asks as the gateway does for lists. */
async function waitOn(through: Upstream): Promise<string> {
  const credential = { headers: () => ({}), refused: () => false }
  const target = createTarget({ name: 't', prefix: '', tools: OPEN_TOOLS }, credential, through)
  const caller = { principal: undefined, accessToken: undefined }
  const request = { exchange: { caller } } as Parameters<typeof sendAndWait>[1]
  const found = await sendAndWait(clock, request, target, {
    ...{ headers: REQUEST.headers, body: REQUEST.body, id: 1 },
    ...{ session: undefined, deadlineMs: 30_000 },
  })
  return found.ok ? verdictOf(found.text) : found.failure.cause
}

function translated(): Upstream {
  const logger = { info() {}, warn() {} }
  const protocol = STATELESS_VERSION
  return createTranslatingUpstream(upstream, {
    clock,
    logger,
    target: 't',
    protocol,
    mirrorsParams: false,
  })
}

describe.each(CASES)('an answer that is %s', (_what, given, verdict) => {
  it(`is read as "${verdict}" by the checks`, async () => {
    answer = given
    expect(await readOne()).toBe(verdict)
  })

  it(`is read as "${verdict}" by the gateway`, async () => {
    answer = given
    expect(await waitOn(upstream)).toBe(verdict)
  })

  it(`is read as "${verdict}" by the translation`, async () => {
    answer = given
    expect(await waitOn(translated())).toBe(verdict)
  })
})

it('a refusal with a JSON-RPC error is read for a request without an id, too', async () => {
  answer = send(404, 'application/json', ERROR('"id":null,'))
  const read = await readAnswer(
    { clock, upstream },
    { ...REQUEST, method: 'GET' },
    undefined,
    5_000,
  )
  expect(read).toMatchObject({ kind: 'answer', answer: { status: 404, message: undefined } })
})

it.each([
  ['a response', 200, '{"jsonrpc":"2.0","id":1,"result":{}}'],
  ['a refusal', 400, 'no'],
])('%s that its listener cannot handle fails the request', (_what, status, text) => {
  const failed: Error[] = []
  const no = () => {
    throw new Error('no')
  }
  const failing = { responded: no, refused: no, failed: (error: Error) => void failed.push(error) }
  const reader = new AnswerReader(1, failing)
  const controller = { abort() {} } as unknown as UpstreamController
  reader.onRequestStart(controller)
  reader.onResponseStart(controller, status, { 'content-type': 'application/json' })
  reader.onResponseData(controller, Buffer.from(text))
  expect(() => reader.onResponseEnd()).toThrow('no')
  expect(failed.map(({ message }) => message)).toEqual(['its answer is of no use: no'])
})
