import { UpstreamError } from '../http/failure.js'
import { headerOf } from '../http/header-pairs.js'
import type { UpstreamRequest } from '../http/pool.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { legacyOnly } from './era-refusal.js'
import { errorResponse } from './jsonrpc.js'
import type { PeerCall } from './peer-call.js'
import { MODERN_VERSION } from './versions.js'

/** What a request to a peer says, read once. */
export interface PeerRequest {
  readonly request: UpstreamRequest
  readonly call: PeerCall
  /** The message that a POST carries; `undefined` when it is none. */
  readonly message: JsonObject | undefined
  readonly text: string
  readonly sessionId: string | undefined
  /** The version, when the message belongs to the era without sessions. */
  readonly modernVersion: string | undefined
}

/** Reads what a request to a peer says. */
export function readPeerRequest(request: UpstreamRequest, call: PeerCall): PeerRequest {
  const text = request.body?.toString() ?? ''
  const message = tryParseJson(text)
  const version = headerOf(request.headers, 'mcp-protocol-version')
  const isModern =
    headerOf(request.headers, 'mcp-method') !== undefined && (version ?? '') >= MODERN_VERSION
  return {
    ...{ request, call, text },
    message: isObject(message) ? message : undefined,
    sessionId: headerOf(request.headers, 'mcp-session-id'),
    modernVersion: isModern ? version : undefined,
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
export function refuseModern({ call, message }: PeerRequest): void {
  const given = message?.['id']
  const id = typeof given === 'string' || typeof given === 'number' ? given : null
  const body = errorResponse(id, legacyOnly(String(message?.['method'])))
  call.respond(400, { 'content-type': 'application/json' }, body)
}
