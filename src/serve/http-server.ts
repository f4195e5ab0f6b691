import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { ProxyConfig } from '../config/types.js'
import { ProxyError } from '../util/errors.js'
import { ownMember } from '../util/json.js'

const MAX_HEADER_BYTES = 16 * 1024

/** Longer than the idle time of common load balancers, so that they close connections first. */
const KEEP_ALIVE_MS = 75_000

/** How often Node checks its time limits. */
const CHECK_MS = 500

/** What Node could not read as a request. */
export interface BrokenRequest {
  status: number
  /** Node's own word for it. */
  code: string
  remote: string | undefined
}

/** Answers of Node's own by the code of its error; 400 where there is none. */
const STATUS: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'Payload Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout'],
}

/**
 * Creates the HTTP server.
 *
 * @param onBroken Learns of each connection whose request Node refused before it became one.
 */
export function createHttpServer(
  { timeouts }: Pick<ProxyConfig, 'timeouts'>,
  onBroken: (broken: BrokenRequest) => void,
): Server {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    ...serverTimes({ timeouts }),
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const [status, text] = ownMember(STATUS, error.code ?? '') ?? [400, 'Bad Request']
    // a client that only dropped its connection made no request
    if (socket.writable && error.code !== 'ECONNRESET' && error.code !== 'EPIPE') {
      onBroken({ status, code: error.code ?? 'unknown', remote: socket.remoteAddress })
      if (!isAnswering(socket)) {
        socket.write(`HTTP/1.1 ${status} ${text}\r\nConnection: close\r\n\r\n`)
      }
    }
    socket.destroy()
  })
  return server
}

/** Node's own time limits, which may be changed while a server runs. */
export function serverTimes({ timeouts }: Pick<ProxyConfig, 'timeouts'>) {
  return {
    headersTimeout: timeouts.headers * 1000,
    // the whole of a request; that of a body is looked at where it is read
    requestTimeout: (timeouts.headers + timeouts.body) * 1000,
  }
}

/** Tells, as Node does by itself, whether an answer is on its way that ours would stand in. */
function isAnswering(socket: Socket & { _httpMessage?: { headersSent: boolean } | null }): boolean {
  return socket._httpMessage?.headersSent === true
}

/** Where a server listens. */
interface ListenAddress {
  host: string
  /** 0 picks a free port. */
  port: number
}

/** Makes the URL of an address that is listened on; an IPv6 address stands in brackets. */
export function listenUrl({ host, port }: ListenAddress, path: string): string {
  const name = host.replace(/[[\]]/g, '')
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}${path}`
}

/** Where the address and the port are set, for messages. */
export interface ListenSettings {
  host: string
  port: string
}

/**
 * Listens on a port.
 *
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export function listen(
  server: Server,
  address: ListenAddress,
  settings: ListenSettings = { host: '`--host`', port: '`--port`' },
): Promise<void> {
  const { host, port } = address
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error, address, settings))
    })
    server.listen({ host: host.replace(/[[\]]/g, ''), port }, () => resolve())
  })
}

function listenError(
  { code }: NodeJS.ErrnoException,
  { host, port }: ListenAddress,
  by: ListenSettings,
): ProxyError {
  const otherHost = `Set ${by.host} to 127.0.0.1 or 0.0.0.0.`
  const reasons: Record<string, [string, string]> = {
    EADDRINUSE: [
      'another program listens there',
      `Stop it, or choose another port with ${by.port}.`,
    ],
    EACCES: ['this user may not', `Choose a port above 1023 with ${by.port}.`],
    EADDRNOTAVAIL: ['this machine has no such address', otherHost],
    ENOTFOUND: ['the host name does not exist', otherHost],
    EAI_AGAIN: ['the host name cannot be resolved', otherHost],
  }
  const [reason, hint] = ownMember(reasons, code ?? '') ?? [
    code ?? 'unknown',
    `Check ${by.host} and ${by.port}.`,
  ]
  return new ProxyError('LISTEN_FAILED', `Cannot listen on ${host}:${port}: ${reason}`, { hint })
}
