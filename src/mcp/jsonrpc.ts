import { randomInt } from 'node:crypto'

/** JSON-RPC 2.0 request id. */
export type RequestId = string | number

const FIRST_OWN_ID = 2 ** 30

/**
 * Makes the id of a request of our own that shares a session with a client's requests: a number, since
 * some servers accept nothing else, larger than clients count, and within 31 bits.
 */
export function ownId(): number {
  return FIRST_OWN_ID + randomInt(FIRST_OWN_ID)
}

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
  urlElicitationRequired: -32042,
} as const

/** A JSON-RPC error that is made here. */
export interface WireError {
  code: number
  message: string
  data?: Readonly<Record<string, unknown>>
}

/** Writes an error response. `id` is `null` when the request's id is not known (JSON-RPC 2.0 §5). */
export function errorResponse(id: RequestId | null, error: WireError): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error })
}

/** Writes a request of our own. */
export function requestText(id: RequestId, method: string, params: object): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params })
}

/** Writes a notification of our own. */
export function notificationText(method: string, params?: object): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params })
}

/** Writes a successful response. */
export function resultResponse(id: RequestId, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result })
}

/** Writes a successful response around a result that stays as it is written. */
export function writtenResponse(id: RequestId, result: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`
}
/** The most bytes of one message, however it comes: a body, an event, a line. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024
