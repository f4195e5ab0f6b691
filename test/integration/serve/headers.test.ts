import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { type Stack, startStack } from '../../helpers/stack.js'
import { send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let stack: Stack
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
  authorization = `Bearer ${await stack.token()}`
})
beforeEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await target.close()
})

const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'target_echo' } }
const ALLOWED = new Set([
  ...['host', 'connection', 'user-agent', 'content-type', 'content-length', 'accept'],
  ...['authorization', 'mcp-protocol-version', 'traceparent', 'tracestate', 'baggage'],
])

const seen = () => target.requests[0]?.headers ?? {}

it("gives a target its own credential and none of the client's identity", async () => {
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

it('passes no header that it does not know, whatever its name is', async () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9_-]{0,20}$/).map((text) => `x-${text}`)
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), async (names) => {
      target.clear()
      const extra = Object.fromEntries(names.map((header) => [header, 'canary-value']))
      await send(stack.url, { body: call, headers: { authorization, ...extra } })
      expect(JSON.stringify(target.requests[0]?.rawHeaders)).not.toContain('canary-value')
    }),
    { numRuns: 30 },
  )
})

it("passes none of a target's headers to the client but what an answer needs", async () => {
  const answer = await send(stack.url, { body: call, headers: { authorization } })
  expect(Object.keys(answer.headers).sort()).toEqual([
    'cache-control',
    'connection',
    'content-length',
    'content-type',
    'date',
  ])
})
