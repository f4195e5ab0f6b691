import { createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { type CliProcess, startCli } from '../../helpers/cli.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  NO_ANSWER,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'
import { startValkey, VALKEY, type Valkey } from '../../helpers/valkey.js'

const PUBLIC = 'http://mcp.localhost:8124'

const AUD = `${PUBLIC}/mcp`

/** Longer than a busy machine keeps anybody waiting, so that only the store decides. */
const PATIENT = { store: 5 }

const call = (name: string, id: string | number = 7) => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call' },
  params: { name, arguments: {} },
})

let identity: Identity
let target: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget({ getStream: true })
  target.on('tools/call', ({ name }) => (name === 'slow' ? NO_ANSWER : { content: [] }))
})
afterAll(async () => {
  await target.close()
  await identity.close()
})

const bearer = async (claims: Record<string, unknown>) =>
  `Bearer ${await identity.mint({ aud: AUD, ...claims })}`

const HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

async function post(url: string, authorization: string, message: unknown = call('target_echo')) {
  const headers = { ...HEADERS, authorization }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(message) })
  const body = await response.text()
  return { status: response.status, wait: Number(response.headers.get('retry-after')), body }
}

/** How many of each status there are. */
const counted = (answers: { status: number }[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** A server in this process, one of several replicas. */
const replica = (store: string, limits: object = {}, more: object = {}) =>
  startStack({
    identity,
    targets: { target: target.url },
    config: {
      limits: { store, ...limits },
      timeouts: PATIENT,
      server: { publicUrl: PUBLIC, metricsPort: 0, allowedHosts: ['127.0.0.1'] },
      ...more,
    },
  })

const isDown = async (stack: Stack) => {
  const text = (await stack.server.metrics?.text()) ?? ''
  return /^mcp_proxy_limit_store_state\{state="down"\} 1$/m.test(text)
}

const eventsOf = (stack: Stack) =>
  stack
    .logs()
    .map(({ event }) => String(event))
    .filter((event) => event.startsWith('limit_store'))

describe.skipIf(VALKEY === undefined)('limits in a store', () => {
  let valkey: Valkey
  const password = 'pass word/with:odd@signs'
  beforeAll(async () => {
    valkey = await startValkey({ password })
  })
  afterAll(() => valkey.kill())

  it('let exactly as many requests through three processes, one with workers, as one may', async () => {
    const start = async (...flags: string[]) => {
      const args = ['serve', '--port', '0', '--public-url', PUBLIC, '--log-format', 'json']
      const where = ['--target', `target=${target.url}`, '--allowed-host', '127.0.0.1']
      const cli = startCli([...args, ...where, ...flags], {
        env: {
          DESCOPE_CONFIG_URL: identity.configUrl,
          SESSION_SECRET: 'a-session-secret-of-more-than-32-bytes',
          MCP_DESCOPE_LIMITS_STORE: valkey.url,
          MCP_DESCOPE_LIMITS_REQUESTS_PER_MINUTE_PER_CALLER: '20',
          MCP_DESCOPE_LIMITS_REQUESTS_PER_MINUTE_PER_CLIENT: '30',
          MCP_DESCOPE_TIMEOUTS_STORE: '5',
        },
        timeoutMs: 60_000,
      })
      const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
      return { ...cli, url }
    }
    const all: (CliProcess & { url: string })[] = await Promise.all([
      start(),
      start(),
      start('--workers', '2'),
    ])
    try {
      const ask = async (count: number, claims: object, message?: unknown) => {
        const authorization = await bearer({ azp: 'one-client', ...claims })
        return Promise.all(
          Array.from({ length: count }, (_, i) =>
            post(all[i % all.length]?.url ?? '', authorization, message),
          ),
        )
      }
      const first = await ask(60, { sub: 'ann' })
      expect(counted(first)).toEqual({ 200: 20, 429: 40 })
      for (const { status, wait, body } of first) {
        if (status !== 429) continue
        expect(wait).toBeGreaterThan(0)
        expect(wait).toBeLessThanOrEqual(60)
        expect(body).toContain('20 a minute of one caller are the most here')
      }
      // what the caller's limit refused does not count at the client's
      const second = await ask(60, { sub: 'bob' })
      expect(counted(second)).toEqual({ 200: 10, 429: 50 })
      expect(second.find(({ status }) => status === 429)?.body).toContain(
        '30 a minute of one client',
      )
      // whatever is refused for its form counts, too
      const odd = await ask(20, { sub: 'cid', azp: 'odd-client' }, { jsonrpc: '1.0' })
      expect(counted(odd)).toEqual({ 400: 20 })
      expect(counted(await ask(3, { sub: 'cid', azp: 'odd-client' }))).toEqual({ 429: 3 })
    } finally {
      for (const { child } of all) child.kill('SIGTERM')
      const ended = await Promise.all(all.map((cli) => cli.ended))
      expect(ended.map(({ status }) => status)).toEqual([0, 0, 0])
      for (const { stderr } of ended) expect(stderr).not.toMatch(/odd@signs|odd%40signs/)
    }
  })

  describe('of two replicas', () => {
    let replicas: Stack[]
    const url = (index: number) => replicas[index]?.url ?? ''
    beforeAll(async () => {
      const limits = { callsPerCaller: 2, streamsPerCaller: 1, streamsPerClient: 2 }
      const more = { storePrefix: 'two', requestsPerMinutePerCaller: 1_000 }
      replicas = [
        await replica(valkey.url, { ...limits, ...more }),
        await replica(valkey.url, { ...limits, ...more }),
      ]
    })
    afterAll(() => Promise.all(replicas.map((stack) => stack.close())))

    it('hold for what runs at once, and are free again when that ends, however it ends', async () => {
      const authorization = await bearer({ sub: 'dan' })
      target.clear()
      const abort = new AbortController()
      const slow = [0, 1].map((index) =>
        fetch(url(index), {
          method: 'POST',
          headers: { ...HEADERS, authorization },
          body: JSON.stringify(call('target_slow')),
          signal: abort.signal,
        }).catch(() => undefined),
      )
      await eventually(() => expect(target.of('tools/call')).toHaveLength(2))
      const refused = await post(url(0), authorization)
      expect([refused.status, refused.wait]).toEqual([429, 1])
      expect(refused.body).toContain('2 of one caller are the most here')
      expect(JSON.parse(refused.body).id).toBe(7)
      // who has as many calls as may be can still cancel one
      const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } }
      expect((await post(url(1), authorization, cancel)).status).toBe(202)
      expect((await post(url(1), await bearer({ sub: 'eve' }))).status).toBe(200)
      abort.abort()
      await Promise.all(slow)
      await eventually(async () => expect((await post(url(1), authorization)).status).toBe(200))
      expect(await valkey.ask('KEYS', 'two:calls:*')).toBe('*0\r\n+OK\r\n')
    })

    it('hold for streams of a caller and of a client, and survive that the store loses all', async () => {
      const streams: AbortController[] = []
      const open = async (index: number, sub: string) => {
        const controller = new AbortController()
        streams.push(controller)
        const authorization = await bearer({ sub, azp: 'streamer' })
        const headers = { authorization, accept: 'text/event-stream' }
        const response = await fetch(url(index), { headers, signal: controller.signal })
        return [response.status, response.headers.get('retry-after')]
      }
      try {
        expect(await open(0, 'fay')).toEqual([200, null])
        expect(await open(1, 'fay')).toEqual([429, '30'])
        expect(await open(1, 'gil')).toEqual([200, null])
        expect(await open(0, 'hal')).toEqual([429, '30'])
        await valkey.kill()
        await eventually(async () =>
          expect(await Promise.all(replicas.map(isDown))).toEqual([true, true]),
        )
        await valkey.start()
        await eventually(async () =>
          expect(await Promise.all(replicas.map(isDown))).toEqual([false, false]),
        )
        expect(await open(1, 'fay')).toEqual([429, '30'])
        streams[0]?.abort()
        await eventually(async () => expect(await open(1, 'fay')).toEqual([200, null]))
      } finally {
        for (const controller of streams) controller.abort()
      }
    })

    it('fail no call while the store is killed and comes back, and tell both once', async () => {
      const before = replicas.map((stack) => eventsOf(stack).length)
      const authorization = await bearer({ sub: 'ida' })
      let isOver = false
      const statuses: number[] = []
      const load = [0, 1].map(async (index) => {
        while (!isOver) statuses.push((await post(url(index), authorization)).status)
      })
      await valkey.kill()
      await eventually(async () =>
        expect(await Promise.all(replicas.map(isDown))).toEqual([true, true]),
      )
      const soFar = statuses.length
      await eventually(() => expect(statuses.length).toBeGreaterThan(soFar + 20))
      const ready = await fetch(`${replicas[0]?.origin}/readyz`, { headers: { host: '127.0.0.1' } })
      expect([ready.status, ((await ready.json()) as { ready: unknown }).ready]).toEqual([
        200,
        true,
      ])
      await valkey.start()
      await eventually(async () =>
        expect(await Promise.all(replicas.map(isDown))).toEqual([false, false]),
      )
      isOver = true
      await Promise.all(load)
      expect(new Set(statuses)).toEqual(new Set([200]))
      const told = replicas.map((stack, index) => eventsOf(stack).slice(before[index]))
      expect(told).toEqual([
        ['limit_store_down', 'limit_store_back'],
        ['limit_store_down', 'limit_store_back'],
      ])
    })
  })

  it('go on in each process where the store refuses the password, which nothing shows', async () => {
    const wrong = valkey.url.replace(/:[^:@]+@/, ':a-wrong-password-of-mine@')
    const stack = await replica(wrong, { requestsPerMinutePerClient: 2 })
    try {
      const ask = async () =>
        (await post(stack.url, await bearer({ sub: 'kim', azp: 'kims' }))).status
      expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 429])
      expect(eventsOf(stack)).toEqual(['limit_store_down'])
      expect(stack.logText()).toContain(
        `The limit store 127.0.0.1:${valkey.port} is away: WRONGPASS`,
      )
      expect(stack.logText()).not.toContain('a-wrong-password')
      expect(await isDown(stack)).toBe(true)
    } finally {
      await stack.close()
    }
  })

  it('count by keys of one length that nothing of a subject or client can shape', async () => {
    const stack = await replica(valkey.url, { storePrefix: 'odd', requestsPerMinute: 100 })
    try {
      const odd = [
        'a b\r\nFLUSHALL\r\n',
        'x'.repeat(3_000),
        'odd:rate:*',
        '{tag}',
        '\u0000\ud83d\ude00',
      ]
      for (const sub of odd) {
        const authorization = await bearer({ sub, azp: sub })
        expect((await post(stack.url, authorization)).status).toBe(200)
      }
      const keys = (await valkey.ask('KEYS', 'odd:rate:*'))
        .split('\r\n')
        .filter((it) => /^odd/.test(it))
      expect(keys).toHaveLength(odd.length)
      for (const key of keys) expect(key).toMatch(/^odd:rate:both:[\w-]{22}\.[\w-]{22}$/)
    } finally {
      await stack.close()
    }
  })
})

