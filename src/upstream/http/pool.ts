import { Pool } from 'undici'
import { createClock } from '../../util/async.js'
import type { Clock } from '../../util/runtime.js'
import { ABORTED, CONNECT_TIMEOUT_MS, KEEP_ALIVE_MS, type Upstream } from '../upstream.js'
import type { OnFault } from './guarded-answer.js'
import { plainAnswers } from './plain-answers.js'
import { Patience, PooledAnswer } from './pooled-answer.js'

/**
 * Opens the connections to a target lazily. Event streams that stay open have a pool of their own,
 * since undici looks for a free connection from the first to the last.
 *
 * @param onFault Told of a mistake of ours in reading an answer.
 */
export function createUpstream(
  url: URL,
  onFault?: OnFault,
  clock: Pick<Clock, 'after'> = createClock(),
): Upstream {
  const options = {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  }
  const calls = dropAborted(new Pool(url.origin, options))
  const streams = dropAborted(new Pool(url.origin, options))
  const ownPath = url.pathname + url.search
  const patience = new Patience(clock)
  const connections: Upstream = {
    send(request, handler) {
      const pool = request.method === 'GET' || request.isStream ? streams : calls
      const { method, headers, body = null, path = ownPath } = request
      const answer = new PooledAnswer(handler, patience, request)
      // nothing is sent ahead on a connection, so that there is nothing to hold back
      const blocking = false
      const options = { path, method, headers, body, blocking, headersTimeout: 0, bodyTimeout: 0 }
      pool.dispatch(options, answer)
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
