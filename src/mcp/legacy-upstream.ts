import { headerOf } from '../http/header-pairs.js'
import type { Upstream } from '../http/pool.js'
import { isObject, tryParseJson } from '../util/json.js'
import { ERROR_CODES, errorResponse, type RequestId } from './jsonrpc.js'
import { ClientExchange } from './translate/exchange.js'
import { LEGACY_VERSIONS, MODERN_VERSION } from './versions.js'

/** Keeps the newer era from a target: clients that try it are told to use `initialize`. */
export function createLegacyUpstream(inner: Upstream): Upstream {
  return {
    send(request, handler) {
      if (headerOf(request.headers, 'mcp-method') === undefined) {
        return inner.send(request, handler)
      }
      const message = tryParseJson(String(request.body ?? ''))
      const id = isObject(message) ? (message['id'] as RequestId | undefined) : undefined
      const error = {
        code: ERROR_CODES.unsupportedProtocolVersion,
        message: 'Unsupported protocol version',
        data: { supported: LEGACY_VERSIONS, requested: MODERN_VERSION },
      }
      const body = Buffer.from(errorResponse(id ?? null, error))
      new ClientExchange(handler).pass(400, { 'content-type': 'application/json' }, body)
    },
    close: () => inner.close(),
  }
}
