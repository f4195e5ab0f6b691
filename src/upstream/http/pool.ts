import { Pool } from 'undici'
import { ABORTED, CONNECT_TIMEOUT_MS, KEEP_ALIVE_MS, type Upstream } from '../upstream.js'
import type { OnFault } from './guarded-answer.js'
import { plainAnswers } from './plain-answers.js'

/**
 * Opens the connections to a target lazily. Event streams that stay open have a pool of their own,
 * since undici looks for a free connection from the first to the last.
 *
 * @param onFault Told of a mistake of ours in reading an answer.
 */
export function createUpstream(url: URL, onFault?: OnFault): Upstream {
  const options = {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  }
  const calls = dropAborted(new Pool(url.origin, options))
  const streams = dropAborted(new Pool(url.origin, options))
  const ownPath = url.pathname + url.search
  const connections: Upstream = {
    send(request, handler) {
      const pool = request.method === 'GET' || request.isStream ? streams : calls
      const { method, headers, headersTimeout, bodyTimeout, body = null, path = ownPath } = request
      pool.dispatch({ path, method, headers, body, headersTimeout, bodyTimeout }, handler)
    },
    async close() {
      await Promise.all([calls.destroy(), streams.destroy()])
    },
  }
  return plainAnswers(connections, url, onFault)
}

/**
 * Takes a connection out of its pool when its request is given up. undici would connect it anew at
 * once, for the request that nobody waits for any more, and hold that connection for seconds.
 */
function dropAborted(pool: Pool): Pool {
  pool.on('disconnect', (origin, targets, error) => {
    const client = targets.at(-1)
    if (client === undefined || client === pool || error.message !== ABORTED) return
    // the pool forgets a client on this event only
    pool.emit('connectionError', origin, [client], error)
    client.destroy(error).catch(() => undefined)
  })
  return pool
}
