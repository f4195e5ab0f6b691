import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createHttpUpstream } from '../../../../src/upstream/http/http-client.js'
import type {
  Upstream,
  UpstreamController,
  UpstreamRequest,
} from '../../../../src/upstream/upstream.js'
import { clock } from '../../../helpers/stack.js'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function serve(listener: RequestListener) {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, port: (server.address() as AddressInfo).port }
}

async function upstreamTo(port: number, host = '127.0.0.1'): Promise<Upstream> {
  const upstream = createHttpUpstream(new URL(`http://${host}:${port}/mcp?a=1`), {
    clock,
    idleMs: 4_000,
    reopens: true,
    isRetrySafe: ({ body }) => body === 'safe',
  })
  closing.push(() => upstream.close())
  return upstream
}

/** Sends a request and gathers what the handler is told. */
function send(upstream: Upstream, request: Partial<UpstreamRequest> = {}) {
  const told: string[] = []
  let controller: UpstreamController | undefined
  const done = new Promise<string>((resolve) => {
    upstream.send(
      {
        method: 'POST',
        headers: ['x-a', 'b'],
        body: 'x',
        headersTimeout: 0,
        bodyTimeout: 0,
        ...request,
      },
      {
        onRequestStart: (given) => {
          controller = given
        },
        onResponseStart: (_controller, status) => void told.push(`start ${status}`),
        onResponseData: (_controller, chunk) => void told.push(String(chunk)),
        onResponseEnd: () => resolve('end'),
        onResponseError: (_controller, error) =>
          resolve((error as NodeJS.ErrnoException).code ?? error.message),
      },
    )
  })
  return { told, done, controller: () => controller as UpstreamController }
}

describe('createHttpUpstream', () => {
  it('sends a request as it is and reads the whole answer', async () => {
    const { port } = await serve(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      const { method, url, headers } = request
      response.end(
        JSON.stringify({ method, url, a: headers['x-a'], l: headers['content-length'], body }),
      )
    })
    const { told, done } = send(await upstreamTo(port), { body: 'ä' })
    expect(await done).toBe('end')
    expect(told[0]).toBe('start 200')
    expect(JSON.parse(told[1] ?? '')).toEqual({
      method: 'POST',
      url: '/mcp?a=1',
      a: 'b',
      l: '2',
      body: 'ä',
    })
  })

  it('uses a connection again, and a new one when the idle one just died, for what may be repeated', async () => {
    let count = 0
    const perSocket = new WeakMap<Socket, number>()
    const { port } = await serve((request, response) => {
      const earlier = perSocket.get(request.socket) ?? 0
      perSocket.set(request.socket, earlier + 1)
      count += 1
      if (earlier > 0) request.socket.destroy()
      else response.end('ok')
    })
    const upstream = await upstreamTo(port)
    expect(await send(upstream, { body: 'safe' }).done).toBe('end')
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await send(upstream, { body: 'safe' }).done).toBe('end')
    expect(count).toBe(3)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await send(upstream, { body: 'a call' }).done).toBe('ECONNRESET')
    expect(count).toBe(4)
  })

  it('tells of an answer that is cut off, and of a time that is over', async () => {
    const { port } = await serve((request, response) => {
      if (request.headers['x-a'] === 'silent') return
      response.writeHead(200, { 'content-length': '10' }).write('abc')
      if (request.headers['x-a'] === 'cut') setTimeout(() => response.destroy(), 20)
    })
    const upstream = await upstreamTo(port)
    expect(await send(upstream, { headers: ['x-a', 'cut'] }).done).toBe('ECONNRESET')
    const silent = send(upstream, { headers: ['x-a', 'silent'], headersTimeout: 50 })
    expect(await silent.done).toBe('UND_ERR_HEADERS_TIMEOUT')
    expect(await send(upstream, { bodyTimeout: 50 }).done).toBe('UND_ERR_BODY_TIMEOUT')
  })

  it('says nothing more once it was aborted, and stops reading while it is paused', async () => {
    const { port } = await serve((_request, response) => {
      response.write('one')
      setTimeout(() => response.end('two'), 50)
    })
    const upstream = await upstreamTo(port)
    const paused = send(upstream)
    await new Promise((resolve) => setTimeout(resolve, 25))
    paused.controller().pause()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(paused.told).toEqual(['start 200', 'one'])
    paused.controller().resume()
    expect(await paused.done).toBe('end')

    const aborted = send(upstream)
    await new Promise((resolve) => setTimeout(resolve, 25))
    aborted.controller().abort(new Error('enough'))
    await new Promise((resolve) => setTimeout(resolve, 80))
    expect(aborted.told).toEqual(['start 200', 'one'])
    expect(aborted.controller().aborted).toBe(true)
  })

  it('[bridge-sleep] breaks all connections on close and can be used again', async () => {
    const { port } = await serve((request, response) => {
      if (request.headers['x-a'] === 'silent') return
      response.end('ok')
    })
    const upstream = await upstreamTo(port)
    const silent = send(upstream, { headers: ['x-a', 'silent'] })
    await new Promise((resolve) => setTimeout(resolve, 30))
    await upstream.close()
    expect(await silent.done).toBe('ECONNRESET')
    expect(await send(upstream).done).toBe('end')
  })

  it.each([
    ['a line break', ['x-a', 'secret\nb'], 'ERR_INVALID_CHAR'],
    ['a letter beyond Latin-1', ['x-a', 'secret €'], 'ERR_INVALID_CHAR'],
    ['a name that is none', ['x a', 'secret'], 'ERR_INVALID_HTTP_TOKEN'],
  ])('fails the one request whose header holds %s', async (_what, headers, code) => {
    const { port } = await serve((_request, response) => response.end('ok'))
    const upstream = await upstreamTo(port)
    expect(await send(upstream, { headers }).done).toBe(code)
    expect(await send(upstream).done).toBe('end')
  })

  it('tells what is no HTTP', async () => {
    const server = createTcpServer((socket) => socket.end('SSH-2.0-nothing\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => server.close())
    const upstream = await upstreamTo((server.address() as AddressInfo).port)
    expect(await send(upstream).done).toMatch(/^its answer is not HTTP: /)
  })
})
