import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import {
  GOOD_TEXT,
  type HostileTarget,
  MODES,
  type Mode,
  startHostileTarget,
} from '../../helpers/targets/hostile.js'
import { send } from '../../helpers/targets/raw-client.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

let hostile: HostileTarget
let base: Stack
beforeAll(async () => {
  hostile = await startHostileTarget({ dripMs: 2, giganticBytes: 4 * 1024 * 1024 })
  base = await startStack({ targets: { target: hostile.url } })
})
afterAll(async () => {
  await base.close()
  await hostile.close()
})

async function withMode<T>(mode: Mode, use: (stack: Stack) => Promise<T>, on?: string): Promise<T> {
  const stack = await startStack({
    identity: base.identity,
    targets: { target: hostile.at(mode, on) },
    config: { timeouts: { answer: 0.5, list: 0.5 } },
  })
  try {
    return await use(stack)
  } finally {
    await stack.close()
  }
}

const call = { jsonrpc: '2.0', id: 'q-1', method: 'tools/call', params: { name: 'target_x' } }

/** How each misbehaviour is answered, and the status that is told with it. */
const FAILURES: Partial<Record<Mode, [cause: string, httpStatus?: number]>> = {
  unauthorized: ['refused_credential', 401],
  forbidden: ['refused_credential', 403],
  'not-found': ['http_status', 404],
  'rate-limited': ['http_status', 429],
  'server-error': ['http_status', 500],
  'bad-gateway-html': ['http_status', 502],
  unavailable: ['http_status', 503],
  'redirect-301': ['http_status', 301],
  'redirect-302': ['http_status', 302],
  'redirect-303': ['http_status', 303],
  'redirect-307': ['http_status', 307],
  'redirect-308': ['http_status', 308],
  'reset-before-headers': ['cut_off'],
  'close-before-headers': ['cut_off'],
  'reset-after-headers': ['cut_off'],
  'hang-before-headers': ['timeout'],
  'hang-after-headers': ['timeout'],
  'half-json': ['cut_off'],
  'half-chunked-json': ['cut_off'],
  'half-stream': ['cut_off'],
  'cut-stream': ['cut_off'],
  'half-event': ['cut_off'],
  'unfinished-event': ['cut_off'],
  'empty-stream': ['cut_off'],
  'hang-stream': ['timeout'],
  'invalid-json': ['invalid_answer'],
  'other-shape': ['invalid_answer'],
  'json-null': ['invalid_answer'],
  'neither-result-nor-error': ['invalid_answer'],
  'wrong-id': ['invalid_answer'],
  'wrong-id-type': ['invalid_answer'],
  'login-page': ['invalid_answer'],
  'wrong-content-type': ['invalid_answer'],
  'missing-content-type': ['invalid_answer'],
  empty: ['invalid_answer'],
  'no-content': ['invalid_answer'],
  accepted: ['invalid_answer'],
  'null-bytes': ['invalid_answer'],
  'invalid-utf8': ['invalid_answer'],
  'foreign-response-first': ['invalid_answer'],
  'huge-headers': ['invalid_answer'],
  'many-headers': ['invalid_answer'],
}
const FAILURE_ENTRIES = Object.entries(FAILURES) as [Mode, [string, number?]][]

/** Odd, but the answer is there. */
const HARMLESS: Mode[] = [
  'informational',
  'json-array',
  'byte-order-mark',
  'gzip',
  'event-not-json',
  'odd-content-type',
  'duplicate-response',
  'response-then-more',
  'set-cookie',
  'hop-by-hop',
  'slow-drip',
  'keep-alive-race',
  'keep-alive-race-reset',
]

/** Have a test of their own below. */
const APART: Mode[] = ['error-with-rpc-body', 'half-stream-with-ids', 'endless-stream', 'gigantic']

it('every misbehaviour is judged', () => {
  const judged = [...Object.keys(FAILURES), ...HARMLESS, ...APART]
  expect(judged.sort()).toEqual([...MODES].sort())
})

/** Nothing of the target's inside, and nothing that sends the client to sign in elsewhere. */
function expectDiscreet(headers: Headers, text: string): void {
  expect(headers.get('www-authenticate')).toBeNull()
  expect(headers.get('location')).toBeNull()
  expect(headers.get('set-cookie')).toBeNull()
  for (const inside of ['secret-stack-trace', '127.0.0.1', 'attacker.example', 'Password']) {
    expect(text).not.toContain(inside)
  }
}

describe('a failure of the target', () => {
  it.each(FAILURE_ENTRIES)('%s is answered in band', async (mode, [cause, httpStatus]) => {
    await withMode(mode, async (stack) => {
      const response = await stack.post(call)
      expect(response.status).toBe(200)
      const message = await readMessage(response)
      expect(message).toMatchObject({
        jsonrpc: '2.0',
        id: 'q-1',
        error: { code: -32603, data: { target: 'target', cause } },
      })
      expect(message.error.data.httpStatus).toBe(httpStatus)
      expectDiscreet(response.headers, JSON.stringify(message))
    })
  })

  it.each(FAILURE_ENTRIES)('%s at initialize is answered under its id', async (mode, [cause]) => {
    await withMode(mode, async (stack) => {
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
      const response = await stack.post({ jsonrpc: '2.0', id: 7, method: 'initialize', params })
      expect(response.status).toBe(200)
      const message = await readMessage(response)
      expect(message).toMatchObject({ id: 7, error: { code: -32603, data: { target: 'target' } } })
      // what precedes an answer on a stream is not looked at here, so that the answer counts
      if (mode !== 'foreign-response-first') {
        expect(message.error.data.cause).toBe(cause)
      }
      expectDiscreet(response.headers, JSON.stringify(message))
    })
  })

  it.each(['rate-limited', 'unavailable'] as const)('%s tells how long to wait', async (mode) => {
    await withMode(mode, async (stack) => {
      const { error } = await readMessage(await stack.post(call))
      const retryAfter = mode === 'unavailable' ? '3' : '7'
      expect(error.data).toMatchObject({ retryAfter, retryable: true })
    })
  })

  it('that the target states itself as a JSON-RPC error passes with its status', async () => {
    await withMode('error-with-rpc-body', async (stack) => {
      const response = await stack.post({ ...call, method: 'tools/list', params: {} })
      expect(response.status).toBe(400)
      expect((await readMessage(response)).error.message).toBe('said with a 400')
    })
  })

  it('comes under no other cause than those that are promised', async () => {
    const target = await startRecordingTarget()
    const stack = await startStack({ identity: base.identity, targets: { target: target.url } })
    target.intercept((_request, response) => {
      response.writeHead(400, { 'content-type': 'text/plain' }).end('Bad Request')
      return true
    })
    try {
      const { error } = await readMessage(await stack.post(call))
      expect(error.data).toEqual({
        ...{ target: 'target', cause: 'http_status', httpStatus: 400 },
        requestId: expect.any(String),
      })
    } finally {
      await stack.close()
      await target.close()
    }
  })
})

