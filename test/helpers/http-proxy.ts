import { createServer, request as httpRequest } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'

export interface HttpProxy {
  readonly url: string
  /** `CONNECT host:port` and `POST http://…`, in order. */
  readonly seen: string[]
  /** `Proxy-Authorization` of each. */
  readonly credentials: (string | undefined)[]
  close(): Promise<void>
}

/**
 * Starts an HTTP proxy that leads every host name to this machine.
 *
 * @param password Wanted as `user:password`; without it, everybody may pass.
 */
export async function startHttpProxy(password?: string): Promise<HttpProxy> {
  const seen: string[] = []
  const credentials: (string | undefined)[] = []
  const wanted = password && `Basic ${Buffer.from(password).toString('base64')}`
  const sockets = new Set<Socket>()
  const mayPass = (authorization: string | undefined) => {
    credentials.push(authorization)
    return wanted === undefined || authorization === wanted
  }
  const server = createServer((incoming, response) => {
    seen.push(`${incoming.method} ${incoming.url}`)
    if (!mayPass(incoming.headers['proxy-authorization'])) {
      response.writeHead(407).end()
      return
    }
    const url = new URL(incoming.url ?? '')
    const { method, headers } = incoming
    const outgoing = httpRequest(
      { host: '127.0.0.1', port: url.port, path: url.pathname, method, headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      },
    )
    outgoing.on('error', () => response.destroy())
    incoming.pipe(outgoing)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('connect', (incoming, socket: Socket, head) => {
    seen.push(`CONNECT ${incoming.url}`)
    if (!mayPass(incoming.headers['proxy-authorization'])) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n')
      return
    }
    const port = Number(incoming.url?.split(':')[1])
    const upstream = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      upstream.write(head)
      upstream.pipe(socket).pipe(upstream)
    })
    upstream.on('error', () => socket.destroy())
    socket.on('error', () => upstream.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    credentials,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
