import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { HttpUpstreamOptions } from '../../../src/upstream/http/http-client.js'
import type {
  Upstream,
  UpstreamController,
  UpstreamRequest,
} from '../../../src/upstream/upstream.js'
import { type Certificates, createCertificates } from '../../helpers/certificates.js'
import { createManualClock } from '../../helpers/runtime.js'
import { openUpstream } from '../../helpers/upstream.js'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** What a raw server got, one entry a read, and on which of its connections. */
interface Raw {
  readonly port: number
  readonly reads: string[]
  readonly sockets: Socket[]
}

async function start(server: Server, host = '127.0.0.1'): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  closing.push(() => server.close())
  return (server.address() as AddressInfo).port
}

/** @param answer What is written for each read: a text, or whatever it does itself. */
async function startRaw(
  answer: string | ((socket: Socket, read: string, connection: number) => void),
  host?: string,
): Promise<Raw> {
  const reads: string[] = []
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    const connection = sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      const read = bytes.toString('latin1')
      reads.push(read)
      if (typeof answer === 'string') socket.write(answer, 'latin1')
      else answer(socket, read, connection)
    })
  })
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
  })
  return { port: await start(server, host), reads, sockets }
}

function open(port: number, options: Partial<HttpUpstreamOptions> = {}, origin?: string): Upstream {
  const url = new URL('/mcp', origin ?? `http://127.0.0.1:${port}`)
  const upstream = openUpstream(url, undefined, options)
  closing.push(() => upstream.close())
  return upstream
}

function send(
  upstream: Upstream,
  request: Partial<UpstreamRequest> = {},
  onStart: (controller: UpstreamController) => void = () => {},
) {
  let controller: UpstreamController | undefined
  let body = ''
  let status = 0
  const all: UpstreamRequest = {
    ...{ method: 'POST', headers: ['x-a', 'b'], body: '{}' },
    ...{ headersTimeout: 0, bodyTimeout: 0, ...request },
  }
  const done = new Promise<string>((resolve) => {
    upstream.send(all, {
      onRequestStart: (given) => {
        controller = given
      },
      onResponseStart(given, code) {
        status = code
        onStart(given)
      },
      onResponseData: (_controller, chunk) => {
        body += chunk.toString('latin1')
      },
      onResponseEnd: () => resolve(`${status} ${body}`),
      onResponseError: (_controller, error) =>
        resolve((error as NodeJS.ErrnoException).code ?? error.message),
    })
  })
  return { done, controller: controller as UpstreamController, body: () => body }
}

const settle = (ms = 30) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a request', () => {
  it('is one write, head and body together', async () => {
    const raw = await startRaw(OK)
    const upstream = open(raw.port)
    expect(await send(upstream, { body: '{"a":"b"}' }).done).toBe('200 ok')
    expect(raw.reads).toEqual([
      `POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:${raw.port}\r\nconnection: keep-alive\r\nx-a: b\r\ncontent-length: 9\r\n\r\n{"a":"b"}`,
    ])
  })

  it.each([
    ['text beyond ASCII', 'ä€😀'],
    ['bytes', Buffer.from([0, 255, 128, 10])],
    ['bytes of no text', Buffer.alloc(0)],
  ])('has the bytes of %s', async (_what, body) => {
    const raw = await startRaw(OK)
    expect(await send(open(raw.port), { body }).done).toBe('200 ok')
    const bytes = Buffer.from(body as string)
    expect(raw.reads.join('')).toMatch(`content-length: ${bytes.length}\r\n\r\n`)
    expect(raw.reads.join('').split('\r\n\r\n')[1]).toBe(bytes.toString('latin1'))
  })

  it('says nothing of a length without a body, but for a POST', async () => {
    const raw = await startRaw(OK)
    const upstream = open(raw.port)
    await send(upstream, { method: 'GET', body: undefined }).done
    await send(upstream, { method: 'POST', body: undefined }).done
    expect(raw.reads[0]).not.toContain('content-length')
    expect(raw.reads[1]).toContain('content-length: 0\r\n')
  })

  it.each([
    ['CR LF', ['x-a', 'b\r\nx-c: d']],
    ['LF', ['x-a', 'b\nx-c: d']],
    ['CR', ['x-a', 'b\rc']],
    ['NUL', ['x-a', 'b\0']],
    ['a letter beyond Latin-1', ['x-a', '€']],
    ['a line break in a known header', ['authorization', 'Bearer a\r\nx: y']],
    ['a name with a line break', ['x\r\ny', 'b']],
    ['an empty name', ['', 'b']],
    ['a length of its own', ['Content-Length', '0']],
    ['a coding of its own', ['transfer-encoding', 'chunked']],
    ['an upgrade', ['Upgrade', 'websocket']],
  ])('with %s among its headers is never sent', async (_what, headers) => {
    const raw = await startRaw(OK)
    const upstream = open(raw.port)
    expect(await send(upstream, { headers }).done).toMatch(/^ERR_INVALID_(CHAR|HTTP_TOKEN)$/)
    expect(await send(upstream, { path: '/a b\r\nx' }).done).toBe('ERR_INVALID_CHAR')
    await settle()
    expect(raw.sockets).toEqual([])
  })

  it('of megabytes arrives whole', async () => {
    let got = 0
    const raw = await startRaw((socket, read) => {
      got += read.length
      if (read.endsWith('end')) socket.write(OK)
    })
    const body = `${'x'.repeat(5_000_000)}end`
    expect(await send(open(raw.port), { body }).done).toBe('200 ok')
    expect(got).toBeGreaterThan(5_000_000)
  })
})

