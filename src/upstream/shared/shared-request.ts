import { errorResponse } from '../../mcp/jsonrpc.js'
import { STATELESS_VERSION, sessionBasedOnly } from '../../mcp/versions.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { headerOf, type Upstream, type UpstreamRequest } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import { JSON_HEAD, PendingCall } from './pending-call.js'

/** A client's request to a shared connection, read once. */
export interface SharedRequest {
  readonly request: UpstreamRequest
  readonly call: PendingCall
  /** The message in the body; `undefined` when the body is none. */
  readonly message: JsonObject | undefined
  readonly text: string
  readonly sessionId: string | undefined
  /** The protocol version, when the message is one of the stateless protocol. */
  readonly statelessVersion: string | undefined
}

/** Reads a client's request. */
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

/** Tells whether a message is a request, which has to be answered. */
export function isRequest(message: JsonObject): boolean {
  return typeof message['method'] === 'string' && message['id'] !== undefined
}

/** Makes the failure of a request whose session is not open here: nothing was sent. */
export function sessionLost(): UpstreamError {
  return new UpstreamError('session_lost', 'the session is not open here any more')
}

/** Makes the failure of a request that needs a session and names none: nothing was sent. */
export function sessionRequired(): UpstreamError {
  return new UpstreamError('session_required', 'it wants a session first')
}

/** Answers that the server speaks only the session-based protocol. */
export function refuseStateless({ call, message }: SharedRequest): void {
  const given = message?.['id']
  const id = typeof given === 'string' || typeof given === 'number' ? given : null
  const body = errorResponse(id, sessionBasedOnly(String(message?.['method'])))
  call.respond(400, JSON_HEAD, body)
}

/** Refuses the stateless protocol: clients that try it are told to use `initialize`. */
export function createSessionBasedUpstream(inner: Upstream): Upstream {
  return {
    send(request, handler) {
      if (headerOf(request.headers, 'mcp-method') === undefined) return inner.send(request, handler)
      refuseStateless(readSharedRequest(request, new PendingCall(handler)))
    },
    close: () => inner.close(),
  }
}
