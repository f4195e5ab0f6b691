import { isDeepStrictEqual } from 'node:util'
import { getNodeValue, type Node } from 'jsonc-parser'
import { isObject, type JsonObject, ownMember } from '../util/json.js'
import { BrokenText, type Merged, type MergeRequest } from './edit-error.js'
import { insertChild, memberOf, parseRoot, replaceValue, typedMemberOf } from './json-document.js'
import { lineBreakOf } from './text.js'

type Input = MergeRequest['entry']['inputs'][number]

/**
 * Puts a server into a JSON document, with comments or without.
 *
 * The text is edited by hand, so the result is parsed, too: it has to differ from what was there
 * by the entry and by nothing else.
 *
 * @throws {BrokenText}
 */
export function mergeJson(text: string, request: MergeRequest): Merged {
  const merged = mergeServer(text, request)
  if (merged.outcome === 'same' || merged.outcome === 'taken') return merged
  const result = request.entry.inputs.reduce(mergeInput, merged.text)
  if (!isDeepStrictEqual(objectIn(result), expected(text, request))) {
    throw new BrokenText({
      what: 'it is written in a way that this program does not edit',
      at: undefined,
    })
  }
  return { ...merged, text: result }
}

/** The content that a document must have once the server is in it. */
function expected(text: string, { host, name, entry }: MergeRequest): JsonObject {
  const before = objectIn(text)
  const servers = ownMember(before, host.container)
  const inputs = Array.isArray(before['inputs']) ? before['inputs'] : []
  const ids = new Set(inputs.map((input) => isObject(input) && input['id']))
  const added = entry.inputs.filter(({ id }) => !ids.has(id))
  return {
    ...before,
    [host.container]: { ...(isObject(servers) && servers), [name]: entry.value },
    ...(added.length > 0 && { inputs: [...inputs, ...added] }),
  }
}

function mergeServer(text: string, { host, name, entry, force }: MergeRequest): Merged {
  const { container } = host
  const servers = { [name]: entry.value }
  const root = parseRoot(text)
  if (root === undefined) return { text: newDocument(text, container, servers), outcome: 'added' }
  const present = typedMemberOf(text, root, container, 'object')
  if (present === undefined) {
    return { text: insertChild(text, [root], container, servers), outcome: 'added' }
  }
  const taken = memberOf(text, present, name)
  if (taken === undefined) {
    return { text: insertChild(text, [present, root], name, entry.value), outcome: 'added' }
  }
  if (isDeepStrictEqual(contentOf(taken), entry.value)) return { text, outcome: 'same' }
  if (!force) return { text, outcome: 'taken' }
  return { text: replaceValue(text, taken, [present, root], entry.value), outcome: 'replaced' }
}

/** Adds something that the host asks its user for, unless it asks for it already. */
function mergeInput(text: string, input: Input): string {
  const root = parseRoot(text)
  if (root === undefined) return text
  const present = typedMemberOf(text, root, 'inputs', 'array')
  if (present === undefined) return insertChild(text, [root], 'inputs', [input])
  const isThere = (present.children ?? []).some(
    (child) => child.type === 'object' && memberOf(text, child, 'id')?.value === input.id,
  )
  return isThere ? text : insertChild(text, [present, root], undefined, input)
}

/** A document for a text that holds none, below its comments. */
function newDocument(text: string, container: string, servers: object): string {
  const lineBreak = lineBreakOf(text)
  const written = JSON.stringify({ [container]: servers }, undefined, 2)
  const comments = text.trim() === '' ? '' : `${text.trimEnd()}${lineBreak}`
  return `${comments}${written.replaceAll('\n', lineBreak)}${lineBreak}`
}

/** The parser's objects have no prototype, which would make them differ from ours. */
const contentOf = (node: Node): unknown => JSON.parse(JSON.stringify(getNodeValue(node)))

function objectIn(text: string): JsonObject {
  const root = parseRoot(text)
  const content = root && contentOf(root)
  return isObject(content) ? content : {}
}
