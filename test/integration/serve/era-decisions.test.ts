import { afterEach, describe, expect, it } from 'vitest'
import { keepUntil } from '../../helpers/keep.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { startModernRecordingTarget } from '../../helpers/targets/modern.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSdkV2Target } from '../../helpers/targets/sdk-v2.js'

const VERSION = '2026-07-28'
const OLD = '2025-11-25'
const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion'
const CLIENT = { capabilities: {}, clientInfo: { name: 'c', version: '1' } }
const hello = (version = OLD) => ({
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: { protocolVersion: version, ...CLIENT },
})

const keep = keepUntil(afterEach)

const front = async (...urls: string[]): Promise<Stack> =>
  keep(await startStack({ targets: Object.fromEntries(urls.map((url, n) => [`t${n}`, url])) }))

/** Begins as older clients do; returns the headers of what follows. */
async function begin(stack: Stack): Promise<Record<string, string>> {
  const response = await stack.post(hello())
  expect((await readMessage(response)).result).toMatchObject({ protocolVersion: OLD })
  const id = response.headers.get('mcp-session-id')
  const headers = { 'mcp-protocol-version': OLD, ...(id !== null && { 'mcp-session-id': id }) }
  await stack.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, headers)
  return headers
}

describe('in front of a target of the versions before 2026-07-28, serve', () => {
  const { params } = modernRequest('tools/list')
  it.each<[string, object, Record<string, string | undefined>]>([
    ['server/discover', modernRequest('server/discover'), {}],
    ['tools/list', modernRequest('tools/list'), {}],
    ['a call', modernRequest('tools/call', { name: 't0_echo', arguments: {} }), {}],
    ['a subscription', modernRequest('subscriptions/listen', { notifications: {} }), {}],
    ['a method that the era has no more', modernRequest('ping'), {}],
    ['a method that nobody has', modernRequest('who/knows'), {}],
    [
      'server/discover without its headers',
      modernRequest('server/discover'),
      { 'mcp-method': undefined },
    ],
    [
      'server/discover under another version',
      modernRequest('server/discover'),
      { 'mcp-protocol-version': OLD },
    ],
    [
      'a call whose name differs',
      modernRequest('tools/call', { name: 't0_echo' }),
      { 'mcp-name': 'x' },
    ],
    [
      'server/discover of a later version',
      {
        ...modernRequest('server/discover'),
        params: { _meta: { ...params._meta, [VERSION_KEY]: '2027-01-01' } },
      },
      { 'mcp-protocol-version': '2027-01-01' },
    ],
    ['server/discover without _meta', { ...modernRequest('server/discover'), params: {} }, {}],
  ])('does not know %s: 400 with -32601 under its id', async (_title, message, headers) => {
    const target = keep(await startRecordingTarget({ sessions: 'required' }))
    const other = keep(await startRecordingTarget())
    for (const stack of [await front(target.url), await front(target.url, other.url)]) {
      for (let turn = 0; turn < 2; turn++) {
        const answer = await postStateless(stack, message, headers)
        expect(answer).toMatchObject({
          status: 400,
          message: { id: 'm-1', error: { code: -32601 } },
        })
      }
    }
    const asked = [...target.requests, ...other.requests].map(({ rpc }) => rpc)
    expect(asked.filter((rpc) => rpc !== 'server/discover')).toEqual([])
  })
})

