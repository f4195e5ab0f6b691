import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let other: RecordingTarget
let one: Stack
let two: Stack
beforeAll(async () => {
  target = await startRecordingTarget()
  other = await startRecordingTarget()
  one = await startStack({ targets: { target: target.url } })
  two = await startStack({ targets: { target: target.url, other: other.url } })
})
beforeEach(() => {
  target.clear()
  target.intercept(undefined)
})
afterAll(async () => {
  await one.close()
  await two.close()
  await target.close()
  await other.close()
})

const RESULT = '{"content":[{"type":"text","text":"done"}]}'
const call = (id: string) =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"target_echo","arguments":{}}}`
const response = (id: string) => `{"jsonrpc":"2.0","id":${id},"result":${RESULT}}`
const NOTE = '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}}'

/** Has the target answer a method in a way of its own. */
function answer(method: string, write: (response: ServerResponse) => void): void {
  target.intercept(({ rpc }, outgoing) => {
    if (rpc !== method) return false
    write(outgoing)
    return true
  })
}
const asJson = (body: string | Buffer, headers: Record<string, string> = {}, status = 200) =>
  answer('tools/call', (outgoing) =>
    outgoing.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body),
  )
const asEvents = (body: string | Buffer, headers: Record<string, string> = {}) =>
  answer('tools/call', (outgoing) =>
    outgoing.writeHead(200, { 'content-type': 'text/event-stream', ...headers }).end(body),
  )

/** The messages of a stream, as they are written. */
const dataOf = (text: string) =>
  [...text.matchAll(/^data: ?(.+)$/gm)].map(([, data]) => data as string)

describe.each(['one', 'two'])('with %s of targets, an answer', (count) => {
  const stack = () => (count === 'one' ? one : two)

  it.each([
    ['a ping of its own type', 'event: ping\ndata: ping\n\n'],
    ['a typed message of another kind', `event: heartbeat\ndata: ${response('7')}\n\n`],
    ['a heartbeat that is JSON', 'data: {"type":"heartbeat"}\n\n'],
    ['a heartbeat with an id and a method', 'data: {"id":7,"method":"heartbeat"}\n\n'],
    ['text', 'data: ping\n\n'],
    ['an array of nothing', 'data: []\n\n'],
    ['a number', 'data: 1\n\n'],
    ['a comment', ': ping\n\n'],
    ['an empty message', 'event: message\ndata:\n\n'],
  ])('on a stream is found behind %s', async (_title, event) => {
    asEvents(`${event}data: ${NOTE}\n\n${event}event: message\ndata: ${response('7')}\n\n`)
    const text = await (await stack().post(call('7'))).text()
    expect(dataOf(text)).toEqual([NOTE, response('7')])
  })

  it.each([
    ['an id that is text', response('"7"')],
    ['a byte order mark', `\ufeff${response('7')}`],
    ['an array of one', `[${response('7')}]`],
    ['all at once', `\ufeff [ ${response('"7"')} ] `],
    ['no version', response('7').replace('"jsonrpc":"2.0",', '')],
  ])('with %s is passed on as the client expects it', async (_title, body) => {
    const expected = { jsonrpc: '2.0', id: 7, result: JSON.parse(RESULT) }
    asJson(body)
    const json = (await (await stack().post(call('7'))).text()).trim()
    expect(JSON.parse(json)).toEqual(expected)
    asEvents(`data: ${body}\n\n`)
    const [data = ''] = dataOf(await (await stack().post(call('7'))).text())
    expect(JSON.parse(data)).toEqual(expected)
  })

  it('in an array with messages before it comes as a stream', async () => {
    asJson(`[${NOTE},${response('7')}]`)
    expect(dataOf(await (await stack().post(call('7'))).text())).toEqual([NOTE, response('7')])
  })

  it.each([
    ['JSON', () => asJson(response('8'))],
    ['an event', () => asEvents(`data: ${response('8')}\n\ndata: ${response('7')}\n\n`)],
    ['an array', () => asJson(`[${response('8')},${response('7')}]`)],
  ])('to another request stays an error, as %s', async (_title, prepare) => {
    prepare()
    expect(await readMessage(await stack().post(call('7')))).toMatchObject({
      id: 7,
      error: { data: { cause: 'invalid_answer' } },
    })
  })

  const ERROR = '{"code":-32001,"message":"the tank is empty","data":{"n":12345678901234567890}}'
  it.each(['null', undefined])('that is an error with the id %s says why', async (id) => {
    const member = id === undefined ? '' : `"id":${id},`
    const body = `{"jsonrpc":"2.0",${member}"error":${ERROR}}`
    asJson(body)
    const text = await (await stack().post(call('7'))).text()
    expect(JSON.parse(text)).toMatchObject({ id: 7, error: { message: 'the tank is empty' } })
    expect(text).toContain('12345678901234567890')
    asEvents(`data: ${body}\n\n`)
    expect(await readMessage(await stack().post(call('7')))).toMatchObject({
      id: 7,
      error: { code: -32001, message: 'the tank is empty' },
    })
  })

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
    ['gzip, br', (bytes: string) => brotliCompressSync(gzipSync(bytes))],
  ])('that is compressed (%s) is read all the same', async (encoding, compress) => {
    asJson(compress(response('7')), { 'content-encoding': encoding })
    const answered = await stack().post(call('7'))
    expect(answered.headers.get('content-encoding')).toBeNull()
    expect(await answered.json()).toEqual(JSON.parse(response('7')))
    asEvents(compress(`data: ${NOTE}\n\ndata: ${response('7')}\n\n`), {
      'content-encoding': encoding,
    })
    expect(dataOf(await (await stack().post(call('7'))).text())).toEqual([NOTE, response('7')])
    expect(target.requests.map(({ headers }) => headers['accept-encoding'])).toContain('identity')
  })

  it('that only says that it is compressed is told', async () => {
    asJson(response('7'), { 'content-encoding': 'gzip' })
    const { error } = await readMessage(await stack().post(call('7')))
    expect(error.message).toContain('cannot be decompressed')
    asJson(response('7'), { 'content-encoding': 'x-secret' })
    expect((await readMessage(await stack().post(call('7')))).error.message).toContain('compressed')
  })

  it('that unpacks to more than is ever read is refused', async () => {
    const bomb = gzipSync(Buffer.alloc(80 * 1024 * 1024, 0x20))
    asJson(bomb, { 'content-encoding': 'gzip' })
    const { error } = await readMessage(await stack().post(call('7')))
    expect(error.data).toMatchObject({ cause: 'invalid_answer' })
  })

  it.each(['12345678901234567891', '9007199254740993', '-9007199254740993', '1.0', '7e0'])(
    'to the id %s has it byte for byte, whoever makes it',
    async (id) => {
      const ended = new RegExp(`"id":${id.replace('.', '\\.')}[,}]`)
      // of a target that reads numbers as we do
      asJson(response(String(Number(id))))
      expect(await (await stack().post(call(id))).text()).toMatch(ended)
      asEvents(`data: ${response(String(Number(id)))}\n\n`)
      expect(await (await stack().post(call(id))).text()).toMatch(ended)
      asEvents('data: ping\n\n')
      expect(await (await stack().post(call(id))).text()).toMatch(ended)
      asJson('no')
      expect(await (await stack().post(call(id))).text()).toMatch(ended)
      asJson('no', {}, 500)
      expect(await (await stack().post(call(id))).text()).toMatch(ended)
      const refused = `{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"n","data":{"n":${id}}}}`
      asJson(refused, {}, 400)
      const text = await (await stack().post(call(id))).text()
      expect(text).toMatch(ended)
      expect(text).toContain(`{"n":${id}}`)
      for (const method of ['tools/list', 'nowhere', 'prompts/get']) {
        const asked = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{}}`
        expect(await (await stack().post(asked)).text()).toMatch(ended)
      }
    },
  )
})

