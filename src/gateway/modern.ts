import { envelopeProblem, envelopeVersion, headerMismatch, isModern } from '../mcp/headers.js'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { metaOf } from '../mcp/meta.js'
import { MODERN_VERSION, REMOVED_METHODS } from '../mcp/versions.js'
import { type GatewayContext, pendingOf, type Request } from './context.js'
import { discover, refuseEra } from './discover.js'
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
 * that reads the body. While a target speaks older versions only, all of them are refused as a
 * server of those versions does, whatever else is wrong with them.
 *
 * @see [MCP 2026-07-28, Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)
 */
export function createModernEntrance({ context, handle, run }: ModernDeps) {
  const { eras, targets } = context
  const isKnownOlder = () => targets.some((target) => eras.known(target) === 'legacy')

  return (exchange: Exchange, message: Message): void => {
    const meta = metaOf(message.params)
    const request: Request = { exchange, sealed: undefined, session: undefined, meta }
    if (message.kind !== 'request') {
      return isKnownOlder() ? refuseEra(exchange, message) : handle(request, message)
    }
    const mismatch = headerMismatch(message, (name) => exchange.header(name))
    // only its header names the era: nothing of it is worth a question to a target
    if (!isModern(message)) {
      if (isKnownOlder()) return refuseEra(exchange, message)
      if (mismatch !== undefined && envelopeVersion(message) !== undefined) {
        return refuseMismatch(exchange, message, mismatch)
      }
      const problem = envelopeProblem(message) ?? '_meta is of another version'
      return refuse(exchange, message, ERROR_CODES.invalidParams, problem)
    }
    const isDiscover = message.method === 'server/discover'
    // the answers themselves will tell what the targets speak
    if (mismatch === undefined && isDiscover && (targets.length === 1 || isOurs(message))) {
      return run(exchange, message, discover(context, pendingOf(request), message))
    }
    const enter = (isServed: boolean) => {
      if (!isServed) return refuseEra(exchange, message)
      if (mismatch !== undefined) return refuseMismatch(exchange, message, mismatch)
      if (REMOVED_METHODS.has(message.method)) {
        const text = `Unknown method: ${message.method}`
        return refuse(exchange, message, ERROR_CODES.methodNotFound, text)
      }
      if (targets.length === 1 || isOurs(message)) return handle(request, message)
      const problem = envelopeProblem(message)
      if (problem === undefined) return refuseVersion(exchange, message)
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

/** Refuses a later version of the era than the one that is spoken here. */
function refuseVersion(exchange: Exchange, { id }: Message): void {
  const requested = exchange.header('mcp-protocol-version')
  const error = {
    code: ERROR_CODES.unsupportedProtocolVersion,
    message: 'Unsupported protocol version',
    data: { supported: [MODERN_VERSION], requested },
  }
  exchange.reply.json(400, errorResponse(id ?? null, error))
}

function refuseMismatch(exchange: Exchange, message: Message, problem: string): void {
  refuse(exchange, message, ERROR_CODES.headerMismatch, problem)
}

function refuse({ reply }: Exchange, { id }: Message, code: number, message: string): void {
  const status = code === ERROR_CODES.methodNotFound ? 404 : 400
  reply.json(status, errorResponse(id ?? null, { code, message }))
}
