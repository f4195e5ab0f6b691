import type { RequestId } from '../mcp/jsonrpc.js'
import { replaceValues, type Span } from '../mcp/message.js'
import { findMember, skipSpace } from '../mcp/scan.js'
import { isObject, tryParseJson } from '../util/json.js'
import type { RequestIds } from './request-ids.js'
import { exposeResourceLinks } from './resource-links.js'
import type { Target } from './target.js'

/**
 * Exposes what one of several targets sends to a client besides its answers: the ids of its
 * requests, where it calls one off too, and their progress tokens lead back to it; resource URIs
 * name it. Everything else stays as the target wrote it.
 *
 * @param holder Who may answer.
 */
export function exposeServerMessage(
  requestIds: RequestIds,
  target: Target,
  text: string,
  holder: string,
): string {
  const message = tryParseJson(text)
  if (!isObject(message) || typeof message['method'] !== 'string') {
    return exposeResourceLinks(target, text)
  }
  const start = skipSpace(text, 0)
  const replacements: { span: Span; value: RequestId }[] = []
  const replace = (path: string[], value: unknown, expose: RequestIds['expose']) => {
    const span = findMember(text, start, ...path)
    if (span === undefined || (typeof value !== 'string' && typeof value !== 'number')) return
    replacements.push({ span, value: expose(target.name, value, holder) })
  }
  const params = isObject(message['params']) ? message['params'] : {}
  if (message['method'] === 'notifications/cancelled') {
    replace(['params', 'requestId'], params['requestId'], requestIds.expose)
  } else if ('id' in message) {
    replace(['id'], message['id'], requestIds.expose)
    const meta = isObject(params['_meta']) ? params['_meta'] : {}
    const path = ['params', '_meta', 'progressToken']
    replace(path, meta['progressToken'], requestIds.exposeToken)
  }
  return exposeResourceLinks(target, replaceValues(text, replacements))
}
