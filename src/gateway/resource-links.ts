import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { Named } from './names.js'
import { exposeUri } from './uris.js'

/**
 * Exposes the resource URIs inside a message of one of several targets: contents of
 * `resources/read`, links and embedded resources in tool and prompt results, and
 * `notifications/resources/updated`. Returns the same text when it holds none.
 */
export function exposeResourceLinks(target: Named, text: string): string {
  if (!text.includes('"uri"')) return text
  const message = tryParseJson(text)
  if (!isObject(message)) return text
  let changed = false
  const expose = (holder: unknown) => {
    if (isObject(holder) && typeof holder['uri'] === 'string') {
      changed = true
      holder['uri'] = exposeUri(target, holder['uri'])
    }
  }
  if (message['method'] === 'notifications/resources/updated') expose(message['params'])
  const result = isObject(message['result']) ? message['result'] : {}
  for (const content of arrayOf(result['contents'])) expose(content)
  for (const block of contentBlocks(result)) {
    if (block['type'] === 'resource_link') expose(block)
    if (block['type'] === 'resource') expose(block['resource'])
  }
  return changed ? JSON.stringify(message) : text
}

function contentBlocks(result: JsonObject): JsonObject[] {
  const messages = arrayOf(result['messages']).map((message) => message['content'])
  return [...arrayOf(result['content']), ...messages.filter(isObject)]
}

function arrayOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : []
}
