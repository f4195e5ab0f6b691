import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

let target: RecordingTarget
let other: RecordingTarget
let stack: Stack
let several: Stack
let authorization: string
beforeAll(async () => {
  target = await startRecordingTarget()
  other = await startRecordingTarget()
  stack = await startStack({ targets: { target: target.url } })
  several = await startStack({
    identity: stack.identity,
    targets: { target: target.url, other: other.url },
    config: { timeouts: { list: 30 } },
  })
  authorization = `Bearer ${await stack.token()}`
})
beforeEach(() => {
  target.clear()
  target.intercept(undefined)
  target.on('tools/call', () => NO_ANSWER)
})
afterAll(async () => {
  await several.close()
  await stack.close()
  await target.close()
  await other.close()
})

const message = (method: string, params: object = {}) =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
const CALL = message('tools/call', { name: 'target_echo' })
const INITIALIZE = message('initialize', {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'c', version: '1' },
})

/** Sends a request that can be given up. */
function start(body: string, at = stack, token = authorization) {
  const abort = new AbortController()
  const headers = { authorization: token, 'content-type': 'application/json' }
  const response = fetch(at.url, { method: 'POST', headers, body, signal: abort.signal })
  response.catch(() => undefined)
  return { response, leave: () => abort.abort() }
}

/** Resolves when the target sees its client leave, which nothing but that client makes it see. */
async function givenUp(rpc: string): Promise<void> {
  const request = await target.until((candidate) => candidate.rpc === rpc)
  expect(await request.closed).toBe('aborted')
}

it('[mcp-disconnect] a call given up before its answer begins is given up at the target', async () => {
  const { leave } = start(CALL)
  await target.until(({ rpc }) => rpc === 'tools/call')
  leave()
  await givenUp('tools/call')
})

it('a call given up between its events is given up at the target', async () => {
  target.on('tools/call', async (_params, { notify }) => {
    await notify('notifications/progress', { progress: 1 })
    return NO_ANSWER
  })
  const { response, leave } = start(CALL)
  await (await response).body?.getReader().read()
  leave()
  await givenUp('tools/call')
})

it('a call given up in the middle of a large answer is given up at the target', async () => {
  target.intercept(({ rpc }, response) => {
    if (rpc !== 'tools/call') return false
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{"jsonrpc":"2.0",')
    return true
  })
  const { leave } = start(CALL)
  await target.until(({ rpc }) => rpc === 'tools/call')
  leave()
  await givenUp('tools/call')
})

it('initialize given up is given up at the target', async () => {
  target.intercept(({ rpc }) => rpc === 'initialize')
  const { leave } = start(INITIALIZE)
  await target.until(({ rpc }) => rpc === 'initialize')
  leave()
  await givenUp('initialize')
})

describe('initialize given up ends the session of a target', () => {
  let quick: RecordingTarget
  beforeAll(async () => {
    quick = await startRecordingTarget({ sessions: 'required' })
  })
  afterAll(() => quick.close())

  /** Gives `initialize` up once the target's answer, or its beginning, arrived. */
  async function giveUp(targets: Record<string, string>, answered: Promise<unknown>) {
    const front = await startStack({
      identity: stack.identity,
      targets,
      config: { timeouts: { list: 30 } },
    })
    const { leave } = start(INITIALIZE, front, `Bearer ${await front.token()}`)
    await answered
    await new Promise((resolve) => setTimeout(resolve, 50))
    leave()
    await quick.until(({ method }) => method === 'DELETE')
    expect(front.logText()).not.toMatch(/target_unavailable|target_failed/)
    await front.close()
  }

  it('that answered before another one did', async () => {
    target.intercept(({ rpc }) => rpc === 'initialize')
    const answered = quick.until(({ rpc }) => rpc === 'initialize').then(({ closed }) => closed)
    await giveUp({ quick: quick.url, slow: target.url }, answered)
    await eventually(() => expect(quick.sessions.size).toBe(0))
  })

  it('that named it ahead of its answer', async () => {
    quick.clear()
    const answered = new Promise<void>((resolve) => {
      quick.intercept(({ rpc }, response) => {
        if (rpc !== 'initialize') return false
        const headers = { 'content-type': 'text/event-stream', 'mcp-session-id': 'the-session' }
        response.writeHead(200, headers).write(': soon\n\n')
        resolve()
        return true
      })
    })
    await giveUp({ quick: quick.url }, answered)
    expect(quick.requests.at(-1)?.sessionId).toBe('the-session')
  })
})

it('a list of several targets given up is given up at each', async () => {
  target.intercept(({ rpc }) => rpc === 'tools/list')
  const token = `Bearer ${await several.token()}`
  const { leave } = start(message('tools/list'), several, token)
  await target.until(({ rpc }) => rpc === 'tools/list')
  leave()
  await givenUp('tools/list')
})

it('a stream given up while its token is checked is never opened at the target', async () => {
  const fresh = await startStack({ targets: { target: target.url } })
  try {
    await fresh.identity.rotateKeys()
    const token = await fresh.token()
    fresh.identity.set({ delayMs: 400 })
    const { length } = fresh.identity.requests
    const abort = new AbortController()
    const headers = { authorization: `Bearer ${token}` }
    const response = fetch(fresh.url, { headers, signal: abort.signal })
    response.catch(() => undefined)
    await eventually(() => expect(fresh.identity.requests).toHaveLength(length + 1))
    abort.abort()
    await new Promise((resolve) => setTimeout(resolve, 700))
    expect(target.getStreams()).toHaveLength(0)
    const again = await fetch(fresh.url, { headers, method: 'DELETE' })
    expect(again.status).toBe(200)
  } finally {
    await fresh.close()
  }
})

it('a thousand calls given up leave no connection behind', async () => {
  // idle ones of other tests, which may stay a while
  const before = target.openSockets
  for (let round = 0; round < 10; round++) {
    target.clear()
    const calls = Array.from({ length: 100 }, () => start(CALL))
    await eventually(() => expect(target.of('tools/call')).toHaveLength(100))
    for (const { leave } of calls) leave()
    await Promise.all(target.requests.map(({ closed }) => closed))
  }
  await eventually(() => expect(target.openSockets).toBeLessThanOrEqual(before))
  target.on('tools/call', () => ({ content: [] }))
  expect((await start(CALL).response).status).toBe(200)
})
