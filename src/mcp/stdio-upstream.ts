import { headerOf } from '../http/header-pairs.js'
import { OWNER } from '../http/owner.js'
import type { Upstream } from '../http/pool.js'
import { PeerCall } from './peer-call.js'
import {
  type PeerRequest,
  readPeerRequest,
  refuseModern,
  sessionLost,
  sessionRequired,
} from './peer-upstream.js'
import { type StdioOptions, StdioProcesses } from './stdio-processes.js'

/**
 * Makes a program that speaks MCP on stdin and stdout look like a server of today. Each caller, as
 * {@link OWNER} names it, has one process, which all sessions of the caller share.
 *
 * @see [MCP 2025-11-25, stdio](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio)
 */
export function createStdioUpstream(options: StdioOptions): Upstream {
  const { clock } = options
  const processes = new StdioProcesses(options)

  async function initialize(owner: string, asked: PeerRequest): Promise<void> {
    const server = await processes.get(owner)
    if (!asked.call.isOver) await server.initialize(asked)
  }

  async function postModern(owner: string, asked: PeerRequest): Promise<void> {
    const server = await processes.getModern(owner)
    if (server === undefined) refuseModern(asked)
    else if (!asked.call.isOver) server.postModern(asked)
  }

  function post(owner: string, asked: PeerRequest): void {
    const { call, message, sessionId, modernVersion } = asked
    const fail = (error: Error) => call.fail(error)
    if (message === undefined) return call.respond(400, {})
    if (modernVersion !== undefined) return void postModern(owner, asked).catch(fail)
    if (message['method'] === 'initialize') return void initialize(owner, asked).catch(fail)
    if (sessionId === undefined) return call.fail(sessionRequired())
    const server = processes.running(owner)
    const session = server?.use(sessionId)
    if (server === undefined || session === undefined) return call.fail(sessionLost())
    server.post(session, asked)
  }

  return {
    send(request, handler) {
      const call = new PeerCall(handler, clock, request)
      const asked = readPeerRequest(request, call)
      const owner = headerOf(request.headers, OWNER) ?? ''
      if (request.method === 'POST') return post(owner, asked)
      const { sessionId } = asked
      if (sessionId === undefined) return call.respond(405, {})
      const server = processes.running(owner)
      const session = server?.use(sessionId)
      if (server === undefined || session === undefined) return call.fail(sessionLost())
      if (request.method === 'GET') return session.listen(call)
      server.leave(sessionId)
      call.respond(200, {})
    },
    close: () => processes.close(),
    held: { kind: 'child', count: () => processes.count },
  }
}
