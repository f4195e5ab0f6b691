import type { Agent, request as httpRequest, RequestOptions } from 'node:http'
import { createRequire } from 'node:module'
import { urlToHttpOptions } from 'node:url'
import type { Clock } from '../util/runtime.js'
import { NodeCall } from './node-call.js'
import type { Upstream, UpstreamRequest } from './pool.js'

export interface NodeUpstreamOptions {
  clock: Pick<Clock, 'after'>
  /** Trusted instead of Node's own list, PEM. */
  ca?: readonly string[] | undefined
  /** The only family of addresses to connect to; without it both, first the one that answers. */
  family?: 4 | undefined
  /**
   * Tells whether a request may be sent a second time when its connection broke before anything was
   * answered. Nobody knows then whether the first one arrived.
   */
  mayRepeat?: ((request: UpstreamRequest) => boolean) | undefined
}

/** What the calls to one target share. */
export interface NodeConnections extends NodeUpstreamOptions {
  readonly url: URL
  /** The URL as Node's client wants it, so that it need not be taken apart for each request. */
  readonly place: Pick<RequestOptions, 'protocol' | 'hostname' | 'port' | 'path' | 'auth'>
  readonly request: typeof httpRequest
  agent: Agent
  /** 4 once IPv6 led nowhere. */
  family: 4 | undefined
  readonly running: Set<NodeCall>
}

/** Connections without a hint of the server are dropped after this time. */
const IDLE_MS = 25_000
const ATTEMPT_MS = 1_000
/** An import would read every export of the module, and from Node 22 on one of those loads undici. */
const load = createRequire(import.meta.url)

/**
 * Opens the connections to a target on `node:http`, which starts in a fraction of the time that a
 * faster client needs: the right choice for a process that serves one program. It can be used again
 * after `close`.
 */
export function createNodeUpstream(url: URL, options: NodeUpstreamOptions): Upstream {
  const node: Pick<typeof import('node:http'), 'Agent' | 'request'> = load(
    url.protocol === 'https:' ? 'node:https' : 'node:http',
  )
  const newAgent = () =>
    new node.Agent({
      keepAlive: true,
      scheduling: 'lifo',
      timeout: IDLE_MS,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
    })
  const { protocol, hostname, port, path, auth } = urlToHttpOptions(url)
  const connections: NodeConnections = {
    ...options,
    url,
    place: { protocol, hostname, port, path, auth },
    request: node.request,
    agent: newAgent(),
    family: options.family,
    running: new Set(),
  }
  return {
    send(request, handler) {
      new NodeCall(connections, request, handler).start()
    },
    async close() {
      connections.agent.destroy()
      connections.agent = newAgent()
      for (const call of [...connections.running]) call.cut()
    },
  }
}
