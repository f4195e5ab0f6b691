import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const call = (name: string) => ({
  ...{ jsonrpc: '2.0', id: 'c-1', method: 'tools/call' },
  params: { name, arguments: {} },
})

const HELD_BACK = /was not reached several times in a row, and is tried again soon/

/** Nothing listens there. */
const NOWHERE = 'http://127.0.0.1:1/mcp'

/** How the first target answers calls; 0: as it should, below 0: it hangs up. */
let status = 0

let first: RecordingTarget
let second: RecordingTarget
let patient: Stack
let eager: Stack
beforeAll(async () => {
  first = await startRecordingTarget({ getStream: true })
  second = await startRecordingTarget({ getStream: true })
  first.intercept(({ method }, response) => {
    if (status === 0 || method === 'GET') return false
    if (status < 0) response.destroy()
    else response.writeHead(status, { 'content-type': 'text/plain' }).end('no')
    return true
  })
  const targets = (seconds: number) => ({
    a: { url: first.url, breaker: { failures: 3, seconds } },
    b: { url: second.url },
  })
  const server = { metricsPort: 0 }
  patient = await startStack({ targets: targets(3_600), config: { server } })
  eager = await startStack({ targets: targets(0.2), config: { server } })
})
afterAll(async () => {
  for (const { close } of [patient, eager, first, second]) await close()
})
beforeEach(() => {
  status = 0
  first.clear()
})

const ask = async (stack: Stack, name: string) => readMessage(await stack.post(call(name)))

const askStateless = async (stack: Stack, name: string) => {
  const sent = await postStateless(stack, modernRequest('tools/call', { name, arguments: {} }))
  return sent.message
}

const hello = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: {
    ...{ protocolVersion: '2025-11-25', capabilities: {} },
    clientInfo: { name: 'test', version: '1' },
  },
}

const isOpen = async (stack: Stack) =>
  ((await stack.server.metrics?.text()) ?? '').includes(
    'mcp_proxy_target_breaker_open{target="a"} 1',
  )

describe('a breaker', () => {
  it.each<[string, number]>([
    ['a refused credential', 401],
    ['a forbidden call', 403],
    ['an unknown path', 404],
    ['too many requests', 429],
    ['an internal error', 500],
    ['a lost connection', -1],
  ])('never opens for what a caller may cause: %s', async (_what, code) => {
    status = code
    for (let i = 0; i < 5; i++) expect(await ask(patient, 'a_echo')).toHaveProperty('error')
    status = 0
    expect(await ask(patient, 'a_echo')).toHaveProperty('result')
    expect(await isOpen(patient)).toBe(false)
  })

  it('lets calls through again one moment after the target is back', async () => {
    status = 503
    while (!(await isOpen(eager))) await ask(eager, 'a_echo')
    status = 0
    await eventually(async () => expect(await ask(eager, 'a_echo')).toHaveProperty('result'))
    for (let i = 0; i < 10; i++) expect(await ask(eager, 'a_echo')).toHaveProperty('result')
    expect(await isOpen(eager)).toBe(false)
    expect(eager.logText()).toContain('"event":"target_back"')
  })

  it('fails calls at once after failures in a row, and leaves all else alone', async () => {
    const headers = {
      authorization: `Bearer ${await patient.token()}`,
      accept: 'text/event-stream',
    }
    const abort = new AbortController()
    const stream = await fetch(patient.url, { headers, signal: abort.signal })
    let isStreamOpen = true
    const reading = stream.text().catch(() => '')
    void reading.then(() => {
      isStreamOpen = false
    })
    status = 503
    for (let i = 0; i < 3; i++) {
      expect((await ask(patient, 'a_echo')).error.data).toMatchObject({ httpStatus: 503 })
    }
    expect(await isOpen(patient)).toBe(true)
    first.clear()
    status = 0
    const { error } = await ask(patient, 'a_echo')
    expect(error.message).toMatch(HELD_BACK)
    const { target, cause, retryable, retryAfter } = error.data
    expect([target, cause, retryable]).toEqual(['a', 'unreachable', true])
    expect(Number(retryAfter)).toBeGreaterThan(3_500)
    expect(await ask(patient, 'b_echo')).toHaveProperty('result')
    const list = await readMessage(
      await patient.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    )
    expect(list.result.tools.some(({ name }: { name: string }) => name === 'b_echo')).toBe(true)
    expect(first.of('tools/call')).toHaveLength(0)
    expect(first.of('tools/list')).toHaveLength(0)
    expect(isStreamOpen).toBe(true)
    const held = patient.logs().filter(({ event }) => event === 'target_held_back')
    expect(held).toMatchObject([{ target: 'a', level: 'warn' }])
    expect(await (await fetch(`${patient.origin}/readyz`)).json()).toMatchObject({ ready: true })
    abort.abort()
    await reading
  })

  it.each<[string, object, (stack: Stack) => Promise<{ error: { message: string } }>]>([
    [
      'a program that cannot be started',
      { command: ['/nowhere/server'] },
      async (stack) => readMessage(await stack.post(hello)),
    ],
    ['a session-based call', { url: NOWHERE }, (stack) => ask(stack, 't_x')],
    ['a stateless call', { url: NOWHERE }, (stack) => askStateless(stack, 't_x')],
    [
      'a target over HTTP+SSE',
      { url: NOWHERE, transport: 'sse' },
      async (stack) => readMessage(await stack.post(hello)),
    ],
  ])('opens for %s, too', async (_what, where, send) => {
    const breaker = { failures: 2, seconds: 3_600 }
    const { identity } = patient
    const stack = await startStack({ identity, targets: { t: { ...where, breaker } } })
    try {
      const reasons: string[] = []
      for (let i = 0; i < 4; i++) reasons.push((await send(stack)).error.message)
      expect(reasons[0]).not.toMatch(HELD_BACK)
      expect(reasons[3]).toMatch(HELD_BACK)
    } finally {
      await stack.close()
    }
  })
})
