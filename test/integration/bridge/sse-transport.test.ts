import { afterEach, describe, expect, it } from 'vitest'
import { CLIENT, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { startHostileTarget } from '../../helpers/targets/hostile.js'
import { type OlderOptions, startOlderTarget } from '../../helpers/targets/older.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function older(options: OlderOptions = {}) {
  const target = await startOlderTarget(options)
  closing.push(target.close)
  return target
}

function bridgeTo(url: string, args: string[] = []) {
  const bridge = startBridge(url, { args, env: { MCP_DESCOPE_HOME: createHome() } })
  closing.push(() => bridge.child.kill('SIGKILL'))
  return bridge
}

describe('the transport before Streamable HTTP', () => {
  it.each([400, 404, 405])(
    '[mcp-http-sse-fallback] is spoken when the first POST is answered %d',
    async (postStatus) => {
      const target = await older({ postStatus })
      const bridge = bridgeTo(target.url)
      const answer = await bridge.handshake()
      expect(answer['result']).toMatchObject({ serverInfo: { name: 'older' } })
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      const calls = await Promise.all([2, 3, 4].map((n) => bridge.call('echo', { n })))
      expect(calls.map((call) => JSON.parse(textOf(call)).arguments.n)).toEqual([2, 3, 4])
      target.send({ method: 'notifications/message', params: { level: 'info', data: 'x' } })
      await bridge.until(({ method }) => method === 'notifications/message')
      expect(target.of('initialize')).toHaveLength(2)
      expect(await bridge.end()).toMatchObject({ status: 0 })
      await eventually(() => expect(target.streams.size).toBe(0))
    },
  )

  it('[mcp-http-sse-fallback] is spoken at once with --transport sse', async () => {
    const target = await older()
    const bridge = bridgeTo(target.url, ['--transport', 'sse'])
    await bridge.handshake()
    expect(target.of('initialize')).toHaveLength(1)
    await bridge.end()
  })

  it('[bridge-lost-session] gets a new stream when the old one broke', async () => {
    const target = await older()
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    const [broken = ''] = target.streams.keys()
    target.cut()
    await eventually(() => expect(target.streams.has(broken)).toBe(false))
    expect(await bridge.request('tools/list')).toHaveProperty('result.tools')
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    await bridge.end()
  })

  it('[mcp-http-sse-fallback] is not tried after any other status, whatever the body says', async () => {
    const target = await startHostileTarget()
    closing.push(target.close)
    const bridge = bridgeTo(target.at('bad-gateway-html'))
    await bridge.handshake()
    const call = await bridge.call('echo')
    expect(call['error']).toMatchObject({ data: { httpStatus: 502 } })
    expect(target.requests.filter(({ method }) => method === 'GET')).toEqual([])
    await bridge.end()
  })

  it('[mcp-http-sse-fallback] is not tried when the refusal is an MCP message', async () => {
    const target = await startRecordingTarget({ versions: [] })
    closing.push(target.close)
    target.intercept((_request, response) => {
      const error = { code: -32000, message: 'Unsupported protocol version' }
      response.writeHead(400, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }))
      return true
    })
    const bridge = bridgeTo(target.url)
    expect(await bridge.request('initialize', CLIENT)).toMatchObject({
      error: { code: -32000, message: 'Unsupported protocol version' },
    })
    expect(target.requests.filter(({ method }) => method === 'GET')).toEqual([])
    await bridge.end()
  })

  it('[mcp-http-sse-fallback] shows both causes when neither transport works', async () => {
    const target = await startHostileTarget()
    closing.push(target.close)
    const bridge = bridgeTo(target.at('not-found'))
    const answer = await bridge.request('initialize', CLIENT)
    expect(answer['error']).toMatchObject({
      message: expect.stringMatching(/HTTP 404 to a POST, and it answered HTTP 404 to a GET/),
    })
    await bridge.end()
  })

  it('[mcp-http-sse-origin] posts to the origin of the stream only', async () => {
    const other = await older()
    const target = await older({ endpoint: `${other.origin}/messages` })
    const bridge = bridgeTo(target.url)
    const answer = await bridge.request('initialize', CLIENT)
    expect(answer['error']).toMatchObject({ message: expect.stringContaining('another origin') })
    expect(other.requests).toEqual([])
    await bridge.end()
  })
})
