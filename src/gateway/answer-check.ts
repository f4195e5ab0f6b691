import { isUtf8 } from 'node:buffer'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { FailureCause } from './failure.js'
import type { UpstreamSend } from './upstream-send.js'

/** Beyond this an answer is only looked at from both ends: parsing would hold up everybody else. */
const MAX_PARSED_BYTES = 1024 * 1024

/** Errors that speak of the protocol itself and not of a missing session. */
const PROTOCOL_CODES: ReadonlySet<unknown> = new Set([-32020, -32021, -32022, -32602, -32601])

/**
 * Checks that a JSON answer is the response to one request.
 *
 * @param text The body decoded, where that was done already.
 * @returns What is wrong with it, or `undefined`.
 */
export function checkAnswer(body: Buffer, id: RequestId, text?: string): string | undefined {
  if (!isUtf8(body)) return 'its answer is not valid UTF-8'
  if (body.length > MAX_PARSED_BYTES) {
    const head = body.subarray(0, 16).toString().trimStart()
    const isWhole = head.startsWith('{') && body.subarray(-16).toString().trimEnd().endsWith('}')
    return isWhole ? undefined : 'its answer is not a JSON object'
  }
  const value = tryParseJson(text ?? body.toString('utf8'))
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
function checkRefusal(
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

const LOST = 'it no longer knows the session'
const MAX_WORDS = 300
/** "No valid session ID provided", "Session not found", and what a server new to the client says. */
const SESSION_WORDS = /session|not initialized/i

/**
 * Tells whether a 400 in a session may mean that the session is gone, as the examples of the official
 * SDKs say it. It is not sure: who acts on it asks the target first.
 */
function speaksOfSession(body: Buffer): boolean {
  const text = body.toString('utf8')
  const value = tryParseJson(text)
  const error = isObject(value) ? (value['error'] ?? value['message']) : text
  if (!isObject(error)) return SESSION_WORDS.test(String(error).slice(0, MAX_WORDS))
  if (PROTOCOL_CODES.has(error['code'])) return false
  return SESSION_WORDS.test(String(error['message']).slice(0, MAX_WORDS))
}

export type RefusalVerdict =
  /** The target's own JSON-RPC error, to be passed on with its status. */
  | { cause: undefined; answer: Buffer }
  | { cause: FailureCause; reason: string; answer: Buffer | undefined }

/** Judges a 4xx: the target's own JSON-RPC error, a lost or a missing session, or no MCP at all. */
export function judgeRefusal(
  status: number,
  body: Buffer,
  { id, inSession }: Pick<UpstreamSend, 'id' | 'inSession'>,
): RefusalVerdict {
  const error = id === undefined ? undefined : checkRefusal(body, id)
  const answer = error?.bytes
  if (inSession && (status === 404 || (status === 400 && speaksOfSession(body)))) {
    if (status === 400) return { cause: 'session_lost', reason: LOST, answer }
    return { cause: 'session_lost', reason: LOST, answer: undefined }
  }
  if (status === 400 && !inSession && error?.protocol !== true) {
    return { cause: 'session_required', reason: 'it answered HTTP 400', answer }
  }
  if (answer !== undefined) return { cause: undefined, answer }
  return { cause: 'http_status', reason: `it answered HTTP ${status}`, answer: undefined }
}
