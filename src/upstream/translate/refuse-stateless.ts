import { legacyOnly } from '../../mcp/era-refusal.js'
import { errorResponse, type RequestId } from '../../mcp/jsonrpc.js'
import { isObject, tryParseJson } from '../../util/json.js'
import { headerOf, type Upstream } from '../upstream.js'
import { ClientExchange } from './client-response.js'

/** Keeps the newer era from a target: clients that try it are told to use `initialize`. */
export function createLegacyUpstream(inner: Upstream): Upstream {
  return {
    send(request, handler) {
      const method = headerOf(request.headers, 'mcp-method')
      if (method === undefined) return inner.send(request, handler)
      const message = tryParseJson(String(request.body ?? ''))
      const id = isObject(message) ? (message['id'] as RequestId | undefined) : undefined
      const body = Buffer.from(errorResponse(id ?? null, legacyOnly(method)))
      new ClientExchange(handler).pass(400, { 'content-type': 'application/json' }, body)
    },
    close: () => inner.close(),
  }
}
