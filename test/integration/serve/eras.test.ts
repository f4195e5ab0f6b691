import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { keepUntil } from '../../helpers/keep.js'
import { connectV2, modernRequest, postStateless } from '../../helpers/modern-client.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { RpcFailure } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSdkV1Target } from '../../helpers/targets/sdk.js'
import { startSdkV2Target } from '../../helpers/targets/sdk-v2.js'

const VERSION = '2026-07-28'
const LEGACY = ['2025-11-25', '2025-06-18', '2025-03-26']
const NOWHERE = 'http://127.0.0.1:9/mcp'

const keep = keepUntil(afterEach)

let modern: ModernRecordingTarget
let legacy: RecordingTarget
beforeAll(async () => {
  modern = await startModernRecordingTarget()
  legacy = await startRecordingTarget({ sessions: 'required' })
})
beforeEach(() => {
  modern.clear()
  legacy.clear()
})
afterAll(async () => {
  await modern.close()
  await legacy.close()
})

const front = async (...urls: string[]): Promise<Stack> =>
  keep(await startStack({ targets: Object.fromEntries(urls.map((url, n) => [`t${n}`, url])) }))

const discover = modernRequest('server/discover')
const unsupported = {
  status: 400,
  message: { id: 'm-1', error: { code: -32601 } },
}

describe('the SDK client in mode "auto"', () => {
  const dual = async () => keep(await startSdkV2Target()).url
  const modernOnly = async () => keep(await startSdkV2Target({ legacy: 'reject' })).url
  const old = async () => keep(await startSdkV1Target()).url
  const oldStateless = async () => keep(await startSdkV1Target({ sessions: 'none' })).url

  it.each([
    ['one dual-era target', [dual]],
    ['one modern target', [modernOnly]],
    ['three modern targets', [modernOnly, dual, modernOnly]],
  ])('[mcp-offer-era] stays in the stateless era on %s', async (_title, starts) => {
    const stack = await front(...(await Promise.all(starts.map((start) => start()))))
    const client = await connectV2(stack, 'auto')
    for (const at of starts.keys()) {
      const result = await client.callTool({ name: `t${at}_echo`, arguments: { text: 'hi' } })
      expect(JSON.stringify(result.content)).toContain('hi')
    }
    expect(client.getNegotiatedProtocolVersion()).toBe(VERSION)
    await client.close()
  })

  it.each([
    ['one legacy target', [old]],
    ['one legacy target without sessions', [oldStateless]],
    ['three legacy targets', [old, oldStateless, old]],
    ['mixed targets', [dual, old, dual]],
  ])('[mcp-offer-era] falls back on %s', async (_title, starts) => {
    const stack = await front(...(await Promise.all(starts.map((start) => start()))))
    const client = await connectV2(stack, 'auto')
    for (const at of starts.keys()) {
      const result = await client.callTool({ name: `t${at}_echo`, arguments: { text: 'hi' } })
      expect(JSON.stringify(result.content)).toContain('hi')
    }
    expect(LEGACY).toContain(client.getNegotiatedProtocolVersion())
    await client.close()
  })

  it('[mcp-initialize-always] may send initialize after it was told of the stateless era', async () => {
    for (const stack of [await front(await dual()), await front(await dual(), await dual())]) {
      expect((await postStateless(stack, discover)).message.result.supportedVersions).toEqual([
        VERSION,
      ])
      const clientInfo = { name: 'c', version: '1' }
      const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
      const hello = { jsonrpc: '2.0', id: 1, method: 'initialize', params }
      const { result } = await readMessage(await stack.post(hello))
      expect(result.protocolVersion).toBe('2025-11-25')
      const call = { name: 't0_echo', arguments: { text: 'hi' } }
      const answer = await stack.post({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: call })
      expect(JSON.stringify(await readMessage(answer))).toContain('hi')
    }
  })
})

