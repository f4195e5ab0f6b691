import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'

/** Beyond this an answer is only looked at from both ends: parsing would hold up everybody else. */
const MAX_PARSED_BYTES = 1024 * 1024

/** Errors that speak of the protocol itself and not of a missing session. */
const PROTOCOL_CODES: ReadonlySet<unknown> = new Set([-32020, -32021, -32022, -32602, -32601])

/**
 * Checks that a JSON answer is the response to one request.
 *
 * @returns What is wrong with it, or `undefined`.
 */
export function checkAnswer(body: Buffer, id: RequestId): string | undefined {
  if (body.length > MAX_PARSED_BYTES) {
    const isWhole = body[0] === 0x7b && body.subarray(-16).toString().trimEnd().endsWith('}')
    return isWhole ? undefined : 'its answer is not a JSON object'
  }
  const value = tryParseJson(body.toString('utf8'))
  if (!isObject(value)) return 'its answer is not valid JSON'
  return isResponseTo(value, id) ? undefined : 'its answer is not a response to this request'
}

/** Tells whether a message is the JSON-RPC response to the request with this id. */
export function isResponseTo(value: JsonObject, id: RequestId): boolean {
  return value['id'] === id && ('result' in value || isObject(value['error']))
}

/**
 * Reads the body of a 4xx.
 *
 * @returns The JSON-RPC error in it, under the request's id, and whether it speaks of the protocol;
 *   `undefined` when the body is anything else.
 */
export function checkRefusal(
  body: Buffer,
  id: RequestId,
): { bytes: Buffer; protocol: boolean } | undefined {
  const value = tryParseJson(body.toString('utf8'))
  if (!isObject(value) || !isObject(value['error'])) return undefined
  const { error } = value
  if (typeof error['code'] !== 'number' || typeof error['message'] !== 'string') return undefined
  const protocol = PROTOCOL_CODES.has(error['code'])
  if (value['id'] === id) return { bytes: body, protocol }
  const { code, message, data } = error
  const wire = isObject(data) ? { code, message, data } : { code, message }
  return { bytes: Buffer.from(errorResponse(id, wire)), protocol }
}
