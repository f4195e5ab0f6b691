import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`

let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  target = await startRecordingTarget()
  stack = await startStack({
    targets: {
      target: { url: target.url, tools: { deny: ['deny_*'], scopes: { 'scoped_*': ['more'] } } },
      gone: 'http://127.0.0.1:9/mcp',
    },
    config: { server: { metricsPort: 0, publicUrl: 'https://mcp.example.com' } },
  })
})
afterAll(async () => {
  await stack.close()
  await target.close()
})
beforeEach(() => {
  target.clear()
  target.on('tools/call', () => ({ content: [] }))
})

const callOf = (name: string) => ({
  ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
  params: { name, arguments: {} },
})
/** The record of the request that was answered with this id. */
const recordOf = (id: string | null | undefined) =>
  eventually(async () => {
    const found = stack.logs().filter((record) => record['id'] === id && 'outcome' in record)
    expect(found).toHaveLength(1)
    return found[0] as Record<string, unknown>
  })
const metrics = async () => (await stack.server.metrics?.text()) ?? ''
const countOf = async (pattern: string) =>
  Number(new RegExp(`^${pattern} (\\d+)$`, 'm').exec(await metrics())?.[1] ?? 0)

it.each(['application/json', 'text/event-stream', '*/*'])(
  'an error of ours names its request, and is one in the record, for a client that takes %s',
  async (accept) => {
    const response = await stack.post(callOf('nowhere'), { accept })
    const id = response.headers.get('x-request-id')
    const { error } = await readMessage(response)
    expect(error.data.requestId).toBe(id)
    expect(await recordOf(id)).toMatchObject({ outcome: 'rpc_error' })
  },
)

describe('the record of a call', () => {
  const content = [{ type: 'text', text: 'x' }]
  const ENDS: [string, string, object, ((target: RecordingTarget) => void)?][] = [
    ['target_ok', 'a result', { outcome: 'ok', status: 200 }],
    [
      'target_fail',
      'a result that says isError',
      { outcome: 'tool_error', status: 200 },
      (target) => target.on('tools/call', () => ({ content, isError: true })),
    ],
    [
      'target_word',
      'a result that only speaks of isError',
      { outcome: 'ok' },
      (target) =>
        target.on('tools/call', () => ({ content: [{ type: 'text', text: '"isError":true' }] })),
    ],
    ['target_deny_it', 'a refusal by policy', { outcome: 'refused', refusal: 'policy' }],
    ['target_scoped_it', 'a missing scope', { outcome: 'refused', refusal: 'scope', status: 403 }],
    ['nowhere', 'an unknown name', { outcome: 'rpc_error', status: 200 }],
    ['gone_x', 'an unreachable target', { outcome: 'target_failure', failure: 'unreachable' }],
  ]
  it.each(ENDS)('of %s, which ends with %s, tells so, and so do the metrics', async (...row) => {
    const [name, , expected, prepare] = row
    prepare?.(target)
    const { outcome, refusal } = expected as { outcome: string; refusal?: string }
    const series = `mcp_proxy_outcomes_total\\{method="tools/call",target="[a-z]+",outcome="${outcome}"\\}`
    const before = await countOf(series)
    const response = await stack.post(callOf(name))
    await response.text()
    expect(await recordOf(response.headers.get('x-request-id'))).toMatchObject({
      ...expected,
      method: 'tools/call',
      remote: '127.0.0.1',
    })
    expect(await countOf(series)).toBe(before + 1)
    if (refusal !== undefined) expect(await metrics()).toContain(`{reason="${refusal}"}`)
  })

  it('tells of a client that left before the end', async () => {
    target.on('tools/call', () => new Promise(() => undefined))
    const { hostname, port, pathname } = new URL(stack.url)
    const authorization = `Bearer ${await stack.token()}`
    const headers = { authorization, 'content-type': 'application/json', traceparent: TRACEPARENT }
    const sent = request({ hostname, port, path: pathname, method: 'POST', headers })
    sent.on('error', () => undefined).end(JSON.stringify(callOf('target_slow')))
    await target.until(({ rpc }) => rpc === 'tools/call')
    sent.destroy()
    expect(await recordOf(TRACE)).toMatchObject({
      outcome: 'client_left',
      traceparent: TRACEPARENT,
    })
  })
})

describe('the name of a request', () => {
  it('is the same in the answer, at the target, in the log and in our errors', async () => {
    const headers = {
      traceparent: `00-${'a'.repeat(32)}-00f067aa0ba902b7-01`,
      'x-request-id': 'mine',
    }
    const answered = await stack.post(callOf('target_ok'), headers)
    const id = answered.headers.get('x-request-id')
    expect(id).toBe('a'.repeat(32))
    expect(target.of('tools/call').at(-1)?.headers['x-request-id']).toBe(id)
    const refused = await stack.post(callOf('nowhere'))
    const { error } = await readMessage(refused)
    expect(error.data.requestId).toBe(refused.headers.get('x-request-id'))
    const failed = await stack.post(callOf('gone_x'))
    const failure = (await readMessage(failed)).error.data
    expect(failure).toMatchObject({ target: 'gone', requestId: failed.headers.get('x-request-id') })
    expect(stack.logText()).not.toContain('"mine"')
  })

  it('stands in answers to requests that are refused before anybody is signed in', async () => {
    for (const headers of [
      { authorization: '' },
      { host: 'x.example' },
      { origin: 'https://x.example' },
    ]) {
      const { headers: answered, body } = await send(stack.url, { body: callOf('x'), headers })
      expect(body).toContain(`"requestId":"${answered['x-request-id']}"`)
    }
  })
})

describe('a request that is refused before anybody is signed in', () => {
  it.each([
    ['host', 421, { host: 'evil.example:1' }, { host: '"evil.example:1"' }],
    ['origin', 403, { origin: 'https://evil.example' }, { origin: '"https://evil.example"' }],
    ['missing', 401, {}, {}],
    ['malformed', 401, { authorization: 'Bearer nonsense' }, { reason: 'malformed' }],
  ])('for its %s with %i is told with what was seen, and counted', async (...row) => {
    const [refusal, status, headers, seen] = row
    const before = await countOf(`mcp_proxy_refusals_total\\{reason="${refusal}"\\}`)
    const answer = await send(stack.url, { body: callOf('x'), headers })
    expect(answer.status).toBe(status)
    expect(await recordOf(String(answer.headers['x-request-id']))).toMatchObject({
      ...{ outcome: 'refused', refusal, status, remote: '127.0.0.1' },
      ...seen,
    })
    const [value = ''] = Object.values(seen).slice(0, 1)
    if (status === 421 || status === 403) expect(JSON.parse(answer.body).error).toContain(value)
    expect(await countOf(`mcp_proxy_refusals_total\\{reason="${refusal}"\\}`)).toBe(before + 1)
  })

  it('fills no log, however often and long it comes', async () => {
    const host = `${'h'.repeat(8_000)}.example`
    const before = stack.logText().length
    for (let i = 0; i < 60; i++) await send(stack.url, { method: 'GET', headers: { host } })
    expect(stack.logText().length - before).toBeLessThan(10 * 1_000)
    expect(await countOf('mcp_proxy_refusals_total\\{reason="host"\\}')).toBeGreaterThanOrEqual(60)
  })

  it('is told at info where a token has ended, and never with the token', async () => {
    const token = await stack.identity.mint({ aud: stack.server.resource, exp: 1_000 })
    const answer = await stack.post(callOf('x'), { authorization: `Bearer ${token}` })
    const record = await recordOf(answer.headers.get('x-request-id'))
    expect(record).toMatchObject({ level: 'info', refusal: 'expired', outcome: 'refused' })
    expect(stack.logText()).not.toContain(token.slice(0, 40))
  })

  it('is told where Node itself refuses it', async () => {
    const { port } = new URL(stack.url)
    const long = await send(`http://127.0.0.1:${port}/`, {
      method: 'GET',
      headers: { x: 'y'.repeat(20_000) },
    })
    expect(long.status).toBe(431)
    await eventually(async () => {
      expect(stack.logs()).toContainEqual(
        expect.objectContaining({ refusal: 'http', status: 431, code: 'HPE_HEADER_OVERFLOW' }),
      )
    })
  })
})

