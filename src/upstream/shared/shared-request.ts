import { errorResponse } from '../../mcp/jsonrpc.js'
import { STATELESS_VERSION, sessionBasedOnly } from '../../mcp/versions.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { headerOf, type UpstreamRequest } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import { JSON_HEAD, type PendingCall } from './pending-call.js'

/** What a request to a peer says, read once. */
export interface SharedRequest {
  readonly request: UpstreamRequest
  readonly call: PendingCall
  /** The message that a POST carries; `undefined` when it is none. */
  readonly message: JsonObject | undefined
  readonly text: string
  readonly sessionId: string | undefined
  /** The version, when the message belongs to the era without sessions. */
  readonly statelessVersion: string | undefined
}

/** Reads what a request to a peer says. */
export function readSharedRequest(request: UpstreamRequest, call: PendingCall): SharedRequest {
  const text = request.body?.toString() ?? ''
  const message = tryParseJson(text)
  const version = headerOf(request.headers, 'mcp-protocol-version')
  const isStateless =
    headerOf(request.headers, 'mcp-method') !== undefined && (version ?? '') >= STATELESS_VERSION
  return {
    ...{ request, call, text },
    message: isObject(message) ? message : undefined,
    sessionId: headerOf(request.headers, 'mcp-session-id'),
    statelessVersion: isStateless ? version : undefined,
  }
}

/** Tells whether a message is a request, which an answer is owed to. */
export function isRequest(message: JsonObject): boolean {
  return typeof message['method'] === 'string' && message['id'] !== undefined
}

/** Nothing was sent: the session of this request is not open here, or not any more. */
export function sessionLost(): UpstreamError {
  return new UpstreamError('session_lost', 'the session is not open here any more')
}

/** Nothing was sent: the request came without a session. */
export function sessionRequired(): UpstreamError {
  return new UpstreamError('session_required', 'it wants a session first')
}

/** Answers that a peer knows only the era with sessions. */
export function refuseStateless({ call, message }: SharedRequest): void {
  const given = message?.['id']
  const id = typeof given === 'string' || typeof given === 'number' ? given : null
  const body = errorResponse(id, sessionBasedOnly(String(message?.['method'])))
  call.respond(400, JSON_HEAD, body)
}
