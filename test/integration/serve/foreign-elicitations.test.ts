import { afterAll, beforeAll, expect, it } from 'vitest'
import { openStream, readEvents } from '../../helpers/event-reader.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure, tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let a: RecordingTarget
let b: RecordingTarget
let stack: Stack
beforeAll(async () => {
  a = await startRecordingTarget({ sessions: 'required', tools: [tool('ask')] })
  b = await startRecordingTarget({ sessions: 'required', tools: [tool('ask')] })
  stack = await startStack({ targets: { a: a.url, b: b.url } })
})
afterAll(async () => {
  await stack.close()
  await a.close()
  await b.close()
})

const COMPLETE = 'notifications/elicitation/complete'
const PARAMS = { mode: 'url', elicitationId: 'E1', url: 'https://a.example/', message: 'Connect' }

async function initialize(): Promise<Record<string, string>> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: { elicitation: { url: {} } },
    clientInfo: { name: 'c', version: '1' },
  }
  const response = await stack.post({ jsonrpc: '2.0', id: 0, method: 'initialize', params })
  await response.text()
  return { 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' }
}

const call = (name: string) => ({
  ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
  params: { name, arguments: {} },
})

it('one of two targets cannot complete the elicitation of the other one', async () => {
  const session = await initialize()
  const stream = await openStream(stack, session, [a, b])
  void a.ask('elicitation/create', PARAMS)
  const asked = (await stream.next()).message.params?.['elicitationId']
  await b.notify(COMPLETE, { elicitationId: 'E1' })
  await b.notify(COMPLETE, { elicitationId: asked })
  await b.notify(COMPLETE, { elicitationid: asked })
  await b.notify('notifications/message', { level: 'info', data: 'done' })
  const said = await stream.all(({ method }) => method === 'notifications/message')
  const forged = said.map(({ message }) => message.params?.['elicitationId'])
  expect(forged).toHaveLength(3)
  expect(forged).not.toContain(asked)
  expect(JSON.stringify(said.map(({ message }) => message))).not.toContain('elicitationid')

  await a.notify(COMPLETE, { elicitationId: 'E1' })
  expect((await stream.next()).message).toMatchObject({
    method: COMPLETE,
    params: { elicitationId: asked },
  })
  await stream.close()
})

it('an elicitation on the stream of a call has the id that its completion names', async () => {
  const session = await initialize()
  const stream = await openStream(stack, session, [a, b])
  b.on('tools/call', async (_params, { ask }) => {
    await ask('elicitation/create', PARAMS)
    return { content: [] }
  })
  const events = readEvents(await stack.post(call('b_ask'), session))
  const { message } = await events.next()
  await b.notify(COMPLETE, { elicitationId: 'E1' })
  const complete = (await stream.next()).message
  expect(complete.params?.['elicitationId']).toBe(message.params?.['elicitationId'])
  await events.close()
  await stream.close()
})

it('an elicitation that an error asks for has the id that its completion names', async () => {
  const session = await initialize()
  const stream = await openStream(stack, session, [a, b])
  a.on('tools/call', () => {
    throw new RpcFailure(-32042, 'Connect first', { data: { elicitations: [PARAMS] } })
  })
  const { error } = await readMessage(await stack.post(call('a_ask'), session))
  await a.notify(COMPLETE, { elicitationId: 'E1' })
  const complete = (await stream.next()).message
  expect(error.data.elicitations).toEqual([
    { ...PARAMS, elicitationId: complete.params?.['elicitationId'] },
  ])
  await stream.close()
})
