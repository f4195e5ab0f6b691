import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, it } from 'vitest'
import { type BridgeProcess, createHome, startBridge } from '../../helpers/bridge.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { listen } from '../../helpers/targets/listen.js'
import { sendJson, startRecordingTarget } from '../../helpers/targets/recording.js'

const MB = 1024 * 1024

const COUNT = 600

const PIECE = 'x'.repeat(100 * 1024)

/** What lies in the buffers of two connections and of Node, generously. */
const IN_BUFFERS = 20 * MB

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

function bridgeTo(url: string): BridgeProcess {
  const env = { MCP_DESCOPE_HOME: createHome() }
  const bridge = startBridge(url, { env, timeoutMs: 60_000 })
  closing.push(() => bridge.child.kill('SIGKILL'))
  return bridge
}

/** Memory of a process, where the system says it in a file. */
function memoryOf({ child }: BridgeProcess): number {
  if (process.platform !== 'linux') return 0
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/** Waits until a number has stopped growing, and gives it. */
function stalled(amount: () => number): Promise<number> {
  return eventually(async () => {
    const before = amount()
    expect(before).toBeGreaterThan(0)
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(amount()).toBe(before)
    return before
  })
}

describe('a host that does not read', () => {
  /** A bridge whose target sends as much as the bridge takes, while its host reads nothing. */
  const flood = async (over: string) => {
    const target = await startRecordingTarget({ sessions: 'required' })
    closing.push(target.close)
    const flooded = { sent: 0 }
    const sendAll = async (send: (n: number) => Promise<void>) => {
      for (let n = 0; n < COUNT; n++) {
        await send(n)
        flooded.sent += PIECE.length
      }
    }
    const params = (n: number) => ({ level: 'info', data: { n, text: PIECE } })
    target.on('tools/call', async (_params, exchange) => {
      if (over === 'an answer') {
        await sendAll((n) => exchange.notify('notifications/message', params(n)))
      }
      return { content: [{ type: 'text', text: 'over' }] }
    })
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    await eventually(() => expect(target.getStreams()).toHaveLength(1))
    const memory = memoryOf(bridge)
    bridge.child.stdout.pause()
    const call = bridge.call('flood')
    call.catch(() => undefined)
    const sending =
      over === 'an answer'
        ? call
        : sendAll((n) => target.notify('notifications/message', params(n)))
    sending.catch(() => undefined)
    expect(await stalled(() => flooded.sent)).toBeLessThan(IN_BUFFERS)
    return { bridge, call, sending, memory }
  }

  it.each(['an answer', 'the stream'])(
    '[bridge-back-pressure] [bridge-only-messages] holds up a target that sends much in %s, and loses nothing',
    async (over) => {
      const { bridge, call, sending, memory } = await flood(over)
      expect(memoryOf(bridge) - memory).toBeLessThan(60 * MB)
      bridge.child.stdout.resume()
      await Promise.all([call, sending])
      const numbers = () =>
        bridge
          .received('notifications/message')
          .map(({ params }) => (params as { data: { n: number } }).data.n)
      await eventually(() => expect(numbers()).toHaveLength(COUNT))
      expect(numbers()).toEqual(Array.from({ length: COUNT }, (_, n) => n))
      expect(memoryOf(bridge) - memory).toBeLessThan(60 * MB)
      await bridge.end()
    },
    60_000,
  )

  it.each(['stdin', 'SIGTERM'] as const)(
    '[bridge-back-pressure] [bridge-ends] and ends it by %s is not waited for',
    async (how) => {
      const { bridge } = await flood('an answer')
      if (how === 'stdin') bridge.child.stdin.end()
      else bridge.child.kill(how)
      const status = await new Promise((resolve) => bridge.child.once('exit', resolve))
      expect(status).toBe(0)
      bridge.child.stdout.resume()
      // what nobody read may end in the middle of a line
      await bridge.ended.catch(() => undefined)
    },
    60_000,
  )
})

describe('a target that does not read', () => {
  const CALLS = 160
  const TEXT = 'x'.repeat(512 * 1024)

  /** Takes small requests, and keeps large ones waiting unread until they are let in. */
  const startShut = async () => {
    const waiting: (() => void)[] = []
    let isOpen = false
    const answer = async (request: IncomingMessage, response: ServerResponse) => {
      const message = JSON.parse(await text(request))
      if (message.id === undefined) {
        response.writeHead(202).end()
        return
      }
      const result =
        message.method === 'initialize'
          ? {
              protocolVersion: message.params.protocolVersion,
              capabilities: { tools: {} },
              serverInfo: { name: 'shut', version: '1' },
            }
          : { content: [{ type: 'text', text: String(message.params?.arguments?.n) }] }
      sendJson(response, 200, { jsonrpc: '2.0', id: message.id, result })
    }
    const server = await listen((request, response) => {
      const isLarge = Number(request.headers['content-length']) > 10_000
      if (request.method !== 'POST') response.writeHead(405).end()
      else if (isLarge && !isOpen) waiting.push(() => void answer(request, response))
      else void answer(request, response)
    })
    closing.push(server.close)
    return {
      url: `${server.origin}/mcp`,
      letIn() {
        isOpen = true
        for (const go of waiting.splice(0)) go()
      },
    }
  }

  const begin = async () => {
    const target = await startShut()
    const bridge = bridgeTo(target.url)
    await bridge.handshake()
    const memory = memoryOf(bridge)
    const written = { bytes: 0 }
    for (let n = 0; n < CALLS; n++) {
      const params = { name: 'echo', arguments: { n, text: TEXT } }
      const line = `${JSON.stringify({ jsonrpc: '2.0', id: `c${n}`, method: 'tools/call', params })}\n`
      bridge.child.stdin.write(line, () => {
        written.bytes += line.length
      })
    }
    expect(await stalled(() => written.bytes)).toBeLessThan(16 * MB + IN_BUFFERS)
    return { target, bridge, memory }
  }

  it('[bridge-back-pressure] holds the host up, and gets everything once it reads', async () => {
    const { target, bridge, memory } = await begin()
    expect(memoryOf(bridge) - memory).toBeLessThan(120 * MB)
    target.letIn()
    await bridge.until(({ id }) => id === `c${CALLS - 1}`, 20_000)
    await eventually(() => {
      const answered = bridge.messages().filter(({ id }) => String(id).startsWith('c'))
      expect(answered).toHaveLength(CALLS)
    })
    const texts = bridge
      .messages()
      .flatMap(({ id, result }) =>
        String(id).startsWith('c') ? (result as { content: { text: string }[] }).content : [],
      )
      .map((content) => Number(content.text))
    expect(texts.sort((a, b) => a - b)).toEqual(Array.from({ length: CALLS }, (_, n) => n))
    await bridge.end()
  }, 60_000)

  it('[bridge-back-pressure] [bridge-ends] keeps nobody from ending the bridge', async () => {
    const { bridge } = await begin()
    bridge.child.kill('SIGTERM')
    expect(await bridge.ended).toMatchObject({ status: 0 })
  }, 60_000)
})