describe('a request that names 2026-07-28 in its header only', () => {
  it('is answered 400 under its id, and decides nothing about a target of both eras', async () => {
    for (const legacy of ['sessions', 'stateless'] as const) {
      const target = keep(await startSdkV2Target({ legacy }))
      const stack = await front(target.url)
      const session = await begin(stack)
      for (const method of ['ping', 'logging/setLevel', 'tools/list', 'tools/call']) {
        target.clear()
        const params = method === 'logging/setLevel' ? { level: 'info' } : { name: 't0_echo' }
        const message = { jsonrpc: '2.0', id: 'odd', method, params }
        const answer = await postStateless(stack, message)
        expect(answer).toMatchObject({
          status: 400,
          message: { id: 'odd', error: { code: -32602 } },
        })
        const bare = await postStateless(stack, message, { 'mcp-method': undefined })
        expect(bare).toMatchObject({ status: 400, message: { id: 'odd' } })
        expect(target.requests).toEqual([])
      }
      // the session goes on as it was, and so do new ones
      const call = { name: 't0_echo', arguments: { text: 'still here' } }
      const message = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: call }
      for (const headers of [session, await begin(stack)]) {
        expect(JSON.stringify(await readMessage(await stack.post(message, headers)))).toContain(
          'still here',
        )
      }
      expect(target.of('server/discover')).toEqual([])
      expect(stack.logs().map(({ event }) => event)).not.toContain('translating')
    }
  })

  it('is answered 400 in a session too', async () => {
    const target = keep(await startSdkV2Target({ legacy: 'sessions' }))
    const stack = await front(target.url)
    const session = await begin(stack)
    const headers = { ...session, 'mcp-protocol-version': VERSION }
    const answer = await stack.post({ jsonrpc: '2.0', id: 'odd', method: 'ping' }, headers)
    expect(answer.status).toBe(400)
    expect(await readMessage(answer)).toMatchObject({ id: 'odd', error: {} })
    expect((await stack.post({ jsonrpc: '2.0', id: 3, method: 'ping' }, session)).status).toBe(200)
  })

  it('is refused as a notification too, before anything is sent', async () => {
    const target = keep(await startRecordingTarget())
    const stack = await front(target.url)
    expect(await postStateless(stack, modernRequest('server/discover'))).toMatchObject({
      status: 400,
    })
    target.clear()
    const message = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' }
    const response = await stack.post(message, { 'mcp-protocol-version': VERSION })
    expect(response.status).toBe(400)
    expect(target.requests).toEqual([])
  })

  it('does not keep initialize from being answered', async () => {
    const target = keep(await startRecordingTarget())
    const stack = await front(target.url)
    for (const version of [VERSION, '1999-01-01', 'banana']) {
      const response = await stack.post(hello(), { 'mcp-protocol-version': version })
      expect((await readMessage(response)).result.protocolVersion).toBe(OLD)
    }
  })

  it('passes as a notification, which needs no _meta', async () => {
    const target = keep(await startSdkV2Target())
    const stack = await front(target.url)
    const cancelled = {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1 },
    }
    const headers = { 'mcp-protocol-version': VERSION, 'mcp-method': 'notifications/cancelled' }
    expect((await stack.post(cancelled, headers)).status).toBe(202)
    expect(target.of('notifications/cancelled')).toHaveLength(1)
  })
})

describe('the refusal of a request that is not initialize', () => {
  it.each([
    ['invalid parameters', -32602],
    ['another version', -32022],
    ['headers that differ', -32020],
  ])('for %s does not make older clients translated', async (_title, code) => {
    const target = keep(
      await startRecordingTarget({
        intercept: ({ rpc, message }, response) => {
          if (rpc !== 'tools/call' && rpc !== 'server/discover') return false
          const id = message?.['id']
          const result = { supportedVersions: [VERSION, OLD], capabilities: {} }
          const error = { code, message: 'No', data: { supported: [VERSION] } }
          response.writeHead(rpc === 'tools/call' ? 400 : 200, {
            'content-type': 'application/json',
          })
          response.end(
            JSON.stringify({
              jsonrpc: '2.0',
              id,
              ...(rpc === 'tools/call' ? { error } : { result }),
            }),
          )
          return true
        },
      }),
    )
    const stack = await front(target.url)
    const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't0_echo' } }
    expect((await readMessage(await stack.post(call))).error.code).toBe(code)
    await begin(stack)
    expect(target.of('initialize').length).toBeGreaterThan(0)
    expect(stack.logs().map(({ event }) => event)).not.toContain('translating')
  })

  it('by a target of 2026-07-28 alone lets clients in that never send initialize', async () => {
    const target = keep(await startModernRecordingTarget())
    const stack = await front(target.url)
    const list = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
    expect((await readMessage(list)).result.tools).toMatchObject([{ name: 't0_echo' }])
  })
})

