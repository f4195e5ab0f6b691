import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { keepUntil } from '../../helpers/keep.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const keep = keepUntil(afterEach)

const OLD = '2025-11-25'
const hello = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: { protocolVersion: OLD, capabilities: {}, clientInfo: { name: 'c', version: '1' } },
}
const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 't0_echo' } }

async function begin(stack: Stack): Promise<Record<string, string>> {
  const response = await stack.post(hello)
  await response.text()
  const id = response.headers.get('mcp-session-id')
  return { 'mcp-protocol-version': OLD, ...(id !== null && { 'mcp-session-id': id }) }
}

/** Opens the stream; what it brings is read as it comes. */
async function listen(stack: Stack, headers: Record<string, string>) {
  const abort = new AbortController()
  const authorization = `Bearer ${await stack.token()}`
  const response = await fetch(stack.url, {
    headers: { authorization, accept: 'text/event-stream', ...headers },
    signal: abort.signal,
  })
  let text = ''
  let hasEnded = false
  const read = async () => {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString()
  }
  const finish = () => {
    hasEnded = true
  }
  void read().then(finish, finish)
  return {
    status: response.status,
    text: () => text.replaceAll(': keep-alive\n\n', ''),
    hasEnded: () => hasEnded,
    close: async () => abort.abort(),
  }
}

const json = { 'content-type': 'application/json' }
const REFUSALS: [string, (response: ServerResponse) => unknown][] = [
  ['a page', (to) => to.writeHead(200, { 'content-type': 'text/html' }).end('<p>Hello</p>')],
  ['JSON', (to) => to.writeHead(200, json).end('{"ok":true}')],
  ['an empty 200', (to) => to.writeHead(200).end()],
  ['204', (to) => to.writeHead(204).end()],
  ['400', (to) => to.writeHead(400).end('Bad request')],
  [
    '400 with an error',
    (to) =>
      to
        .writeHead(400, json)
        .end(
          '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Invalid or missing session ID"}}',
        ),
  ],
  ['401', (to) => to.writeHead(401).end()],
  ['403', (to) => to.writeHead(403).end()],
  ['404', (to) => to.writeHead(404).end('Cannot GET /mcp')],
  ['405', (to) => to.writeHead(405).end()],
  ['406', (to) => to.writeHead(406).end()],
  ['410', (to) => to.writeHead(410).end()],
  ['500', (to) => to.writeHead(500).end('Error')],
  ['501', (to) => to.writeHead(501).end()],
  ['a redirect', (to) => to.writeHead(302, { location: '/elsewhere' }).end()],
]

/** Answers GET alone. */
const answersGet = (target: RecordingTarget, answer: (response: ServerResponse) => unknown) =>
  target.intercept((request, response) => {
    if (request.method !== 'GET') return false
    answer(response)
    return true
  })

describe('a target that answers GET with', () => {
  it.each(REFUSALS)(
    '%s is one without a stream: 405, and the session goes on',
    async (_title, answer) => {
      for (const sessions of ['required', 'none'] as const) {
        const target = keep(await startRecordingTarget({ sessions }))
        answersGet(target, answer)
        const stack = keep(await startStack({ targets: { t0: target.url } }))
        const session = await begin(stack)
        for (const headers of [session, { ...session, 'last-event-id': 'e-1' }]) {
          const stream = await listen(stack, headers)
          expect(stream.status).toBe(405)
        }
        expect((await readMessage(await stack.post(call, session))).result).toBeDefined()
        expect(target.of('initialize')).toHaveLength(1)
      }
    },
  )

  it.each([
    ['502', 502],
    ['503', 503],
    ['429', 429],
  ])('%s is asked again while the client listens', async (_title, status) => {
    const target = keep(
      await startRecordingTarget({ sessions: 'required', sse: { eventIds: true } }),
    )
    let isBusy = true
    target.intercept((request, response) => {
      if (request.method !== 'GET' || !isBusy) return false
      response.writeHead(status).end()
      return true
    })
    const stack = keep(await startStack({ targets: { t0: target.url } }))
    const stream = keep(await listen(stack, await begin(stack)))
    expect(stream.status).toBe(200)
    isBusy = false
    await eventually(() => expect(target.getStreams()).toHaveLength(1))
    await target.notify('notifications/message', { data: 'back' })
    await eventually(() => expect(stream.text()).toMatch(/^id: .*\ndata: .*"back"/m))
    await stream.close()
    await eventually(() => expect(target.getStreams()).toHaveLength(0))
  })

  it('nothing is given an open, silent stream, which brings what comes later', async () => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    let held: ServerResponse | undefined
    answersGet(target, (response) => {
      held = response
    })
    const stack = keep(await startStack({ targets: { t0: target.url } }))
    const session = await begin(stack)
    const stream = keep(await listen(stack, session))
    expect(stream.status).toBe(200)
    expect((await readMessage(await stack.post(call, session))).result).toBeDefined()
    held?.writeHead(200, { 'content-type': 'text/event-stream' })
    held?.write(
      'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"late"}}\n\n',
    )
    await eventually(() => expect(stream.text()).toContain('late'))
    held?.end()
    await eventually(() => expect(stream.hasEnded()).toBe(true))
  })

  it.each([
    ['404', 404],
    ['a page', 200],
  ])('%s after a while leaves the stream open and silent', async (_title, status) => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    let held: ServerResponse | undefined
    answersGet(target, (response) => {
      held = response
    })
    const stack = keep(await startStack({ targets: { t0: target.url } }))
    const session = await begin(stack)
    const stream = keep(await listen(stack, session))
    held?.writeHead(status, { 'content-type': 'text/html' }).end('<p>No</p>')
    await eventually(() => expect(stack.logText()).toContain('gives no stream'))
    expect((await readMessage(await stack.post(call, session))).result).toBeDefined()
    expect(stream.hasEnded()).toBe(false)
    expect(stream.text()).toBe('')
  })
})

describe('a stream that a target out of order is asked for again', () => {
  it('is ended, and that is said, when the target gives none any more', async () => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    let asked = 0
    answersGet(target, (response) => response.writeHead(asked++ === 0 ? 503 : 406).end())
    const stack = keep(await startStack({ targets: { t0: target.url } }))
    const stream = keep(await listen(stack, await begin(stack)))
    expect(stream.status).toBe(200)
    await eventually(() => expect(stream.hasEnded()).toBe(true))
    expect(stack.logText()).toContain('gives no stream any more')
  })
})

describe('a target that is not there', () => {
  it('gives an open stream, and what it sends when it is back', async () => {
    const target = await startRecordingTarget()
    const { port } = target
    const stack = keep(await startStack({ targets: { t0: target.url } }))
    const headers = await begin(stack)
    await target.close()
    const stream = keep(await listen(stack, headers))
    expect(stream.status).toBe(200)
    const again = keep(await startRecordingTarget({ port }))
    await eventually(() => expect(again.getStreams()).toHaveLength(1))
    await again.notify('notifications/message', { data: 'back' })
    await eventually(() => expect(stream.text()).toContain('back'))
  })
})

describe('a session that the target forgot', () => {
  it('is gone for GET as for POST: 404', async () => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    const stack = keep(await startStack({ targets: { t0: target.url } }))
    const session = await begin(stack)
    await target.forget()
    expect((await listen(stack, session)).status).toBe(404)
    expect((await stack.post(call, session)).status).toBe(404)
    expect(target.of('tools/call')).toHaveLength(1)
  })
})