describe('a notification', () => {
  const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' }
  const changed = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' }

  it.each([
    ['an open event stream', { 'content-type': 'text/event-stream' }, ': hello\n\n'],
    ['an open body', { 'content-type': 'application/json' }, '{'],
    ['an open body of no type', {}, ''],
  ])(
    'that is answered with %s is accepted at once',
    async (_title, headers, start) => {
      const left: Promise<unknown>[] = []
      target.intercept((_request, outgoing) => {
        outgoing.writeHead(200, headers)
        outgoing.flushHeaders()
        outgoing.write(start)
        left.push(once(outgoing, 'close'))
        return true
      })
      for (const message of [initialized, changed]) {
        expect((await one.post(message)).status).toBe(202)
      }
      // and nothing stays open at the target for it
      await Promise.all(left)
      expect(left).toHaveLength(2)
    },
    30_000,
  )

  it('that is answered without end is not read without end', async () => {
    let closed: Promise<unknown> | undefined
    target.intercept((_request, outgoing) => {
      outgoing.writeHead(202)
      const pour = () => {
        while (!outgoing.destroyed && outgoing.write('x'.repeat(16_384)));
      }
      outgoing.on('drain', pour)
      closed = once(outgoing, 'close')
      pour()
      return true
    })
    expect((await one.post(initialized)).status).toBe(202)
    await closed
  })
})

