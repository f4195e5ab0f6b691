import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { ProxyConfig } from '../config/types.js'
import { ownMember } from '../util/json.js'

const MAX_HEADER_BYTES = 16 * 1024
/** Above the idle time of common load balancers, so that they close connections and not we. */
const KEEP_ALIVE_MS = 75_000
/** Node looks at its times only so often. */
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
    headersTimeout: timeouts.headers * 1000,
    // the whole of a request; that of a body is looked at where it is read
    requestTimeout: (timeouts.headers + timeouts.body) * 1000,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const [status, text] = ownMember(STATUS, error.code ?? '') ?? [400, 'Bad Request']
    // a connection that was only dropped asked for nothing
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

/** Tells, as Node does by itself, whether an answer is on its way that ours would stand in. */
function isAnswering(socket: Socket & { _httpMessage?: { headersSent: boolean } | null }): boolean {
  return socket._httpMessage?.headersSent === true
}
