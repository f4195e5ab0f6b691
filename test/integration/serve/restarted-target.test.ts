import { afterEach, describe, expect, it } from 'vitest'
import { startBridge } from '../../helpers/bridge.js'
import { keepUntil } from '../../helpers/keep.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const keep = keepUntil(afterEach)

const OLD = '2025-11-25'
const START = {
  protocolVersion: OLD,
  capabilities: { roots: {} },
  clientInfo: { name: 'host', version: '1' },
}
const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params: START }
const call = (name: string) => ({
  ...{ jsonrpc: '2.0', id: 2, method: 'tools/call' },
  params: { name, arguments: {} },
})
const list = { jsonrpc: '2.0', id: 3, method: 'tools/list' }

/** How servers say that they do not know a session; the first as the official examples do. */
const LOST: [string, number, string][] = [
  ['no valid session', 400, error(-32000, 'Bad Request: No valid session ID provided')],
  ['another wording', 400, error(-32000, 'Invalid or expired session ID')],
  ['another code', 400, error(-32600, 'Session not found')],
  ['a server that is new', 400, error(-32000, 'Bad Request: Server not initialized')],
  ['plain text', 400, 'Invalid or missing session ID'],
  ['JSON of its own', 400, '{"message":"unknown session"}'],
  ['404', 404, 'Not found'],
]

/** Not through the bridge, where 401 asks for a sign-in. */
const LOST_TO_SERVE: typeof LOST = [
  ...LOST,
  ['401', 401, 'Unauthorized: Session not found'],
  ['401 without a word', 401, ''],
]

function error(code: number, message: string): string {
  return JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message } })
}

/** Starts a target that answers so to a session that it does not know. */
async function startForgetful(status: number, body: string): Promise<RecordingTarget> {
  const target: RecordingTarget = keep(await startRecordingTarget({ sessions: 'required' }))
  target.intercept((request, response) => {
    const { rpc, sessionId } = request
    if (rpc === 'initialize' || (sessionId && target.sessions.has(sessionId))) return false
    const type = body.startsWith('{') ? 'application/json' : 'text/plain'
    response.writeHead(status, { 'content-type': type }).end(body)
    return true
  })
  return target
}

async function begin(stack: Stack): Promise<Record<string, string>> {
  const response = await stack.post(hello)
  await response.text()
  const id = response.headers.get('mcp-session-id') ?? ''
  return { 'mcp-protocol-version': OLD, 'mcp-session-id': id }
}

describe.each(LOST_TO_SERVE)('a restarted target that says "%s"', (_title, status, body) => {
  it('alone behind serve: its client hears 404 and begins anew', async () => {
    const target = await startForgetful(status, body)
    const stack = keep(await startStack({ targets: { a: target.url } }))
    const session = await begin(stack)
    await target.forget()
    for (const message of [call('a_echo'), list, { jsonrpc: '2.0', method: 'notifications/x' }]) {
      expect((await stack.post(message, session)).status).toBe(404)
    }
    expect(target.of('tools/call')).toHaveLength(1)
    const again = await begin(stack)
    expect((await readMessage(await stack.post(call('a_echo'), again))).result).toBeDefined()
  })

  it('among others behind serve is given a new session of the same client', async () => {
    const target = await startForgetful(status, body)
    const other = keep(await startRecordingTarget({ sessions: 'required' }))
    const stack = keep(await startStack({ targets: { a: target.url, b: other.url } }))
    const session = await begin(stack)
    await target.forget()
    const listed = await readMessage(await stack.post(list, session))
    expect(JSON.stringify(listed.result)).toContain('a_echo')
    await target.forget()
    expect((await readMessage(await stack.post(call('a_echo'), session))).result).toBeDefined()
    expect((await readMessage(await stack.post(call('b_echo'), session))).result).toBeDefined()
    const opened = target.of('initialize').map(({ message }) => message?.['params'])
    // a 401 is believed to be about the session when another one works
    expect(opened).toEqual(Array.from({ length: status === 401 ? 5 : 3 }, () => START))
    expect(other.of('initialize')).toHaveLength(1)
  })
})

describe.each(LOST)('a restarted target that says "%s"', (_title, status, body) => {
  it('behind the bridge is given a new session, and no call is sent twice', async () => {
    const target = await startForgetful(status, body)
    const bridge = startBridge(target.url, { env: { CI: '1' } })
    try {
      await bridge.handshake()
      await target.forget()
      expect(await bridge.request('tools/list')).toMatchObject({
        result: { tools: [{ name: 'echo' }] },
      })
      await target.forget()
      const sent = target.of('tools/call').length
      const first = await bridge.request('tools/call', { name: 'echo', arguments: {} })
      expect(first).toMatchObject({ error: { message: expect.stringContaining('not sent again') } })
      expect(target.of('tools/call')).toHaveLength(sent + 1)
      const second = await bridge.request('tools/call', { name: 'echo', arguments: {} })
      expect(second).toMatchObject({ result: {} })
    } finally {
      await bridge.end()
    }
  })
})

describe('a target that answers a call with 400 for another reason', () => {
  it.each([
    ['bad arguments', error(-32602, 'Invalid session type')],
    ['a session of the tool', error(-32000, 'The browser session was not found')],
    ['anything else', error(-32000, 'Bad Request: no')],
    ['text', 'No such session of yours'],
  ])('as %s keeps its session, and gets the call once', async (_title, body) => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    const other = keep(await startRecordingTarget({ sessions: 'required' }))
    target.intercept((request, response) => {
      if (request.rpc !== 'tools/call') return false
      const type = body.startsWith('{') ? 'application/json' : 'text/plain'
      response.writeHead(400, { 'content-type': type }).end(body)
      return true
    })
    const single = keep(await startStack({ targets: { a: target.url } }))
    const several = keep(await startStack({ targets: { a: target.url, b: other.url } }))
    for (const stack of [single, several]) {
      target.clear()
      const session = await begin(stack)
      const answer = await stack.post(call('a_echo'), session)
      expect(answer.status).not.toBe(404)
      const { id, error: told } = await readMessage(answer)
      expect(id).toBe(2)
      if (body.startsWith('{')) expect(told).toMatchObject(JSON.parse(body).error)
      else expect(told.data).toMatchObject({ target: 'a', httpStatus: 400 })
      expect(target.of('tools/call')).toHaveLength(1)
      expect(target.of('initialize')).toHaveLength(1)
      expect((await readMessage(await stack.post(list, session))).result.tools).toBeDefined()
      expect(target.of('initialize')).toHaveLength(1)
    }
  })
})

describe('a target that answers 401 in a session', () => {
  it.each([
    ['to everything but initialize', ['ping', 'tools/list', 'tools/call']],
    ['to a call alone', ['tools/call']],
  ])('%s has refused its credential, and its session is kept', async (_title, refused) => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    target.intercept(({ rpc }, response) => {
      if (rpc === undefined || !refused.includes(rpc)) return false
      response.writeHead(401).end()
      return true
    })
    const stack = keep(await startStack({ targets: { a: target.url } }))
    const answer = await stack.post(call('a_echo'), await begin(stack))
    expect(answer.status).toBe(200)
    expect((await readMessage(answer)).error.data).toMatchObject({
      cause: 'refused_credential',
      httpStatus: 401,
    })
    expect(target.of('tools/call')).toHaveLength(1)
  })
})
