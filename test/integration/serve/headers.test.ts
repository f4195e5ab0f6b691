import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure } from '../../helpers/targets/contents.js'
import { send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let stack: Stack
let stateful: RecordingTarget
let sessions: Stack
let authorization: string
beforeAll(async () => {
  target = await startRecordingTarget({
    headers: {
      'set-cookie': 'session=of-the-target',
      'www-authenticate': 'Bearer realm="target"',
      server: 'target/1',
      'x-internal': 'secret',
    },
  })
  const credential = { type: 'bearer', token: 'token-of-the-target' } as const
  stack = await startStack({ targets: { target: { url: target.url, credential } } })
  stateful = await startRecordingTarget({ sessions: 'required' })
  sessions = await startStack({
    identity: stack.identity,
    targets: { target: { url: stateful.url, credential } },
    config: { server: { publicUrl: stack.origin } },
  })
  const aud = [stack.server.resource, sessions.server.resource]
  authorization = `Bearer ${await stack.token({ aud })}`
})
beforeEach(() => target.clear())
afterAll(async () => {
  await sessions.close()
  await stack.close()
  await target.close()
  await stateful.close()
})

const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'target_echo' } }
const ALLOWED = new Set([
  ...[
    'host',
    'connection',
    'user-agent',
    'content-type',
    'content-length',
    'accept',
    'accept-encoding',
  ],
  ...['authorization', 'mcp-protocol-version', 'traceparent', 'tracestate', 'baggage'],
  // ours, whatever the client calls its request
  'x-request-id',
])

const seen = () => target.requests[0]?.headers ?? {}

it("[mcp-authz-r9] gives a target its own credential and none of the client's identity", async () => {
  const answer = await send(stack.url, {
    body: call,
    headers: {
      authorization,
      cookie: 'session=of-the-user',
      'proxy-authorization': 'Basic dXNlcjpwYXNz',
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-host': 'evil.example',
      x_forwarded_proto: 'https',
      forwarded: 'for=10.0.0.1',
      'x-api-key': 'of-the-user',
      origin: 'http://localhost:1234',
      referer: 'http://localhost:1234/secret',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      connection: 'authorization, x-api-key',
    },
  })
  expect(answer.status).toBe(200)
  expect(seen()['authorization']).toBe('Bearer token-of-the-target')
  expect(seen()['traceparent']).toContain('0af7651916cd43dd')
  for (const name of Object.keys(seen())) expect(ALLOWED).toContain(name)
  expect(JSON.stringify(target.requests[0]?.rawHeaders)).not.toContain(authorization.slice(7))
})

/** What frames the request, or has a meaning to us. */
const OURS =
  /^(content-|transfer-|connection$|host$|upgrade$|expect$|te$|trailer$|mcp-session-id$|accept$|origin$|authorization$|traceparent$|tracestate$|baggage$|mcp-protocol-version$)/i

it('passes no header that it does not know, whatever its name is', async () => {
  const name = fc
    .tuple(
      fc.constantFrom('x-', 'x_', 'X-Forwarded-', 'proxy-', 'mcp-', 'sec-', 'cf-', ''),
      fc.stringMatching(/^[a-z][a-z0-9_-]{2,20}$/),
    )
    .map((parts) => parts.join(''))
    .filter((header) => !OURS.test(header))
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), async (names) => {
      target.clear()
      const extra = Object.fromEntries(names.map((header) => [header, 'canary-value']))
      await send(stack.url, { body: call, headers: { authorization, ...extra } })
      expect(JSON.stringify(target.requests[0]?.rawHeaders)).not.toContain('canary-value')
    }),
    { numRuns: 60 },
  )
})

it.each(['GET', 'DELETE', 'a notification', 'initialize', 'tools/list'])(
  'keeps the identity of the client on %s, too',
  async (what) => {
    const isVerb = what === 'GET' || what === 'DELETE'
    const body =
      what === 'a notification'
        ? { jsonrpc: '2.0', method: 'notifications/initialized' }
        : { jsonrpc: '2.0', id: 1, method: what, params: { protocolVersion: '2025-11-25' } }
    const session = await send(sessions.url, {
      body: {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25' },
      },
      headers: { authorization },
    })
    stateful.clear()
    await send(sessions.url, {
      method: isVerb ? what : 'POST',
      ...(isVerb ? {} : { body }),
      headers: {
        authorization,
        cookie: 'canary-cookie',
        'x-api-key': 'canary-key',
        'x-forwarded-for': 'canary-address',
        'mcp-session-id': String(session.headers['mcp-session-id']),
      },
      patienceMs: 300,
    })
    expect(stateful.requests.length).toBeGreaterThan(0)
    for (const { headers, rawHeaders } of stateful.requests) {
      expect(headers.authorization).toBe('Bearer token-of-the-target')
      for (const name of Object.keys(headers))
        expect([...ALLOWED, 'mcp-session-id']).toContain(name)
      expect(JSON.stringify(rawHeaders)).not.toMatch(/canary|v1\./)
    }
  },
)

it.each(['GET', 'DELETE', 'a stream', 'an error'])(
  'passes none of them on %s, too',
  async (what) => {
    target.on('tools/call', async (_params, { notify }) => {
      if (what === 'a stream') await notify('notifications/message')
      if (what === 'an error') throw new RpcFailure(-32000, 'no', { status: 409 })
      return {}
    })
    const isVerb = what === 'GET' || what === 'DELETE'
    const answer = await send(stack.url, {
      method: isVerb ? what : 'POST',
      ...(isVerb ? {} : { body: call }),
      headers: { authorization },
      patienceMs: 300,
    })
    expect(answer.status).toBe(what === 'an error' ? 409 : 200)
    for (const name of ['set-cookie', 'www-authenticate', 'server', 'x-internal']) {
      expect(answer.headers[name]).toBeUndefined()
    }
  },
)

it("passes none of a target's headers to the client but what an answer needs", async () => {
  const answer = await send(stack.url, { body: call, headers: { authorization } })
  expect(Object.keys(answer.headers).sort()).toEqual([
    'cache-control',
    'connection',
    'content-length',
    'content-type',
    'date',
    'x-request-id',
  ])
})