describe('connections', () => {
  it('are used again, the last one first', async () => {
    const raw = await startRaw((socket, _read, connection) => {
      setTimeout(() => socket.write(OK), connection * 15)
    })
    const upstream = open(raw.port)
    await Promise.all([send(upstream).done, send(upstream).done])
    expect(raw.sockets).toHaveLength(2)
    const second = raw.sockets[1]?.bytesRead ?? 0
    await send(upstream).done
    expect(raw.sockets).toHaveLength(2)
    expect(raw.sockets[1]?.bytesRead).toBeGreaterThan(second)
  })

  it.each([
    ['the server closed meanwhile', OK, (socket: Socket) => socket.end()],
    ['the server reset meanwhile', OK, (socket: Socket) => socket.resetAndDestroy()],
    ['brought bytes that nobody asked for', OK, (socket: Socket) => socket.write(OK)],
    ['brought bytes behind the answer', `${OK}!`, () => {}],
    ['brought two answers', OK + OK.replace('ok', 'no'), () => {}],
    ['is to be closed', OK.replace('\r\n', '\r\nConnection: close\r\n'), () => {}],
    ['is one of HTTP/1.0', OK.replace('1.1', '1.0'), () => {}],
  ])('are not used again where one %s', async (_what, answer, then) => {
    const raw = await startRaw(answer)
    const upstream = open(raw.port)
    expect(await send(upstream).done).toBe('200 ok')
    then(raw.sockets[0] as Socket)
    await settle()
    expect(await send(upstream).done).toBe('200 ok')
    expect(raw.sockets).toHaveLength(2)
  })

  it('without a length end with the connection, as an answer does', async () => {
    const raw = await startRaw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\nab')
      setTimeout(() => socket.end('cd'), 15)
    })
    expect(await send(open(raw.port)).done).toBe('200 abcd')
  })

  it.each([
    ['4 s where the server says nothing', OK, 3_900, 4_600],
    [
      '2 s less than the server keeps them',
      OK.replace('\r\n', '\r\nKeep-Alive: timeout=9\r\n'),
      6_900,
      7_600,
    ],
    [
      'half of it where that is short',
      OK.replace('\r\n', '\r\nKeep-Alive: timeout=2\r\n'),
      900,
      1_600,
    ],
  ])('are kept for %s', async (_what, answer, before, after) => {
    const clock = createManualClock()
    const raw = await startRaw(answer)
    const upstream = open(raw.port, { clock })
    await send(upstream).done
    await clock.advance(before)
    await settle()
    expect(raw.sockets[0]?.closed).toBe(false)
    await clock.advance(after - before)
    await settle()
    expect(raw.sockets[0]?.closed).toBe(true)
  })

  it('are not used after an answer that came before the request was sent whole', async () => {
    const raw = await startRaw((socket, _read, connection) => {
      if (connection === 1) socket.pause()
      socket.write(OK)
    })
    const upstream = open(raw.port)
    expect(await send(upstream, { body: 'x'.repeat(20_000_000) }).done).toBe('200 ok')
    expect(await send(upstream).done).toBe('200 ok')
    expect(raw.sockets).toHaveLength(2)
  })

  it('that broke are replaced once, for what may be repeated and where nothing was answered', async () => {
    const raw = await startRaw((socket, _read, connection) => {
      if (connection === 1 && socket.bytesWritten > 0) socket.resetAndDestroy()
      else socket.write(OK)
    })
    const upstream = open(raw.port, { isRetrySafe: ({ body }) => body === 'safe' })
    await send(upstream).done
    expect(await send(upstream, { body: 'safe' }).done).toBe('200 ok')
    const other = await startRaw((socket) => {
      if (socket.bytesWritten > 0) socket.resetAndDestroy()
      else socket.write(OK)
    })
    const careful = open(other.port, { isRetrySafe: ({ body }) => body === 'safe' })
    await send(careful).done
    expect(await send(careful, { body: 'a call' }).done).toBe('ECONNRESET')
    expect(other.sockets).toHaveLength(1)
  })

  it('take nothing more once they are closed for good', async () => {
    const raw = await startRaw(() => {})
    const upstream = open(raw.port)
    const waiting = send(upstream)
    await settle()
    await upstream.close()
    expect(await waiting.done).toBe('ECONNRESET')
    expect(await send(upstream).done).toBe('ECONNRESET')
    expect(raw.sockets).toHaveLength(1)
  })
})