describe('a target that answers initialize of an older version with 2026-07-28', () => {
  it.each(['json', 'sse', 'open stream'] as const)('in %s is translated', async (style) => {
    const target = keep(await startModernRecordingTarget())
    target.intercept((request, response) => {
      if (request.rpc !== 'initialize') return false
      const result = {
        protocolVersion: VERSION,
        capabilities: {},
        serverInfo: { name: 's', version: '1' },
      }
      const text = JSON.stringify({ jsonrpc: '2.0', id: request.message?.['id'], result })
      if (style === 'json') {
        response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(text)
      } else {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(`: hello\n\ndata: ${text}\n\n`)
        if (style === 'sse') response.end()
      }
      return true
    })
    const single = await front(target.url)
    const several = await front(target.url, keep(await startRecordingTarget()).url)
    for (const stack of [single, several]) {
      for (let turn = 0; turn < 2; turn++) {
        const headers = await begin(stack)
        const call = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 't0_echo' } }
        expect(JSON.stringify(await readMessage(await stack.post(call, headers)))).toContain('echo')
      }
    }
    expect(target.of('tools/call')).toHaveLength(4)
    expect(target.violations).toEqual([])
  })

  it('and does not know server/discover is left as it is', async () => {
    const target = keep(await startRecordingTarget({ versions: [VERSION] }))
    const stack = await front(target.url)
    const { result } = await readMessage(await stack.post(hello()))
    expect(result.protocolVersion).toBe(VERSION)
  })
})

describe('MCP-Protocol-Version', () => {
  it.each([
    ['of a version that nobody speaks', '1999-01-01', {}],
    ['of a later version', '2027-01-01', {}],
    ['that is no version', 'banana', {}],
    ['sent twice', `${OLD}, ${OLD}`, {}],
    ['that is empty', '', {}],
    ['of 2026-07-28 without _meta', VERSION, {}],
    ['of 2026-07-28 with _meta of an older version', VERSION, { _meta: { [VERSION_KEY]: OLD } }],
    ['of 2026-07-28 with _meta without a version', VERSION, { _meta: { progressToken: 1 } }],
    ['of 2026-07-28 with a version that is no text', VERSION, { _meta: { [VERSION_KEY]: 7 } }],
    [
      'of an older version with _meta of 2026-07-28',
      OLD,
      { _meta: modernRequest('x').params._meta },
    ],
  ])('%s is refused with 400 before anything is sent', async (_title, version, params) => {
    for (const target of [
      keep(await startRecordingTarget()),
      keep(await startModernRecordingTarget()),
    ]) {
      for (const stack of [await front(target.url), await front(target.url, target.url)]) {
        for (const method of ['tools/list', 'ping', 'tools/call']) {
          const message = {
            jsonrpc: '2.0',
            id: 'v',
            method,
            params: { name: 't0_echo', ...params },
          }
          const response = await stack.post(message, { 'mcp-protocol-version': version })
          expect(response.status).toBe(400)
          expect(await readMessage(response)).toMatchObject({ id: 'v', error: {} })
        }
      }
      const asked = target.requests.map(({ rpc }) => rpc)
      expect(asked.filter((rpc) => rpc !== 'server/discover')).toEqual([])
    }
  })

  it('of an unknown version is refused for GET and DELETE', async () => {
    const target = keep(await startRecordingTarget())
    const stack = await front(target.url)
    const authorization = `Bearer ${await stack.token()}`
    for (const method of ['GET', 'DELETE']) {
      const headers = {
        authorization,
        accept: 'text/event-stream',
        'mcp-protocol-version': '1999-01-01',
      }
      expect((await fetch(stack.url, { method, headers })).status).toBe(400)
    }
    expect(target.requests).toEqual([])
  })

  it.each([undefined, OLD, '2025-06-18', '2025-03-26', '2024-11-05'])(
    '%s passes',
    async (version) => {
      const target = keep(
        await startRecordingTarget({ versions: [OLD, '2025-06-18', '2025-03-26', '2024-11-05'] }),
      )
      const stack = await front(target.url)
      const headers: Record<string, string> =
        version === undefined ? {} : { 'mcp-protocol-version': version }
      const answer = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers)
      expect((await readMessage(answer)).result.tools).toMatchObject([{ name: 't0_echo' }])
    },
  )
})
