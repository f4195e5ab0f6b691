/** JSON-RPC 2.0 request id. */
export type RequestId = string | number

/** Error codes of JSON-RPC 2.0 §5.1 and of MCP. */
export const ERROR_CODES = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  headerMismatch: -32020,
  missingClientCapability: -32021,
  unsupportedProtocolVersion: -32022,
} as const

/** A JSON-RPC error that we answer ourselves. */
export interface WireError {
  code: number
  message: string
  data?: Readonly<Record<string, unknown>>
}

/** Writes an error response. `id` is `null` when the request's id is not known (JSON-RPC 2.0 §5). */
export function errorResponse(id: RequestId | null, error: WireError): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error })
}

/** Writes a successful response. */
export function resultResponse(id: RequestId, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result })
}
