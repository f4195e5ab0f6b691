import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import {
  GOOD_TEXT,
  type HostileTarget,
  type Mode,
  startHostileTarget,
} from '../../helpers/targets/hostile.js'

let hostile: HostileTarget
beforeAll(async () => {
  hostile = await startHostileTarget({ dripMs: 5 })
})
afterAll(() => hostile.close())

async function withMode<T>(mode: Mode, use: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = await startStack({
    targets: { target: hostile.at(mode) },
    config: { timeouts: { answer: 1, list: 1 } },
  })
  try {
    return await use(stack)
  } finally {
    await stack.close()
  }
}

const call = { jsonrpc: '2.0', id: 'q-1', method: 'tools/call', params: { name: 'target_x' } }

const CAUSES: Partial<Record<Mode, string>> = {
  unauthorized: 'refused_credential',
  forbidden: 'refused_credential',
  'not-found': 'http_status',
  'rate-limited': 'http_status',
  'server-error': 'http_status',
  'bad-gateway-html': 'http_status',
  unavailable: 'http_status',
  'redirect-302': 'http_status',
  'redirect-307': 'http_status',
  'redirect-308': 'http_status',
  'reset-before-headers': 'cut_off',
  'close-before-headers': 'cut_off',
  'reset-after-headers': 'cut_off',
  'hang-before-headers': 'timeout',
  'hang-after-headers': 'timeout',
  'half-json': 'cut_off',
  'half-chunked-json': 'cut_off',
  'half-stream': 'cut_off',
  'cut-stream': 'cut_off',
  'half-event': 'cut_off',
  'empty-stream': 'cut_off',
  'hang-stream': 'timeout',
  'invalid-json': 'invalid_answer',
  'other-shape': 'invalid_answer',
  'json-array': 'invalid_answer',
  'json-null': 'invalid_answer',
  'neither-result-nor-error': 'invalid_answer',
  'wrong-id': 'invalid_answer',
  'wrong-id-type': 'invalid_answer',
  'login-page': 'invalid_answer',
  'wrong-content-type': 'invalid_answer',
  'missing-content-type': 'invalid_answer',
  empty: 'invalid_answer',
  'no-content': 'invalid_answer',
  accepted: 'invalid_answer',
}

describe('a failure of the target', () => {
  it.each(Object.entries(CAUSES))('%s is answered in band as %s', async (mode, cause) => {
    await withMode(mode as Mode, async (stack) => {
      const response = await stack.post(call)
      expect(response.status).toBe(200)
      expect(response.headers.get('www-authenticate')).toBeNull()
      const message = await readMessage(response)
      expect(message).toMatchObject({
        jsonrpc: '2.0',
        id: 'q-1',
        error: { code: -32603, data: { target: 'target', cause } },
      })
      expect(JSON.stringify(message)).not.toContain('secret-stack-trace')
      expect(JSON.stringify(message)).not.toContain('127.0.0.1')
    })
  })

  it('carries the status and the time to wait', async () => {
    await withMode('rate-limited', async (stack) => {
      const { error } = await readMessage(await stack.post(call))
      expect(error.data).toMatchObject({ httpStatus: 429, retryAfter: '7', retryable: true })
    })
  })

  it('never leads elsewhere', async () => {
    expect(hostile.followed).toHaveLength(0)
  })

  it('that the target states itself as a JSON-RPC error passes with its status', async () => {
    await withMode('error-with-rpc-body', async (stack) => {
      const response = await stack.post({ ...call, method: 'tools/list', params: {} })
      expect(response.status).toBe(400)
      expect((await readMessage(response)).error.message).toBe('said with a 400')
    })
  })

  it.each(['unauthorized', 'server-error', 'reset-before-headers', 'invalid-json'] as const)(
    '%s at initialize is answered under its id',
    async (mode) => {
      await withMode(mode, async (stack) => {
        const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} }
        const message = { jsonrpc: '2.0', id: 7, method: 'initialize', params }
        const response = await stack.post(message)
        expect(response.status).toBe(200)
        expect(await readMessage(response)).toMatchObject({ id: 7, error: { code: -32603 } })
      })
    },
  )

  it.each(['unauthorized', 'server-error', 'login-page'] as const)(
    '%s on the GET stream is a gateway error, not ours',
    async (mode) => {
      await withMode(mode, async (stack) => {
        const headers = { authorization: `Bearer ${await stack.token()}` }
        const response = await fetch(stack.url, { headers })
        expect(response.status).toBe(502)
        expect(response.headers.get('www-authenticate')).toBeNull()
        await response.text()
      })
    },
  )
})

it('a stream that ends early after an event with an id just ends: the client can resume', async () => {
  await withMode('half-stream-with-ids', async (stack) => {
    const text = await (await stack.post(call)).text()
    expect(text).toContain('id: stream-1')
    expect(text).not.toContain('"error"')
  })
})

it('an answer with an odd but right content type passes', async () => {
  await withMode('odd-content-type', async (stack) => {
    expect(JSON.stringify(await readMessage(await stack.post(call)))).toContain(GOOD_TEXT)
  })
})

it('a target that is not there is told as unreachable, and readiness names it down', async () => {
  const stack = await startStack({ targets: { target: 'http://127.0.0.1:9/mcp' } })
  try {
    const { error } = await readMessage(await stack.post(call))
    expect(error.data).toMatchObject({ cause: 'unreachable', retryable: true })
    const ready = await (await fetch(`${stack.origin}/readyz`)).json()
    expect(ready).toMatchObject({ ready: true, targets: { target: 'down' } })
  } finally {
    await stack.close()
  }
})
