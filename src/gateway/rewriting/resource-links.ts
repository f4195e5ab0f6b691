import {
  type Edit,
  elementsAt,
  findMember,
  membersAt,
  readString,
  replaceParts,
  type TextSpan,
} from '../../mcp/json-text.js'
import { isObject, tryParseJson } from '../../util/json.js'
import type { Named } from '../routing/names.js'
import { exposeUri } from '../routing/resource-uris.js'

/** Members of `_meta` that name a view of MCP Apps, which is a resource: today's, and older ones. */
const VIEWS = [['ui', 'resourceUri'], ['ui/resourceUri'], ['openai/outputTemplate']] as const

/**
 * Exposes the resource URIs inside a message of one of several targets: contents of
 * `resources/read`, links and embedded resources in tool and prompt results and in what a target
 * asks of a client's model, views of MCP Apps, and `notifications/resources/updated`. Everything
 * else stays as the target wrote it.
 *
 * @see [MCP Apps](https://github.com/modelcontextprotocol/ext-apps/blob/main/specification/2026-01-26/apps.mdx)
 */
export function exposeResourceLinks(target: Named, text: string): string {
  // a name may be written in escapes
  const mayHold = ['ri"', 'outputTemplate"', '\\u00'].some((mark) => text.includes(mark))
  // the scan needs valid JSON
  if (!mayHold || !isObject(tryParseJson(text))) return text
  return replaceParts(text, exposeEach(target, text, findUris(text, 0)))
}

/** Exposes the views that an entry of a list names, such as a tool; it starts at `start`. */
export function exposeViews(target: Named, text: string, start: number): Edit[] {
  return exposeEach(target, text, findViews(text, start))
}

function exposeEach(target: Named, text: string, uris: Iterable<TextSpan>): Edit[] {
  return [...uris].map(({ start, end }) => {
    const own = readString(text, { start, end }) ?? ''
    return { start, end, text: JSON.stringify(exposeUri(target, own)) }
  })
}

function* findUris(text: string, start: number): Iterable<TextSpan> {
  const method = findMember(text, start, 'method')
  if (method !== undefined) {
    if (readString(text, method) === 'notifications/resources/updated') {
      yield* uriOf(text, start, 'params')
    }
    yield* findInPart(text, start, 'params')
  }
  yield* findInPart(text, start, 'result')
  // requests for input in a result, which the client answers with its next request
  const questions = findMember(text, start, 'result', 'inputRequests')
  for (const question of questions === undefined ? [] : membersAt(text, questions.start)) {
    yield* findInPart(text, question.start, 'params')
  }
}

function* findInPart(text: string, start: number, name: 'params' | 'result'): Iterable<TextSpan> {
  const part = findMember(text, start, name)
  if (part === undefined || text[part.start] !== '{') return
  yield* findViews(text, part.start)
  for (const content of elementsAt(text, part.start, 'contents')) {
    yield* uriOf(text, content.start)
    yield* findViews(text, content.start)
  }
  yield* findInBlocks(text, part.start)
  for (const message of elementsAt(text, part.start, 'messages')) {
    yield* findInBlocks(text, message.start)
  }
}

/** Searches the blocks in `content`, which is one or a list, and those inside a tool's result there. */
function* findInBlocks(text: string, start: number): Iterable<TextSpan> {
  for (const block of blocksOf(text, start)) {
    yield* uriOfBlock(text, block.start)
    for (const inner of blocksOf(text, block.start)) yield* uriOfBlock(text, inner.start)
  }
}

function blocksOf(text: string, start: number): TextSpan[] {
  const content = findMember(text, start, 'content')
  if (content === undefined) return []
  return text[content.start] === '{' ? [content] : elementsAt(text, content.start)
}

function* uriOfBlock(text: string, start: number): Iterable<TextSpan> {
  yield* findViews(text, start)
  const name = readString(text, findMember(text, start, 'type'))
  if (name === 'resource_link') yield* uriOf(text, start)
  if (name === 'resource') yield* uriOf(text, start, 'resource')
}

function* uriOf(text: string, start: number, ...path: string[]): Iterable<TextSpan> {
  yield* stringAt(text, start, ...path, 'uri')
}

function* findViews(text: string, start: number): Iterable<TextSpan> {
  const meta = findMember(text, start, '_meta')
  if (meta === undefined) return
  for (const path of VIEWS) yield* stringAt(text, meta.start, ...path)
}

function* stringAt(text: string, start: number, ...path: string[]): Iterable<TextSpan> {
  const found = findMember(text, start, ...path)
  if (found !== undefined && text[found.start] === '"') yield found
}