describe('who is signed in', () => {
  it('is told once for each token at debug, with the hash that records carry', async () => {
    const token = await stack.token({ sub: 'U-ann', name: 'Ann' })
    for (let i = 0; i < 3; i++) {
      await stack.post(callOf('target_ok'), { authorization: `Bearer ${token}` })
    }
    const told = stack.logs().filter(({ event, sub }) => event === 'caller' && sub === 'U-ann')
    expect(told).toMatchObject([{ level: 'debug', name: 'Ann' }])
    // printf %s U-ann | openssl dgst -sha256 -binary | openssl base64 | tr '+/' '-_' | cut -c1-12
    expect(told[0]?.['subject']).toBe('RWPADN5DCe_Q')
  })
})

describe('the state of the keys and the targets', () => {
  it('is in the metrics, with what runs here', async () => {
    await stack.post(callOf('gone_x'))
    await stack.post(callOf('target_ok'))
    const text = await metrics()
    expect(text).toContain('mcp_proxy_keys_state{state="ok"} 1')
    expect(text).toContain('mcp_proxy_target_state{target="target",state="ok"} 1')
    expect(text).toContain('mcp_proxy_target_state{target="gone",state="down"} 1')
    expect(text).toContain('mcp_proxy_target_state{target="gone",state="ok"} 0')
    expect(text).toMatch(
      /mcp_proxy_build_info\{version="[^"]+",node="[^"]*",config="",url="https:\/\/mcp.example.com\/mcp"\} 1/,
    )
  })
})

describe('a target', () => {
  it('that refuses our credential is told by /readyz, and that it is back once', async () => {
    let refuses = true
    const guarded = await startRecordingTarget()
    guarded.intercept(({ rpc }, response) => {
      if (refuses && rpc === 'tools/call') response.writeHead(401).end()
      return response.writableEnded
    })
    const front = await startStack({ targets: { target: guarded.url } })
    const stateOf = async () => {
      const ready = await fetch(`${front.origin}/readyz`)
      return ((await ready.json()) as { targets: { target: string } }).targets.target
    }
    try {
      for (let i = 0; i < 3; i++) {
        const { error } = await readMessage(await front.post(callOf('target_x')))
        expect(error.message).toContain('it wants a credential, and none is configured (HTTP 401)')
        expect(await stateOf()).toBe('refused_credential')
      }
      refuses = false
      for (let i = 0; i < 3; i++) await (await front.post(callOf('target_x'))).text()
      expect(await stateOf()).toBe('ok')
      expect(front.logs().filter(({ event }) => event === 'target_back')).toHaveLength(1)
    } finally {
      await front.close()
      await guarded.close()
    }
  })
})
