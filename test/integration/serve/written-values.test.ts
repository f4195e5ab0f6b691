import { afterAll, beforeAll, expect, it } from 'vitest'
import { STATELESS_VERSION } from '../../../src/mcp/versions.js'
import { openStream } from '../../helpers/event-reader.js'
import { modernRequest } from '../../helpers/modern-client.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

/** More digits than a number of JavaScript holds. */
const BIG = '12345678901234567890'

let older: RecordingTarget
let newer: ModernRecordingTarget
let one: Stack
let several: Stack
let modern: Stack
beforeAll(async () => {
  older = await startRecordingTarget({ sessions: 'required' })
  newer = await startModernRecordingTarget({ listChanged: true })
  one = await startStack({ targets: { a: older.url } })
  const { identity } = one
  several = await startStack({ targets: { a: older.url, b: older.url }, identity })
  modern = await startStack({ targets: { a: newer.url, b: newer.url }, identity })
})
afterAll(async () => {
  for (const closable of [modern, several, one, newer, older]) await closable.close()
})

const params = { protocolVersion: '2025-11-25', capabilities: { sampling: {} }, clientInfo: {} }
const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params }

it('the id of a request of one of several targets comes back as it was written', async () => {
  const begun = await several.post(hello)
  await begun.text()
  const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' }
  const stream = await openStream(several, session, [older])
  const [first] = older.getStreams()
  const request = `{"jsonrpc":"2.0","id":${BIG},"method":"ping"}`
  await first?.raw(`data: ${request}\n\n`)
  const { message } = await stream.next()
  const response = await several.post({ jsonrpc: '2.0', id: message.id, result: {} }, session)
  expect(response.status).toBe(202)
  const sent = await older.until(({ body }) => body.includes('"result"'))
  expect(sent.body).toContain(`"id":${BIG}`)
  await stream.close()
})

it('a notification of a subscription to several targets comes as it was written', async () => {
  const notifications = { toolsListChanged: true }
  newer.on('subscriptions/listen', async (_params, { id, stream }) => {
    const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":"${id}"}`
    const tell = (method: string, more: string) =>
      stream.raw(`data: {"jsonrpc":"2.0","method":"${method}","params":{${more},${meta}}}\n\n`)
    const accepted = `"notifications":${JSON.stringify(notifications)}`
    await tell('notifications/subscriptions/acknowledged', accepted)
    await tell('notifications/tools/list_changed', `"n":${BIG},"s":"\\u0061"`)
    return NO_ANSWER
  })
  const message = modernRequest('subscriptions/listen', { notifications })
  const headers = { 'mcp-protocol-version': STATELESS_VERSION, 'mcp-method': message.method }
  const { body } = await modern.post(message, headers)
  let text = ''
  for await (const chunk of body ?? []) {
    text += Buffer.from(chunk).toString()
    if (text.includes('"s"')) break
  }
  expect(text).toContain(`"n":${BIG},"s":"\\u0061"`)
})

it('the answer of one target to initialize comes as it was written', async () => {
  const result = `{"protocolVersion":"2025-11-25","capabilities":{"experimental":{"a":{"n":${BIG}}}},"serverInfo":{"name":"\\u0061","version":"1"}}`
  older.on('initialize', (_params, { response, id }) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(`{"id":${id},"result":${result},"jsonrpc":"2.0"}`)
    return NO_ANSWER
  })
  const answer = await one.post(hello)
  expect(await answer.text()).toContain(`"result":${result}`)
})
