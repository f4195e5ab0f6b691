import type { Socket } from 'node:net'
import { afterAll, describe, expect, it } from 'vitest'
import {
  type BridgeProcess,
  CLIENT,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { freePort } from '../../helpers/sign-in.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { MODES, startHostileTarget } from '../../helpers/targets/hostile.js'
import {
  type RecordingOptions,
  type RecordingTarget,
  startRecordingTarget,
} from '../../helpers/targets/recording.js'

const closing: (() => Promise<unknown> | unknown)[] = []

afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

async function recording(options: RecordingOptions = {}): Promise<RecordingTarget> {
  const target = await startRecordingTarget({ sessions: 'required', ...options })
  closing.push(target.close)
  return target
}

function bridgeTo(url: string, args: string[] = []): BridgeProcess {
  const bridge = startBridge(url, { args, env: { MCP_DESCOPE_HOME: createHome() } })
  closing.push(() => bridge.child.kill('SIGKILL'))
  return bridge
}

const isReset = (message: { [name: string]: unknown }) =>
  message['method'] === 'notifications/tools/list_changed'

describe.concurrent('a target that is down', () => {
  it('[bridge-target-down] [bridge-network-causes] is answered for, named with its cause, and used as soon as it is there', async () => {
    const port = await freePort()
    const bridge = bridgeTo(`http://127.0.0.1:${port}/mcp`)
    const answer = await bridge.handshake()
    expect(answer).toHaveProperty('result.capabilities.tools')
    expect(await bridge.request('ping')).toMatchObject({ result: {} })
    const call = await bridge.call('echo')
    expect(call['error']).toMatchObject({
      message: expect.stringMatching(/refused \(ECONNREFUSED\)\. Start the server/),
      data: { cause: 'unreachable', retryable: true },
    })
    expect(await bridge.request('tools/list')).toMatchObject({
      error: { data: { retryable: true } },
    })

    const target = await recording({ port })
    await bridge.until(isReset, 15_000)
    expect(textOf(await bridge.call('echo', { a: 1 }))).toContain('"a":1')
    expect(target.of('notifications/initialized')).toHaveLength(1)
    expect(await bridge.end()).toMatchObject({ status: 0 })
    expect(target.of('initialize')).toHaveLength(1)
    expect(target.sessions.size).toBe(0)
  })

  it('[bridge-target-down] comes back after the session was open', async () => {
    const port = await freePort()
    const first = await startRecordingTarget({ port, sessions: 'required' })
    const bridge = bridgeTo(first.url)
    await bridge.handshake()
    await bridge.call('echo')
    await first.close()
    expect(await bridge.call('echo')).toMatchObject({
      error: { data: { target: `127.0.0.1:${port}/mcp` } },
    })
    const second = await recording({ port })
    expect(await bridge.request('tools/list')).toMatchObject({
      result: { tools: second.contents.tools },
    })
    expect(textOf(await bridge.call('echo', { b: 2 }))).toContain('"b":2')
    expect(second.of('initialize')).toHaveLength(1)
    await bridge.end()
  })
})

describe('a target that forgets the session', () => {
  it('[bridge-lost-session] gets one new session, and only what is safe a second time', async () => {
    const target = await recording()
    target.contents.tools.push({
      name: 'set',
      inputSchema: { type: 'object' },
      annotations: { idempotentHint: true },
    })
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    await bridge.request('tools/list')
    await target.forget()
    target.clear()
    const lists = await Promise.all([
      bridge.request('tools/list'),
      bridge.request('prompts/list'),
      bridge.request('resources/list'),
    ])
    for (const list of lists) expect(list).toHaveProperty('result')
    expect(target.of('initialize')).toHaveLength(1)

    await target.forget()
    expect(textOf(await bridge.call('set'))).toContain('set')
    await target.forget()
    target.clear()
    const call = await bridge.call('echo')
    expect(call['error']).toMatchObject({ message: expect.stringContaining('may have run') })
    expect(target.of('tools/call')).toHaveLength(1)
    expect(textOf(await bridge.call('echo'))).toContain('echo')
    await bridge.end()
  })
})

describe.concurrent('the stream of what the target sends by itself', () => {
  it.each(['s', 'größer-中'])(
    '[bridge-reopens-stream] is opened again after a pause, from where it ended (%s)',
    async (idPrefix) => {
      const target = await recording({ sse: { eventIds: true, idPrefix } })
      const bridge = bridgeTo(target.url)
      await bridge.handshake()
      await eventually(() => expect(target.getStreams()).toHaveLength(1))
      await target.notify('notifications/message', { level: 'info', data: 'one' })
      await bridge.until(({ method }) => method === 'notifications/message')
      const [open] = target.getStreams()
      await open?.disconnect()
      await open?.send({ jsonrpc: '2.0', method: 'notifications/message', params: { data: 'two' } })
      const again = await target.until(
        ({ method, headers }) => method === 'GET' && headers['last-event-id'] !== undefined,
      )
      const sent = Buffer.from(`${again.headers['last-event-id']}`, 'latin1').toString('utf8')
      expect(sent).toBe(`${open?.id}-1`)
      await bridge.until(({ params }) => (params as { data?: string } | undefined)?.data === 'two')
      await bridge.end()
    },
  )

  it('[bridge-reopens-stream] is asked for once where there is none', async () => {
    const target = await recording({ getStream: false })
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    await target.until(({ method }) => method === 'GET')
    await new Promise((resolve) => setTimeout(resolve, 1_800))
    expect(target.requests.filter(({ method }) => method === 'GET')).toHaveLength(1)
    await bridge.end()
  })

  it('carries requests of the target to the host and the answers back', async () => {
    const target = await recording()
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    await eventually(() => expect(target.getStreams()).toHaveLength(1))
    const answered = target.ask('roots/list')
    const asked = await bridge.until(({ method }) => method === 'roots/list')
    bridge.send({ id: asked['id'], result: { roots: [] } })
    expect(await answered).toMatchObject({ result: { roots: [] } })
    await bridge.end()
  })
})

describe('an answer that is cut off', () => {
  it('[bridge-broken-stream] is resumed where the last event was', async () => {
    const target = await recording({ sse: { eventIds: true } })
    target.on('tools/call', async (_params, exchange) => {
      await exchange.notify('notifications/message', { level: 'info', data: 'started' })
      await exchange.stream.disconnect()
      await new Promise((resolve) => setTimeout(resolve, 300))
      return { content: [{ type: 'text', text: 'finished' }] }
    })
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    expect(textOf(await bridge.call('echo'))).toBe('finished')
    expect(bridge.received('notifications/message')).toHaveLength(1)
    expect(target.of('tools/call')).toHaveLength(1)
    await bridge.end()
  })

  it('[bridge-broken-stream] fails when it cannot be resumed', async () => {
    const target = await recording()
    target.on('tools/call', async (_params, exchange) => {
      await exchange.stream.raw('id: 1\ndata:\n\n')
      exchange.stream.cut()
      await target.close()
      return {}
    })
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    const call = await bridge.call('echo')
    expect(call['error']).toMatchObject({ message: expect.stringContaining('may have run') })
    await bridge.end()
  })

  it('[bridge-broken-stream] [bridge-only-messages] 1,000 requests have 1,000 answers while connections are killed, and no call runs twice', async () => {
    const target = await recording({ answerWith: 'sse' })
    const seen = new Map<unknown, number>()
    const sockets = new Set<Socket>()
    let killed = 0
    target.intercept((request, response) => {
      if (response.socket) sockets.add(response.socket)
      if (request.rpc !== 'tools/call') return false
      const params = request.message?.['params'] as { arguments: { n: number } }
      seen.set(params.arguments.n, (seen.get(params.arguments.n) ?? 0) + 1)
      const lot = Math.random()
      if (lot > 0.3) return false
      killed += 1
      if (lot < 0.1) response.destroy()
      else if (lot < 0.2)
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': x\n\n')
      else response.writeHead(200, { 'content-type': 'application/json' }).write('{"json')
      setTimeout(() => response.destroy(), Math.random() * 30)
      return true
    })
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    // and any connection at any time, whether something is under way on it or not
    const killing = setInterval(() => {
      const all = [...sockets].filter((socket) => !socket.destroyed)
      all[Math.floor(Math.random() * all.length)]?.destroy()
    }, 5)
    closing.push(() => clearInterval(killing))
    const batch = 50
    let answered = 0
    for (let from = 0; from < 1_000; from += batch) {
      const numbers = Array.from({ length: batch }, (_, n) => from + n)
      const ask = (n: number) => {
        if (n % 5 > 0) return bridge.call('echo', { n })
        return bridge.request(n % 2 > 0 ? 'tools/list' : 'prompts/list')
      }
      const answers = await Promise.all(numbers.map(ask))
      answered += answers.length
      for (const answer of answers) expect('result' in answer || 'error' in answer).toBe(true)
    }
    expect(answered).toBe(1_000)
    expect(killed).toBeGreaterThan(100)
    expect([...seen.values()].filter((times) => times > 1)).toEqual([])
    expect(seen.size).toBeGreaterThan(700)
    const answers = bridge.messages().filter(({ id }) => id !== undefined)
    expect(answers).toHaveLength(1_001)
    expect(answers.filter(({ result }) => result !== undefined).length).toBeGreaterThan(300)
    expect(answers.filter(({ error }) => error !== undefined).length).toBeGreaterThan(100)
    await bridge.end()
  }, 60_000)
})

describe.concurrent('a target that misbehaves', () => {
  it.each(MODES)('[bridge-only-messages] "%s" leaves no call without an answer', async (mode) => {
    const target = await startHostileTarget({ giganticBytes: 1024 * 1024 })
    closing.push(target.close)
    const bridge = bridgeTo(target.at(mode, 'tools/call'), ['--transport', 'http'])
    await bridge.request('initialize', CLIENT)
    const answers = bridge.call('echo')
    const late = new Promise((resolve) => setTimeout(() => resolve('late'), 2_500))
    const first = await Promise.race([answers, late])
    if (first === 'late') {
      bridge.child.stdin.end()
      expect(await answers.catch(() => 'ended')).toBeDefined()
    }
    expect(await bridge.end()).toMatchObject({ status: 0 })
    expect(bridge.messages().filter(({ id }) => id === 2)).toHaveLength(1)
  })
})

describe('large messages', () => {
  it('[bridge-back-pressure] pass in both directions, 10 MB and more', async () => {
    const target = await recording()
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    const text = 'ä'.repeat(6 * 1024 * 1024)
    const answer = await bridge.call('echo', { text })
    expect(textOf(answer)).toContain(text)
    await bridge.end()
  }, 40_000)
})
