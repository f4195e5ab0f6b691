import { afterEach, describe, expect, it } from 'vitest'
import { keepUntil } from '../../helpers/keep.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSseTarget } from '../../helpers/targets/sse-v1.js'

const keep = keepUntil(afterEach)

const OLD = '2025-11-25'
const hello = {
  ...{ jsonrpc: '2.0', id: 1, method: 'initialize' },
  params: { protocolVersion: OLD, capabilities: {}, clientInfo: { name: 'c', version: '1' } },
}
const call = (name: string) => ({
  ...{ jsonrpc: '2.0', id: 2, method: 'tools/call' },
  params: { name, arguments: {} },
})

async function begin(stack: Stack): Promise<Record<string, string>> {
  const response = await stack.post(hello, { cookie: 'client=own' })
  await response.text()
  expect(response.headers.get('set-cookie')).toBeNull()
  const id = response.headers.get('mcp-session-id') ?? ''
  return { 'mcp-protocol-version': OLD, 'mcp-session-id': id, cookie: 'client=own' }
}

const startSticky = async (...cookies: string[]): Promise<RecordingTarget> => {
  const headers = { 'set-cookie': cookies }
  return keep(await startRecordingTarget({ sessions: 'required', headers }))
}

const cookiesOf = (target: RecordingTarget) =>
  target.requests.filter(({ rpc }) => rpc !== 'initialize').map(({ headers }) => headers.cookie)

describe('the cookies of a target behind a balancer', () => {
  it('come back with everything in the session, and to no other target', async () => {
    const sticky = await startSticky('AWSALB=node-1; Path=/; Max-Age=3600', 'app="x"; HttpOnly')
    const other = await startSticky('lb=node-2')
    const targets = { a: sticky.url, b: other.url }
    const one = keep(await startStack({ targets }))
    const session = await begin(one)
    await one.post({ jsonrpc: '2.0', method: 'notifications/initialized' }, session)
    await readMessage(await one.post(call('a_echo'), session))
    const authorization = `Bearer ${await one.token()}`
    const abort = new AbortController()
    const listening = { authorization, accept: 'text/event-stream', ...session }
    await fetch(one.url, { headers: listening, signal: abort.signal })
    await eventually(() => expect(sticky.getStreams()).toHaveLength(1))
    abort.abort()
    await fetch(one.url, { method: 'DELETE', headers: { authorization, ...session } })
    const sent = cookiesOf(sticky)
    expect(sent.length).toBeGreaterThanOrEqual(4)
    expect(new Set(sent)).toEqual(new Set(['AWSALB=node-1; app="x"']))
    expect(new Set(cookiesOf(other))).toEqual(new Set(['lb=node-2']))
    sticky.clear()
    // sessions of different users have cookies of their own
    const [first, second] = [await begin(one), await begin(one)]
    expect(first['mcp-session-id']).not.toBe(second['mcp-session-id'])
    expect(sticky.of('initialize').map(({ headers }) => headers.cookie)).toEqual([
      undefined,
      undefined,
    ])
  })

  it.each([
    ['for another path', 'a=1; Path=/other'],
    ['for another domain', 'a=1; Domain=example.com'],
    ['that expired', 'a=1; Expires=Thu, 01 Jan 2015 00:00:00 GMT'],
    ['that are taken back', 'a=1; Max-Age=0'],
    ['that are too long', `a=${'x'.repeat(600)}`],
    ['that are none', 'no cookie'],
  ])('%s are not sent', async (_title, cookie) => {
    const sticky = await startSticky(cookie)
    const stack = keep(await startStack({ targets: { a: sticky.url } }))
    const session = await begin(stack)
    expect((await readMessage(await stack.post(call('a_echo'), session))).result).toBeDefined()
    expect(cookiesOf(sticky)).toEqual([undefined])
  })

  it.each(['auto', 'sse'] as const)(
    'that speaks HTTP+SSE come back with each post of the session that they were set for (%s)',
    async (transport) => {
      let node = 0
      const newCookies = () => [`lb=node-${++node}; Path=/; HttpOnly`, 'a=1; Path=/x']
      const target = keep(await startSseTarget(() => true, newCookies))
      const stack = keep(await startStack({ targets: { a: { url: target.url, transport } } }))
      for (const session of [await begin(stack), await begin(stack)]) {
        expect((await readMessage(await stack.post(call('a_echo'), session))).result).toBeDefined()
      }
      const posts = target.requests.filter(({ url }) => url.startsWith('/messages'))
      const cookiesBySession = new Map<string, Set<string | undefined>>()
      for (const { url, headers } of posts) {
        const seen = cookiesBySession.get(url) ?? new Set()
        cookiesBySession.set(url, seen.add(headers.cookie))
      }
      const both = [...cookiesBySession.values()].map((seen) => [...seen])
      expect(both).toEqual([[`lb=node-${node - 1}`], [`lb=node-${node}`]])
    },
  )

  it('go with a session that is opened anew', async () => {
    const sticky = await startSticky('lb=node-1')
    const other = keep(await startRecordingTarget({ sessions: 'required' }))
    const stack = keep(await startStack({ targets: { a: sticky.url, b: other.url } }))
    const session = await begin(stack)
    await sticky.forget()
    expect((await readMessage(await stack.post(call('a_echo'), session))).result).toBeDefined()
    expect(sticky.of('tools/call').map(({ headers }) => headers.cookie)).toEqual([
      'lb=node-1',
      'lb=node-1',
    ])
    expect(other.requests.every(({ headers }) => headers.cookie === undefined)).toBe(true)
  })
})
