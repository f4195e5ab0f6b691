import { replaceValues, type Span } from '../mcp/message.js'
import { findMember, scanElements, skipSpace } from '../mcp/scan.js'
import { isObject, tryParseJson } from '../util/json.js'
import type { Named } from './names.js'
import { exposeUri } from './uris.js'

/**
 * Exposes the resource URIs inside a message of one of several targets: contents of
 * `resources/read`, links and embedded resources in tool and prompt results, and
 * `notifications/resources/updated`. Everything else stays as the target wrote it.
 */
export function exposeResourceLinks(target: Named, text: string): string {
  // a name may be written in escapes
  if (!text.includes('"uri"') && !text.includes('\\u00')) return text
  // the scan needs valid JSON
  if (!isObject(tryParseJson(text))) return text
  const start = skipSpace(text, 0)
  const uris = [...findUris(text, start)]
  if (uris.length === 0) return text
  return replaceValues(
    text,
    uris.map((span) => ({ span, value: exposeUri(target, readString(text, span)) })),
  )
}

function* findUris(text: string, start: number): Iterable<Span> {
  const method = findMember(text, start, 'method')
  if (method !== undefined && readString(text, method) === 'notifications/resources/updated') {
    yield* uriOf(text, start, 'params')
  }
  const result = findMember(text, start, 'result')
  if (result === undefined) return
  for (const content of elementsOf(text, result.start, 'contents')) {
    yield* uriOf(text, content.start)
  }
  for (const block of elementsOf(text, result.start, 'content')) {
    yield* uriOfBlock(text, block.start)
  }
  for (const message of elementsOf(text, result.start, 'messages')) {
    const block = findMember(text, message.start, 'content')
    if (block !== undefined) yield* uriOfBlock(text, block.start)
  }
}

function* uriOfBlock(text: string, start: number): Iterable<Span> {
  const type = findMember(text, start, 'type')
  if (type === undefined) return
  const name = readString(text, type)
  if (name === 'resource_link') yield* uriOf(text, start)
  if (name === 'resource') yield* uriOf(text, start, 'resource')
}

function* uriOf(text: string, start: number, ...path: string[]): Iterable<Span> {
  const uri = findMember(text, start, ...path, 'uri')
  if (uri !== undefined && text[uri.start] === '"') yield uri
}

function elementsOf(text: string, start: number, name: string): Span[] {
  const list = findMember(text, start, name)
  return list === undefined ? [] : scanElements(text, list.start)
}

/** Reads a string value; anything else is ''. */
function readString(text: string, { start, end }: Span): string {
  return text[start] === '"' ? JSON.parse(text.slice(start, end)) : ''
}
