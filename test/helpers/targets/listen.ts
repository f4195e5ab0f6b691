import { createServer, type RequestListener, type ServerOptions } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

export interface Listening {
  origin: string
  port: number
  /** Connections that are open now. */
  readonly openSockets: number
  /** Connections that were ever opened. */
  readonly socketCount: number
  /** Stops at once: whatever is still open is cut. */
  close(): Promise<void>
}

export interface ListenOptions extends ServerOptions {
  host?: string
  port?: number
}

/** Starts a bare HTTP server on a free loopback port. */
export async function listen(
  listener: RequestListener,
  { host = '127.0.0.1', port = 0, ...options }: ListenOptions = {},
): Promise<Listening> {
  const sockets = new Set<Socket>()
  let socketCount = 0
  const server = createServer({ keepAliveTimeout: 30_000, noDelay: true, ...options }, listener)
  server.on('connection', (socket) => {
    socketCount += 1
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const bound = (server.address() as AddressInfo).port
  return {
    origin: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    port: bound,
    get openSockets() {
      return sockets.size
    },
    get socketCount() {
      return socketCount
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
