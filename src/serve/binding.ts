import type { IncomingMessage } from 'node:http'
import type { Server, Socket } from 'node:net'
import { isLoopback } from '../util/loopback.js'

/**
 * Creates the check whether the server that a request came to is bound to loopback, for requests of
 * servers that are not ours. Where that cannot be seen, it is not.
 */
export function createBindingCheck(): (request: Pick<IncomingMessage, 'socket'>) => boolean {
  let last: Server | undefined
  let answer = false
  return ({ socket }) => {
    // Node sets it on each connection that a server accepts, also below TLS
    const { server } = socket as Socket & { server?: Server }
    if (server === undefined || typeof server.address !== 'function') return false
    if (server !== last) {
      const address = server.address()
      // the path of a socket in the file system says nothing of who is behind it
      answer = typeof address === 'object' && address !== null && isLoopback(address.address)
      last = server
    }
    return answer
  }
}
