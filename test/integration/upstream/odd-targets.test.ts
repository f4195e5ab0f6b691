import dns, { type LookupAddress } from 'node:dns'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Upstream } from '../../../src/upstream/upstream.js'
import { describeNetworkError } from '../../../src/upstream/upstream-error.js'
import { openUpstream } from '../../helpers/upstream.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Answers each read of each connection, and keeps the connections. */
async function startRaw(answer: (socket: Socket, read: string) => void, host = '127.0.0.1') {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => answer(socket, bytes.toString('latin1')))
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { sockets, port: (server.address() as AddressInfo).port }
}

function open(host: string, port: number): Upstream {
  const upstream = openUpstream(new URL(`http://${host}:${port}/mcp`))
  closing.push(() => upstream.close())
  return upstream
}

/** Posts, and returns the body, or why there is none. */
function post(upstream: Upstream): Promise<string> {
  let text = ''
  return new Promise((resolve) => {
    upstream.send(
      { method: 'POST', headers: [], body: '{}', headersTimeout: 4_000, bodyTimeout: 4_000 },
      {
        onResponseData: (_controller, chunk) => {
          text += chunk
        },
        onResponseEnd: () => resolve(text),
        onResponseError: (_controller, error) => resolve(describeNetworkError(error).reason),
      },
    )
  })
}

describe('A target', () => {
  it('with IPv6 alone is reached again after the network was away once', async () => {
    const { port } = await startRaw((socket) => socket.write(OK), '::1')
    let isAway = true
    type Done = (error: Error | null, addresses?: LookupAddress[]) => void
    const lookup = (_name: string, options: { family?: number }, done: Done) => {
      const code = isAway ? 'ENETUNREACH' : options.family === 4 ? 'ENOTFOUND' : undefined
      isAway = false
      if (code !== undefined) done(Object.assign(new Error(code), { code }))
      else done(null, [{ address: '::1', family: 6 }])
    }
    const spy = vi.spyOn(dns, 'lookup').mockImplementation(lookup as never)
    closing.push(() => spy.mockRestore())
    const upstream = open('six.example', port)
    expect(await post(upstream)).toMatch(/host name/)
    expect(await post(upstream)).toBe('ok')
  })

  it('that sends bytes without end behind compressed ones loses its connection', async () => {
    const body = Buffer.concat([gzipSync('whole'), Buffer.alloc(300_000)])
    const head = 'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9999999\r\n\r\n'
    const { port, sockets } = await startRaw((socket) => {
      socket.write(head)
      socket.write(body)
    })
    expect(await post(open('127.0.0.1', port))).toBe('whole')
    await vi.waitFor(() => expect(sockets[0]?.destroyed).toBe(true), 2_000)
  })

  it('that takes a slash at the end of its path, and later none again, is followed each time', async () => {
    let wanted = '/mcp/'
    const { port } = await startRaw((socket, read) => {
      const path = read.split(' ')[1]
      const moved = `HTTP/1.1 307 Moved\r\nLocation: ${wanted}\r\nContent-Length: 0\r\n\r\n`
      socket.write(path === wanted ? OK : moved)
    })
    const upstream = open('127.0.0.1', port)
    for (const path of ['/mcp/', '/mcp/', '/mcp', '/mcp', '/mcp/']) {
      wanted = path
      expect(await post(upstream)).toBe('ok')
    }
    wanted = '/other'
    expect(await post(upstream)).toBe('')
  })

  it('that sends chunks behind a 204 does not spoil the next answer', async () => {
    let first: Socket | undefined
    const { port } = await startRaw((socket) => {
      if (first === undefined) {
        first = socket
        socket.write('HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n')
      } else socket.write(socket === first ? `0\r\n\r\n${OK}` : OK)
    })
    const upstream = open('127.0.0.1', port)
    expect(await post(upstream)).toBe('')
    expect(await post(upstream)).toBe('ok')
  })
})
