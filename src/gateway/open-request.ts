import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import { LEGACY_VERSIONS } from '../mcp/versions.js'
import type { GatewayContext, Request } from './context.js'
import type { Exchange } from './exchange.js'
import type { Session } from './sessions.js'

/**
 * Opens the session that a request names. Answers 404 when it is not one of ours, of this subject,
 * and 400 when the request claims a protocol version that the session does not speak.
 *
 * @see [MCP 2025-11-25, Protocol Version Header](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header)
 */
export function openRequest(
  { sessions }: Pick<GatewayContext, 'sessions'>,
  exchange: Exchange,
): Request | undefined {
  const sealed = exchange.header('mcp-session-id')
  if (sealed === undefined) return { exchange, sealed, session: undefined }
  const session = sessions.open(sealed, exchange.caller.principal)
  const refuse = (status: number, code: number, message: string) => {
    exchange.record.refusal = status === 404 ? 'session' : 'protocol'
    exchange.reply.json(status, errorResponse(null, { code, message }))
    return undefined
  }
  if (session === undefined) return refuse(404, -32001, 'Session not found: initialize again')
  if (speaks(session, exchange.header('mcp-protocol-version'))) return { exchange, sealed, session }
  const message = `Unsupported MCP-Protocol-Version; this session speaks ${session.version}`
  return refuse(400, ERROR_CODES.invalidRequest, message)
}

/** Other versions that we know are let pass: what the session speaks is what the target gets. */
function speaks({ version }: Session, claimed: string | undefined): boolean {
  if (claimed === undefined || claimed === version) return true
  return LEGACY_VERSIONS.some((known) => known === claimed)
}
