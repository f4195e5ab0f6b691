import type { RequestId } from '../../mcp/jsonrpc.js'
import { isObject } from '../../util/json.js'
import { isResponseTo } from '../forwarding/answer-check.js'

/** A stream that goes on with one that broke off. */
export interface Resumed {
  /** Whose answer is to come; absent where the target's session says that. */
  request: RequestId | undefined
}

/** Tells whether a message is the answer that a stream goes on for. */
export function isAnswerTo(message: unknown, { request }: Resumed): boolean {
  if (!isObject(message) || 'method' in message) return false
  if (request !== undefined) return isResponseTo(message, request)
  return 'result' in message || isObject(message['error'])
}
