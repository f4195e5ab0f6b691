import type { Server } from 'node:http'
import { ProxyError } from '../util/errors.js'
import { ownMember } from '../util/json.js'

/** Where a server listens. */
export interface ListenAddress {
  host: string
  /** 0 picks a free port. */
  port: number
}

/** Makes the URL of an address that is listened on; an IPv6 address stands in brackets. */
export function listenUrl({ host, port }: ListenAddress, path: string): string {
  const name = host.replace(/[[\]]/g, '')
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}${path}`
}

/**
 * Listens on a port.
 *
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error, host, port))
    })
    server.listen({ host: host.replace(/[[\]]/g, ''), port }, () => resolve())
  })
}

function listenError({ code }: NodeJS.ErrnoException, host: string, port: number): ProxyError {
  const reasons: Record<string, [string, string]> = {
    EADDRINUSE: ['another program listens there', 'Stop it, or choose another port with `--port`.'],
    EACCES: ['this user may not', 'Choose a port above 1023 with `--port`.'],
    EADDRNOTAVAIL: ['this machine has no such address', 'Set `--host` to 127.0.0.1 or 0.0.0.0.'],
    ENOTFOUND: ['the host name does not exist', 'Set `--host` to 127.0.0.1 or 0.0.0.0.'],
  }
  const [reason, hint] = ownMember(reasons, code ?? '') ?? [
    code ?? 'unknown',
    'Check `--host` and `--port`.',
  ]
  return new ProxyError('LISTEN_FAILED', `Cannot listen on ${host}:${port}: ${reason}`, { hint })
}
