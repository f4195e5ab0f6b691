import { Agent } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  GOOD_TEXT,
  type HostileTarget,
  MODES,
  type Mode,
  startHostileTarget,
} from '../../../helpers/targets/hostile.js'
import { call, type RawAnswer, send } from '../../../helpers/targets/raw-client.js'

const GIGANTIC = 2 * 1024 * 1024
let target: HostileTarget
beforeAll(async () => {
  target = await startHostileTarget({ dripMs: 1, giganticBytes: GIGANTIC })
})
beforeEach(() => {
  target.clear()
  target.followed.length = 0
})
afterAll(() => target.close())

const tested = new Set<Mode>()
function provoke(mode: Mode, options = {}): Promise<RawAnswer> {
  tested.add(mode)
  return call(target.at(mode), 'tools/call', { name: 'echo' }, options)
}

describe('startHostileTarget', () => {
  it('misbehaves for one method only, when told so', async () => {
    const url = target.at('server-error', 'tools/call')
    expect((await call(url, 'initialize', {})).status).toBe(200)
    expect(JSON.parse((await call(url, 'tools/list')).body).result.tools).toHaveLength(1)
    expect((await call(url, 'tools/call', { name: 'echo' })).status).toBe(500)
    expect((await send(target.at('server-error'), { method: 'GET' })).status).toBe(500)
    expect(target.of('tools/call')).toHaveLength(1)
  })

  it.each([
    ['unauthorized', 401, { 'www-authenticate': expect.stringContaining('attacker.example') }],
    ['forbidden', 403, { 'www-authenticate': expect.stringContaining('insufficient_scope') }],
    ['not-found', 404, {}],
    ['rate-limited', 429, { 'retry-after': '7' }],
    ['server-error', 500, {}],
    ['bad-gateway-html', 502, { 'content-type': expect.stringContaining('text/html') }],
    ['unavailable', 503, { 'retry-after': '3' }],
    ['error-with-rpc-body', 400, { 'content-type': 'application/json' }],
    ['no-content', 204, {}],
    ['accepted', 202, {}],
  ] as const)('%s answers %i', async (mode, status, headers) => {
    expect(await provoke(mode)).toMatchObject({ status, headers, error: undefined })
  })

  it('bad-gateway-html speaks of a 404 in its page', async () => {
    expect((await provoke('bad-gateway-html')).body).toContain('404 Not Found')
  })

  it.each([301, 302, 303, 307, 308] as const)(
    'redirect-%i names another server, which records who follows',
    async (status) => {
      const answer = await provoke(`redirect-${status}`)
      expect(answer.status).toBe(status)
      expect(target.followed).toHaveLength(0)
      const location = String(answer.headers.location)
      expect(new URL(location).origin).not.toBe(target.origin)
      const headers = { authorization: 'Bearer leaked' }
      await call(location, 'tools/call', {}, { headers })
      expect(target.followed[0]).toMatchObject({ rpc: 'tools/call', headers })
    },
  )

  it.each([
    ['reset-before-headers', 0, 'ECONNRESET'],
    ['close-before-headers', 0, 'ECONNRESET'],
    ['reset-after-headers', 200, 'ECONNRESET'],
    ['hang-before-headers', 0, 'TIMEOUT'],
    ['hang-after-headers', 200, 'TIMEOUT'],
    ['half-json', 200, 'ECONNRESET'],
    ['half-chunked-json', 200, 'ECONNRESET'],
    ['cut-stream', 200, 'ECONNRESET'],
    ['hang-stream', 200, 'TIMEOUT'],
    ['endless-stream', 200, 'TIMEOUT'],
    ['huge-headers', 0, 'HPE_HEADER_OVERFLOW'],
    ['many-headers', 0, 'HPE_HEADER_OVERFLOW'],
  ] as const)('%s breaks off after status %i with %s', async (mode, status, error) => {
    const patienceMs = error === 'TIMEOUT' ? 300 : 10_000
    expect(await provoke(mode, { patienceMs })).toMatchObject({ status, error })
  })

  it('half-json promises more bytes than it sends', async () => {
    const { headers, bytes } = await provoke('half-json')
    expect(bytes.length).toBeGreaterThan(0)
    expect(bytes.length).toBeLessThan(Number(headers['content-length']))
  })

  it.each([
    ['half-stream', /^event: message\ndata: .*\n\n$/],
    ['half-stream-with-ids', /\nid: stream-1\n/],
    ['half-event', /[^\n]$/],
    ['unfinished-event', /\}\n$/],
    ['empty-stream', /^$/],
  ] as const)('%s ends cleanly without a whole response', async (mode, body) => {
    const answer = await provoke(mode)
    expect(answer).toMatchObject({ status: 200, error: undefined })
    expect(answer.headers['content-type']).toBe('text/event-stream')
    expect(answer.body).toMatch(body)
  })

  it.each([
    ['invalid-json', 'application/json', '{"jsonrpc":"2.0","id":1,'],
    ['other-shape', 'application/json', '{"status":"ok","version":3}'],
    ['json-array', 'application/json', expect.stringMatching(/^\[.*\]$/)],
    ['json-null', 'application/json', 'null'],
    ['neither-result-nor-error', 'application/json', '{"jsonrpc":"2.0","id":1}'],
    ['wrong-id', 'application/json', expect.stringContaining('"someone-else"')],
    ['wrong-id-type', 'application/json', expect.stringContaining('"id":"1"')],
    ['login-page', 'text/html; charset=utf-8', expect.stringContaining('Sign in')],
    ['wrong-content-type', 'text/plain', expect.stringContaining(GOOD_TEXT)],
    ['missing-content-type', undefined, expect.stringContaining(GOOD_TEXT)],
    ['odd-content-type', 'Application/JSON ; charset="UTF-8"', expect.stringContaining(GOOD_TEXT)],
    ['empty', 'application/json', ''],
    ['null-bytes', 'application/json', expect.stringContaining('\0')],
    ['byte-order-mark', 'application/json', expect.stringMatching(/^\ufeff/)],
    ['slow-drip', 'application/json', expect.stringContaining(GOOD_TEXT)],
  ] as const)('%s answers 200 with %s', async (mode, contentType, body) => {
    const answer = await provoke(mode)
    expect(answer).toMatchObject({ status: 200, body, error: undefined })
    expect(answer.headers['content-type']).toBe(contentType)
  })

  it('invalid-utf8 sends bytes that are no text', async () => {
    const { bytes } = await provoke('invalid-utf8')
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(bytes)).toThrow()
  })

  it('gzip compresses although nobody asked', async () => {
    const { headers, bytes } = await provoke('gzip')
    expect(headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(bytes).toString()).toContain(GOOD_TEXT)
  })

  it.each([
    ['duplicate-response', 2],
    ['response-then-more', 2],
    ['foreign-response-first', 2],
    ['event-not-json', 2],
  ] as const)('%s sends the right answer and more', async (mode, events) => {
    const { body } = await provoke(mode)
    expect(body).toContain(GOOD_TEXT)
    expect(body.match(/^data: /gm)).toHaveLength(events)
  })

  it('set-cookie and hop-by-hop add headers that must not travel on', async () => {
    expect((await provoke('set-cookie')).headers['set-cookie']).toHaveLength(2)
    expect((await provoke('hop-by-hop')).headers).toMatchObject({
      connection: 'keep-alive, x-private',
      'x-private': '1',
    })
  })

  it('gigantic sends as much as it was told to', async () => {
    const { bytes, body } = await provoke('gigantic')
    expect(bytes.length).toBeGreaterThan(GIGANTIC)
    expect(JSON.parse(body).id).toBe(1)
  })

  it('huge-headers and many-headers are readable for whoever allows them', async () => {
    const options = { maxHeaderSize: 1024 * 1024 }
    expect((await provoke('huge-headers', options)).status).toBe(200)
    expect((await provoke('many-headers', options)).status).toBe(200)
  })

  it('informational sends 100, 102 and 103 before its answer', async () => {
    const answer = await provoke('informational')
    expect(answer.informational).toEqual(expect.arrayContaining([102, 103]))
    expect(answer.informational).toContain(100)
    expect(answer).toMatchObject({ status: 200, body: expect.stringContaining(GOOD_TEXT) })
  })

  it.each(['keep-alive-race', 'keep-alive-race-reset'] as const)(
    '%s answers once on a connection and drops what comes next',
    async (mode) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      expect(await provoke(mode, { agent })).toMatchObject({ status: 200, error: undefined })
      expect(await provoke(mode, { agent })).toMatchObject({ status: 0, error: 'ECONNRESET' })
      expect(await provoke(mode, { agent })).toMatchObject({ status: 200, error: undefined })
      agent.destroy()
      expect(target.of('tools/call').map(({ socket }) => socket)).toEqual(
        expect.arrayContaining([expect.any(Number)]),
      )
      expect(new Set(target.of('tools/call').map(({ socket }) => socket)).size).toBe(2)
    },
  )

  it('has each of its ways tested here', () => {
    expect(MODES.filter((mode) => !tested.has(mode))).toEqual([])
  })
})