describe('a store that', () => {
  const sockets = new Set<Socket>()
  const listen = async (onSocket: (socket: Socket) => void) => {
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      onSocket(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
    const { port } = server.address() as { port: number }
    return { server, url: `redis://127.0.0.1:${port}` }
  }
  it.each<[string, (socket: Socket) => void, RegExp]>([
    ['never answers', () => undefined, /is away: it did not answer within 1000 ms/],
    ['answers nonsense', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), /is away: /],
    [
      'answers what no limit can mean',
      (socket) => socket.on('data', () => socket.write(':-17\r\n')),
      /is away: its answer makes no sense/,
    ],
    ['hangs up', (socket) => socket.destroy(), /is away: /],
  ])('%s fails and delays nothing: each process counts alone', async (_what, behave, told) => {
    const { server, url } = await listen(behave)
    const stack = await replica(
      url,
      { requestsPerMinutePerCaller: 2 },
      { timeouts: { store: 0.1 } },
    )
    try {
      const authorization = await bearer({ sub: 'lea' })
      const statuses = []
      for (let i = 0; i < 3; i++) statuses.push((await post(stack.url, authorization)).status)
      expect(statuses).toEqual([200, 200, 429])
      expect(stack.logText()).toMatch(told)
      expect(eventsOf(stack)[0]).toBe('limit_store_down')
    } finally {
      await stack.close()
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  })
})
