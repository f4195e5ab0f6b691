import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Pool, WebSocket } from 'undici'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { startCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'

const MAX_GROWTH_BYTES = 5_000_000
const PATIENCE_MS = 240_000

let identity: Identity
beforeAll(async () => {
  identity = await startIdentity({ clock })
})
afterAll(() => identity.close())

/** A target that gives a session to everybody and remembers nothing. */
const target = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (text: string) => {
    body += text
  })
  request.on('end', () => {
    const { id } = JSON.parse(body)
    const result = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: {} }
    response.setHeader('mcp-session-id', randomUUID()).setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result }))
  })
})

/** Asks a process for the size of its heap after a collection, through its inspector. */
async function heapOf(inspector: string): Promise<number> {
  const socket = new WebSocket(inspector)
  const answers = new Map<number, (result: { usedSize: number }) => void>()
  socket.addEventListener('message', ({ data }) => {
    const { id, result } = JSON.parse(String(data))
    answers.get(id)?.(result)
  })
  await new Promise((resolve) => socket.addEventListener('open', resolve))
  const ask = (id: number, method: string) =>
    new Promise<{ usedSize: number }>((resolve) => {
      answers.set(id, resolve)
      socket.send(JSON.stringify({ id, method }))
    })
  await ask(1, 'HeapProfiler.collectGarbage')
  const { usedSize } = await ask(2, 'Runtime.getHeapUsage')
  socket.close()
  return usedSize
}

it(
  '30,000 sessions that nobody comes back to leave the heap as it is',
  async () => {
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
    const { port } = target.address() as AddressInfo
    const flags = ['--port', '0', '--log-format', 'json', '--log-level', 'info']
    const serve = startCli(['serve', ...flags, '--target', `http://127.0.0.1:${port}/mcp`], {
      env: { DESCOPE_CONFIG_URL: identity.configUrl },
      nodeArguments: ['--inspect=127.0.0.1:0'],
      timeoutMs: PATIENCE_MS,
    })
    const [, inspector = ''] = await serve.waitFor('stderr', /Debugger listening on (ws:\S+)/)
    const [, url = ''] = await serve.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
    const { origin, port: own } = new URL(url)
    const token = await identity.mint({ aud: `http://localhost:${own}/mcp` })
    const client = new Pool(origin, { connections: 32 })
    const clientInfo = { name: 'a-client', version: '1' }
    const params = { protocolVersion: '2025-11-25', capabilities: { roots: {} }, clientInfo }
    const request = {
      method: 'POST',
      path: '/mcp',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    } as const
    const ids = new Set<unknown>()
    const initialize = async (count: number) => {
      let left = count
      const one = async () => {
        while (left-- > 0) {
          const { statusCode, headers, body } = await client.request(request)
          await body.dump()
          expect(statusCode).toBe(200)
          ids.add(headers['mcp-session-id'])
        }
      }
      await Promise.all(Array.from({ length: 32 }, one))
    }
    try {
      await initialize(2_000)
      const before = await heapOf(inspector)
      await initialize(30_000)
      expect(ids.size).toBe(32_000)
      expect((await heapOf(inspector)) - before).toBeLessThan(MAX_GROWTH_BYTES)
    } finally {
      await client.destroy()
      serve.child.kill('SIGKILL')
      await serve.ended
      target.close()
      target.closeAllConnections()
    }
  },
  PATIENCE_MS,
)