describe('a request that is given up', () => {
  it('before its connection is there is never sent', async () => {
    const raw = await startRaw(OK)
    const upstream = open(raw.port)
    send(upstream).controller.abort(new Error('gone'))
    await settle()
    expect(raw.reads).toEqual([])
  })

  it('drops its connection, and nobody hears more of the answer', async () => {
    const raw = await startRaw((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab'),
    )
    const upstream = open(raw.port)
    const { controller, body } = send(upstream)
    await settle()
    controller.abort(new Error('gone'))
    await settle()
    expect(body()).toBe('ab')
    expect(raw.sockets[0]?.closed).toBe(true)
  })

  it('at its head is told nothing of a body in the same packet', async () => {
    const raw = await startRaw(OK)
    const { controller, body } = send(open(raw.port), {}, (given) => given.abort(new Error('no')))
    await settle()
    expect([controller.aborted, body()]).toEqual([true, ''])
  })
})

describe('an answer that is paused', () => {
  it('at its head tells nothing more until it goes on, and its connection is free', async () => {
    const raw = await startRaw(OK)
    const upstream = open(raw.port)
    const { done, controller, body } = send(upstream, {}, (given) => given.pause())
    await settle()
    expect(body()).toBe('')
    expect(await send(upstream).done).toBe('200 ok')
    expect(raw.sockets).toHaveLength(1)
    controller.resume()
    expect(await done).toBe('200 ok')
  })

  it('has the target wait', async () => {
    const size = 40_000_000
    const raw = await startRaw((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
      socket.write(Buffer.alloc(size, 'x'))
    })
    const { done, controller, body } = send(open(raw.port), {}, (given) => given.pause())
    await expect.poll(() => controller.paused, { timeout: 10_000 }).toBe(true)
    await settle(150)
    expect(raw.sockets[0]?.writableLength).toBeGreaterThan(size / 4)
    expect(body()).toBe('')
    controller.resume()
    expect((await done).length).toBe(size + 4)
  })
})

describe('time limits', () => {
  it.each([50, 20_000])('of %d ms for the head are kept', async (headersTimeout) => {
    const clock = createManualClock()
    const raw = await startRaw(() => {})
    const { done } = send(open(raw.port, { clock }), { headersTimeout })
    let ended = false
    void done.then(() => {
      ended = true
    })
    await settle()
    await clock.advance(headersTimeout - 1)
    expect(ended).toBe(false)
    await clock.advance(1_001)
    expect(await done).toBe('UND_ERR_HEADERS_TIMEOUT')
    await settle()
    expect(raw.sockets[0]?.closed).toBe(true)
  })

  it.each([50, 20_000])('of %d ms for the body begin anew with each piece', async (bodyTimeout) => {
    const clock = createManualClock()
    const raw = await startRaw('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na')
    const { done, body } = send(open(raw.port, { clock }), { bodyTimeout })
    await expect.poll(body).toBe('a')
    await clock.advance(bodyTimeout - 10)
    raw.sockets[0]?.write('b')
    await expect.poll(body).toBe('ab')
    await clock.advance(bodyTimeout - 10)
    expect(body()).toBe('ab')
    await clock.advance(1_010)
    expect(await done).toBe('UND_ERR_BODY_TIMEOUT')
  })

  it('do not hold for a stream without one', async () => {
    const clock = createManualClock()
    const raw = await startRaw('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n')
    const { done, body } = send(open(raw.port, { clock }), { headersTimeout: 5_000 })
    await expect.poll(body).toBe('a')
    await clock.advance(86_400_000)
    raw.sockets[0]?.write('0\r\n\r\n')
    expect(await done).toBe('200 a')
  })
})

describe('TLS', () => {
  let certificates: Certificates
  beforeAll(async () => {
    certificates = await createCertificates()
  })

  async function startSecure(cert: string, isClosing = false) {
    const seen: { name: string | false | null; isResumed: boolean }[] = []
    const answer = isClosing ? OK.replace('\r\n', '\r\nConnection: close\r\n') : OK
    const server = createTlsServer({ key: certificates.key, cert, ALPNProtocols: ['http/1.1'] })
    server.on('secureConnection', (socket: TLSSocket) => {
      seen.push({ name: socket.servername as string, isResumed: socket.isSessionReused() })
      socket.on('error', () => {})
      socket.on('data', () => socket.write(answer))
      closing.push(() => socket.destroy())
    })
    return { port: await start(server), seen }
  }

  it('trusts the authority that it is told to, names the host, and resumes its session', async () => {
    const { port, seen } = await startSecure(certificates.cert, true)
    const upstream = open(port, { ca: [certificates.ca] }, `https://localhost:${port}`)
    expect(await send(upstream).done).toBe('200 ok')
    await settle()
    expect(await send(upstream).done).toBe('200 ok')
    expect(seen).toEqual([
      { name: 'localhost', isResumed: false },
      { name: 'localhost', isResumed: true },
    ])
  })

  it('uses a connection again, and checks an address without naming it', async () => {
    const { port, seen } = await startSecure(certificates.cert)
    const upstream = open(port, { ca: [certificates.ca] }, `https://127.0.0.1:${port}`)
    for (let i = 0; i < 3; i++) expect(await send(upstream).done).toBe('200 ok')
    expect(seen).toEqual([{ name: false, isResumed: false }])
  })

  it.each([
    ['cert', false, /UNABLE_TO|SELF_SIGNED/],
    ['selfSigned', true, /DEPTH_ZERO_SELF_SIGNED_CERT/],
    ['foreign', true, /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['expired', true, /CERT_HAS_EXPIRED/],
  ] as const)('sends nothing to a server whose certificate is "%s"', async (name, isTold, why) => {
    const { port, seen } = await startSecure(certificates[name])
    const ca = isTold ? { ca: [certificates.ca] } : {}
    expect(await send(open(port, ca, `https://localhost:${port}`)).done).toMatch(why)
    expect(seen.length).toBeLessThan(2)
  })
})

const hasIpv6 = await new Promise<boolean>((resolve) => {
  const server = createServer().once('error', () => resolve(false))
  server.listen(0, '::1', () => server.close(() => resolve(true)))
})

describe('addresses', () => {
  it.skipIf(!hasIpv6)('of IPv6 are taken (skipped where there is none)', async () => {
    const raw = await startRaw(OK, '::1')
    expect(await send(open(raw.port, {}, `http://[::1]:${raw.port}`)).done).toBe('200 ok')
    expect(raw.reads[0]).toContain(`host: [::1]:${raw.port}\r\n`)
  })

  it('of both families are tried for a name', async () => {
    const raw = await startRaw(OK)
    expect(await send(open(raw.port, {}, `http://localhost:${raw.port}`)).done).toBe('200 ok')
  })

  it('that nobody listens on, and names that do not exist, are told as such', async () => {
    const raw = await startRaw(OK)
    expect(await send(open(1, {}, 'http://127.0.0.1:1')).done).toBe('ECONNREFUSED')
    const unknown = open(raw.port, {}, 'http://no-such-host.invalid')
    expect(await send(unknown).done).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/)
  })
})
