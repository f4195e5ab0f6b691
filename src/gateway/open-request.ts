import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { isLegacyVersion, LEGACY_VERSIONS } from '../mcp/versions.js'
import type { GatewayContext, Request } from './context.js'
import type { Exchange } from './exchange.js'

/**
 * Opens the session that a request names. Answers 404 when it is not one of ours, of this subject,
 * and 400 when the request claims a protocol version that the session, or nobody, speaks.
 * `initialize` negotiates the version: what its header says is no reason to refuse it.
 *
 * @param message What a POST carries.
 * @see [MCP 2025-11-25, Protocol Version Header](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header)
 */
export function openRequest(
  { sessions }: Pick<GatewayContext, 'sessions'>,
  exchange: Exchange,
  message?: Message,
): Request | undefined {
  const sealed = exchange.header('mcp-session-id')
  const refuse = (status: number, code: number, text: string) => {
    exchange.record.refusal = status === 404 ? 'session' : 'protocol'
    const id = status === 404 ? undefined : message?.id
    exchange.reply.json(status, errorResponse(id ?? null, { code, message: text }))
    return undefined
  }
  const session =
    sealed === undefined ? undefined : sessions.open(sealed, exchange.caller.principal)
  if (sealed !== undefined && session === undefined) {
    return refuse(404, -32001, 'Session not found: initialize again')
  }
  const claimed = exchange.header('mcp-protocol-version')
  // other versions that we know are let pass: what the session speaks is what the target gets
  const isSpoken = claimed === undefined || isLegacyVersion(claimed) || claimed === session?.version
  if (isSpoken || message?.method === 'initialize') return { exchange, sealed, session }
  const spoken = session?.version ?? LEGACY_VERSIONS.join(', ')
  const who = session === undefined ? 'without _meta, this server' : 'this session'
  const text = `Unsupported MCP-Protocol-Version ${JSON.stringify(claimed.slice(0, 40))}; ${who} speaks ${spoken}`
  return refuse(400, ERROR_CODES.invalidRequest, text)
}
