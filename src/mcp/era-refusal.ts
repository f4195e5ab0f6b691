import { ERROR_CODES, type WireError } from './jsonrpc.js'
import { LEGACY_VERSIONS } from './versions.js'

/**
 * Makes the error by which a server of the versions before 2026-07-28 refuses a request of that
 * version: it does not know the method. `-32022` would say that the server knows the stateless
 * protocol, and clients that hear it never try `initialize`.
 *
 * @param method What the request asked for.
 * @see [MCP 2026-07-28, versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning)
 */
export function legacyOnly(method: string): WireError {
  const message = `Method not found: ${method.slice(0, 60)} of 2026-07-28; this server speaks ${LEGACY_VERSIONS.join(', ')}: send "initialize" first`
  return { code: ERROR_CODES.methodNotFound, message }
}