describe.each(['GET', 'DELETE', 'a notification'])('on %s', (what) => {
  const REFUSALS = [
    'unauthorized',
    'forbidden',
    'server-error',
    'redirect-307',
    'login-page',
  ] as const

  it.each([...REFUSALS, 'reset-before-headers', 'rate-limited'] as const)(
    '%s of the target never becomes our 401',
    async (mode) => {
      await withMode(mode, async (stack) => {
        const method = what === 'a notification' ? 'POST' : what
        const headers = {
          authorization: `Bearer ${await stack.token()}`,
          'content-type': 'application/json',
        }
        const body = '{"jsonrpc":"2.0","method":"notifications/initialized"}'
        const response = await fetch(
          stack.url,
          method === 'POST' ? { method, headers, body } : { method, headers },
        )
        if (method === 'GET') expect([200, 405]).toContain(response.status)
        // nobody waits for these, but a page instead of MCP is told
        else expect([200, 202, 502]).toContain(response.status)
        // a stream stays open and is silent
        const isOpen = method === 'GET' && response.status === 200
        expectDiscreet(response.headers, isOpen ? '' : await response.text())
        if (isOpen) await response.body?.cancel()
      })
    },
  )
})

it('a redirect is followed nowhere', () => {
  expect(hostile.followed).toHaveLength(0)
})

describe('an odd but right answer passes', () => {
  it.each(HARMLESS)('%s', async (mode) => {
    await withMode(mode, async (stack) => {
      for (let i = 0; i < (mode.startsWith('keep-alive') ? 1 : 2); i++) {
        const response = await stack.post(call)
        expect(response.status).toBe(200)
        const text = await response.text()
        expect(text).toMatch(mode.startsWith('keep-alive') ? /Unknown tool/ : new RegExp(GOOD_TEXT))
        expectDiscreet(response.headers, text)
        expect([...response.headers.keys()]).not.toContain('x-private')
      }
    })
  })

  it('behind early hints', async () => {
    const target = await startRecordingTarget()
    const stack = await startStack({ identity: base.identity, targets: { target: target.url } })
    target.intercept((_request, response) => {
      response.writeProcessing()
      response.writeEarlyHints({ link: '</style.css>; rel=preload' })
      return false
    })
    try {
      const message = { ...call, params: { name: 'target_echo' } }
      expect((await readMessage(await stack.post(message))).result).toBeDefined()
    } finally {
      await stack.close()
      await target.close()
    }
  })

  it('of many megabytes', async () => {
    await withMode('gigantic', async (stack) => {
      const { result } = await readMessage(await stack.post(call))
      expect(result.content[0].text).toHaveLength(4 * 1024 * 1024)
    })
  })
})

it('a stream that ends early after an event with an id just ends: the client can resume', async () => {
  await withMode('half-stream-with-ids', async (stack) => {
    const text = await (await stack.post(call)).text()
    expect(text).toMatch(/^id: \S/m)
    expect(text).not.toContain('"error"')
  })
})

it('a stream of comments without end is passed on until the client leaves', async () => {
  await withMode('endless-stream', async (stack) => {
    const headers = { authorization: `Bearer ${await stack.token()}` }
    hostile.clear()
    const answer = await send(stack.url, { headers, body: call, patienceMs: 1_300 })
    expect(answer.error).toBe('TIMEOUT')
    expect(answer.body.match(/still here/g)?.length).toBeGreaterThan(10)
    expect(await hostile.of('tools/call')[0]?.closed).toBe('aborted')
  })
})

it('a target that is not there is told as unreachable, and readiness names it down', async () => {
  const targets = { target: 'http://127.0.0.1:9/mcp' }
  const stack = await startStack({ identity: base.identity, targets })
  try {
    const { error } = await readMessage(await stack.post(call))
    expect(error.data).toEqual({
      ...{ target: 'target', cause: 'unreachable', retryable: true },
      requestId: expect.any(String),
    })
    const ready = await (await fetch(`${stack.origin}/readyz`)).json()
    expect(ready).toMatchObject({ ready: true, targets: { target: 'down' } })
  } finally {
    await stack.close()
  }
})

it('each failure is logged with its target and cause, without what the target said', async () => {
  await withMode('server-error', async (stack) => {
    await stack.post(call)
    const [failure] = stack.logs().filter(({ event }) => event === 'target_failed')
    expect(failure).toMatchObject({ level: 'warn', target: 'target', cause: 'http_status' })
    expect(stack.logText()).not.toContain('secret-stack-trace')
  })
})