describe('a redirect', () => {
  it.each([301, 302, 307, 308])('%i that only adds a slash is followed once', async (status) => {
    const slashed = await startRecordingTarget({
      intercept({ url }, outgoing) {
        if (url.endsWith('/')) return false
        outgoing.writeHead(status, { location: '/mcp/' }).end()
        return true
      },
    })
    const stack = await startStack({ targets: { target: slashed.url }, identity: one.identity })
    try {
      for (const id of ['1', '2']) {
        const message = await readMessage(await stack.post(call(id)))
        expect(JSON.stringify(message)).not.toContain('redirects')
      }
      expect(slashed.requests.map(({ url }) => url)).toEqual(['/mcp', '/mcp/', '/mcp/'])
    } finally {
      await stack.close()
      await slashed.close()
    }
  })

  it.each([
    ['https://elsewhere.example/mcp?token=secret', 'https://elsewhere.example/mcp'],
    ['/v2/mcp?key=secret', '/v2/mcp'],
    ['/mcp?key=secret', '/mcp'],
  ])('to %s is named and not followed', async (location, shown) => {
    answer('tools/call', (outgoing) => outgoing.writeHead(307, { location }).end())
    const { error } = await readMessage(await one.post(call('7')))
    expect(error.message).toContain(JSON.stringify(shown))
    expect(error.message).not.toContain('secret')
    expect(error.data).toMatchObject({ cause: 'http_status', httpStatus: 307 })
    expect(target.of('tools/call')).toHaveLength(1)
  })

  it('into an inner network is named to the operator, and its path to the client', async () => {
    const location = 'http://10.1.2.3/deep/mcp'
    answer('tools/call', (outgoing) => outgoing.writeHead(307, { location }).end())
    const { error } = await readMessage(await one.post(call('7')))
    expect(error.message).toContain('/deep/mcp')
    expect(error.message).not.toContain('10.1.2.3')
    expect(one.logText()).toContain('10.1.2.3')
  })
})

it('a target that speaks HTTP/2 only is told by that', async () => {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    // an empty SETTINGS frame, with which every HTTP/2 server begins
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const url = `http://127.0.0.1:${port}/mcp`
  const stack = await startStack({ targets: { target: url }, identity: one.identity })
  try {
    const { error } = await readMessage(await stack.post(call('7')))
    expect(error.message).toContain('HTTP/2')
  } finally {
    await stack.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
})

describe('a client that takes one form of answer', () => {
  it.each([
    ['application/json', 'application/json'],
    ['text/event-stream', 'text/event-stream'],
    ['application/json;q=1, text/event-stream;q=0', 'application/json'],
  ])('gets it: %s', async (accept, type) => {
    for (const prepare of [
      () => asJson(response('7')),
      () => asEvents(`data: ${NOTE}\n\ndata: ${response('7')}\n\n`),
      () => asJson('no'),
      () => asEvents('data: ping\n\n'),
    ]) {
      prepare()
      const answered = await one.post(call('7'), { accept })
      expect(answered.status).toBe(200)
      expect(answered.headers.get('content-type')).toBe(type)
      expect(await readMessage(answered)).toMatchObject({ jsonrpc: '2.0', id: 7 })
      expect(target.requests.at(-1)?.headers.accept).toBe('application/json, text/event-stream')
    }
  })
})

it('an error of our own on a stream is an event of the type message', async () => {
  asEvents(`data: ${NOTE}\n\n`)
  const text = await (await one.post(call('7'))).text()
  expect(text).toMatch(/\n\nevent: message\ndata: \{"jsonrpc":"2.0","id":7,"error"/)
})

describe('a client that initializes', () => {
  it('gets a new session whatever session it names', async () => {
    const stateful = await startRecordingTarget({ sessions: 'required' })
    const stack = await startStack({ targets: { t: stateful.url }, identity: one.identity })
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
    const initialize = { jsonrpc: '2.0', id: 1, method: 'initialize', params }
    try {
      const ids = new Set<string | null>()
      for (const old of [undefined, 'of-another-server', '']) {
        const answered = await stack.post(
          initialize,
          old === undefined ? {} : { 'mcp-session-id': old },
        )
        expect(answered.status).toBe(200)
        ids.add(answered.headers.get('mcp-session-id'))
      }
      expect(ids.size).toBe(3)
      expect(ids).not.toContain(null)
      const sent = stateful.of('initialize').map(({ headers }) => headers['mcp-session-id'])
      expect(sent).toEqual([undefined, undefined, undefined])
    } finally {
      await stack.close()
      await stateful.close()
    }
  })
})

it.each(['null', '{"cursor":null}'])('params that are %s count as absent', async (params) => {
  for (const stack of [one, two]) {
    const message = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":${params}}`
    const { result } = await readMessage(await stack.post(message))
    expect(result.tools.length).toBeGreaterThan(0)
  }
  for (const { body } of target.of('tools/list')) expect(body).not.toContain('null')
})
