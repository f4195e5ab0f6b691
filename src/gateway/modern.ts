import { envelopeProblem, envelopeVersion, headerMismatch } from '../mcp/headers.js'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { metaOf } from '../mcp/meta.js'
import { LEGACY_VERSIONS, MODERN_VERSION, REMOVED_METHODS } from '../mcp/versions.js'
import { type GatewayContext, pendingOf, type Request } from './context.js'
import { discover, refuseVersion } from './discover.js'
import type { Exchange } from './exchange.js'

export interface ModernDeps {
  context: GatewayContext
  /** Takes a message that is as it should be. */
  handle(request: Request, message: Message): void
  /** Answers for whatever goes wrong on our side. */
  run(exchange: Exchange, message: Message, work: Promise<void>): void
}

/**
 * Creates the entrance for messages of the stateless era. It checks what 2026-07-28 asks of a server
 * that reads the body, and refuses all of them while a target speaks older versions only.
 *
 * @see [MCP 2026-07-28, Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)
 */
export function createModernEntrance({ context, handle, run }: ModernDeps) {
  const { eras, targets } = context

  return (exchange: Exchange, message: Message): void => {
    const meta = metaOf(message.params)
    const request: Request = { exchange, sealed: undefined, session: undefined, meta }
    if (message.kind !== 'request') return handle(request, message)
    const mismatch = headerMismatch(message, (name) => exchange.header(name))
    if (mismatch !== undefined) {
      return refuse(exchange, message, ERROR_CODES.headerMismatch, mismatch)
    }
    if (REMOVED_METHODS.has(message.method)) {
      const text = `Unknown method: ${message.method}`
      return refuse(exchange, message, ERROR_CODES.methodNotFound, text)
    }
    const isDiscover = message.method === 'server/discover'
    // the answers themselves will tell what the targets speak
    if (isDiscover && (targets.length === 1 || isOurs(message))) {
      return run(exchange, message, discover(context, pendingOf(request), message))
    }
    const enter = (isServed: boolean) => {
      if (!isServed) return refuseVersion(exchange, message, LEGACY_VERSIONS)
      if (targets.length === 1 || isOurs(message)) return handle(request, message)
      const problem = envelopeProblem(message)
      if (problem === undefined) return refuseVersion(exchange, message, [MODERN_VERSION])
      refuse(exchange, message, ERROR_CODES.invalidParams, problem)
    }
    const served = eras.serveModern(request)
    if (typeof served === 'boolean') enter(served)
    else run(exchange, message, served.then(enter))
  }
}

/** Tells whether a request is one that we can answer ourselves, in the version that we know. */
function isOurs(message: Message): boolean {
  return envelopeProblem(message) === undefined && envelopeVersion(message) === MODERN_VERSION
}

function refuse({ reply }: Exchange, { id }: Message, code: number, message: string): void {
  const status = code === ERROR_CODES.methodNotFound ? 404 : 400
  reply.json(status, errorResponse(id ?? null, { code, message }))
}