describe('[mcp-offer-era] requests of the stateless era', () => {
  it.each(['server/discover', 'tools/list', 'tools/call', 'subscriptions/listen'])(
    '%s is refused with the versions that are spoken, and does not get further',
    async (method) => {
      const stack = await front(modern.url, legacy.url)
      const request = modernRequest(method, method === 'tools/call' ? { name: 't0_echo' } : {})
      for (let turn = 0; turn < 2; turn++) {
        expect(await postStateless(stack, request)).toMatchObject(unsupported)
      }
      const asked = [...modern.requests, ...legacy.requests].map(({ rpc }) => rpc)
      expect([...new Set(asked)]).toEqual(['server/discover'])
    },
  )

  it('are served when a target is down that never said what it speaks', async () => {
    const stack = await front(modern.url, NOWHERE)
    const answer = await postStateless(stack, discover)
    expect(answer.message.result).toMatchObject({
      supportedVersions: [VERSION],
      ttlMs: 0,
      _meta: { 'mcp-descope-proxy/unavailableTargets': ['t1'] },
    })
    const list = await postStateless(stack, modernRequest('tools/list'))
    expect(list.message.result).toMatchObject({
      tools: [{ name: 't0_echo' }],
      ttlMs: 0,
      _meta: { 'mcp-descope-proxy/unavailableTargets': ['t1'] },
    })
    const call = await postStateless(stack, modernRequest('tools/call', { name: 't1_echo' }))
    expect(call.message.error).toMatchObject({ data: { target: 't1', cause: 'unreachable' } })
  })

  it('are an error in band, never a 5xx, when all targets are down', async () => {
    const stack = await front(NOWHERE, NOWHERE)
    for (const request of [discover, modernRequest('tools/list')]) {
      expect(await postStateless(stack, request)).toMatchObject({
        status: 200,
        message: { id: 'm-1', error: { code: -32603, data: { target: 't0' } } },
      })
    }
  })

  it('are judged by the last that a target said which is down now', async () => {
    const old = await startRecordingTarget()
    const stack = await front(modern.url, old.url)
    expect(await postStateless(stack, discover)).toMatchObject(unsupported)
    await old.close()
    expect(await postStateless(stack, discover)).toMatchObject(unsupported)
  })

  it('that come at once ask each target once', async () => {
    const stack = await front(modern.url, modern.url)
    const calls = Array.from({ length: 8 }, (_, n) =>
      postStateless(stack, modernRequest('tools/call', { name: `t${n % 2}_echo` })),
    )
    for (const { status } of await Promise.all(calls)) expect(status).toBe(200)
    expect(modern.of('server/discover')).toHaveLength(2)
    expect(modern.violations).toEqual([])
  })
})

it('[mcp-discover-never-5xx] a server that fails on server/discover is one of before', async () => {
  legacy.intercept((request, response) => {
    if (request.rpc !== 'server/discover') return false
    response.writeHead(500).end('no')
    return true
  })
  try {
    for (const stack of [await front(legacy.url), await front(legacy.url, legacy.url)]) {
      const client = await connectV2(stack, 'auto')
      const result = await client.callTool({ name: 't0_echo', arguments: {} })
      expect(JSON.stringify(result.content)).toContain('echo')
      await client.close()
    }
  } finally {
    legacy.intercept(undefined)
  }
})

it('a request that a target refuses for its own sake says nothing of the target', async () => {
  const strict = keep(
    await startModernRecordingTarget({
      handlers: {
        'server/discover': (params) => {
          if ('odd' in params) throw new RpcFailure(-32602, 'Odd', { status: 400 })
          return { supportedVersions: [VERSION], capabilities: {} }
        },
      },
    }),
  )
  for (const stack of [await front(strict.url), await front(strict.url, strict.url)]) {
    const odd = await postStateless(stack, modernRequest('server/discover', { odd: true }))
    expect(odd).toMatchObject({ status: 400, message: { id: 'm-1', error: { code: -32602 } } })
    expect((await postStateless(stack, discover)).status).toBe(200)
  }
})

it('a target that has become another one is noticed by its failure', async () => {
  const old = await startRecordingTarget()
  const { port } = old
  await old.close()
  const stack = await front(modern.url, `http://127.0.0.1:${port}/mcp`)
  expect((await postStateless(stack, discover)).status).toBe(200)
  keep(await startRecordingTarget({ port }))
  await eventually(async () => {
    expect(await postStateless(stack, modernRequest('tools/list'))).toMatchObject(unsupported)
  })
})
