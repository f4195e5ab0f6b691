import { isDeepStrictEqual } from 'node:util'
import { createScanner, getNodeValue } from 'jsonc-parser'
import { isObject, type JsonObject, ownMember } from '../util/json.js'
import { isFlaw, type Node, parseJsonc } from '../util/jsonc.js'
import { createPositions, indentAt, lineBreakOf, startsLine } from '../util/text.js'
import { EditError, type Merged, type MergeRequest } from './edit-error.js'

/**
 * Parses JSON in which comments and trailing commas are allowed.
 *
 * @returns The object at the root; `undefined` when there is nothing besides comments.
 * @throws {EditError} when it is not JSON, or not an object.
 */
export function parseRoot(text: string): Node | undefined {
  const root = parseJsonc(text)
  if (isFlaw(root)) throw broken(text, root.offset, root.what)
  if (root !== undefined && root.type !== 'object') {
    throw broken(text, root.offset, 'an object is expected')
  }
  return root
}

/**
 * Finds the value of a member.
 *
 * @throws {EditError} when the member appears twice: some programs take the first and some the last.
 */
export function memberOf(text: string, object: Node, name: string): Node | undefined {
  const found = (object.children ?? []).filter(({ children }) => children?.[0]?.value === name)
  const [, second] = found
  if (second !== undefined) {
    throw broken(text, second.offset, `${JSON.stringify(name)} appears twice`)
  }
  return found[0]?.children?.[1]
}

/**
 * Finds the value of a member, which must be of the given type.
 *
 * @throws {EditError}
 */
export function typedMemberOf(
  text: string,
  object: Node,
  name: string,
  type: 'object' | 'array',
): Node | undefined {
  const found = memberOf(text, object, name)
  if (found === undefined || found.type === type) return found
  const article = type === 'array' ? 'an array' : 'an object'
  throw broken(text, found.offset, `${JSON.stringify(name)} is not ${article}`)
}

/** The text between the last child of an object or array and its closing bracket. */
export interface Tail {
  /** Whether there is a trailing comma. */
  readonly hasComma: boolean
  /** End of the last comma or comment; without any, of the last child. */
  readonly end: number
}

/** Scans from an offset to the closing bracket of an object or array. */
export function tailFrom(text: string, from: number, parent: Node): Tail {
  const close = parent.offset + parent.length - 1
  const scanner = createScanner(text)
  scanner.setPosition(from)
  let [hasComma, end] = [false, from]
  for (scanner.scan(); scanner.getTokenOffset() < close; scanner.scan()) {
    const tokenEnd = scanner.getTokenOffset() + scanner.getTokenLength()
    const token = text.slice(scanner.getTokenOffset(), tokenEnd)
    if (token.trim() === '') continue
    if (token === ',') hasComma = true
    end = tokenEnd
  }
  return { hasComma, end }
}

const broken = (text: string, offset: number, what: string) =>
  new EditError({ what, at: createPositions(text)(offset) })

/** The layout of a text. */
interface Layout {
  readonly lineBreak: string
  /** One step of indentation. */
  readonly step: string
}

/**
 * Adds a member at the end of an object, or an item at the end of an array, in the layout of the
 * text. Nothing else changes but the blanks of an empty object.
 *
 * @param name Name of the member; `undefined` for an item.
 * @param parents The object or array and its ancestors, innermost first.
 */
export function insertChild(
  text: string,
  parents: readonly [Node, ...Node[]],
  name: string | undefined,
  value: unknown,
): string {
  const [parent] = parents
  const label = name === undefined ? '' : `${JSON.stringify(name)}: `
  const open = parent.offset + 1
  const close = parent.offset + parent.length - 1
  const children = parent.children ?? []
  const last = children.at(-1)
  if (parents.some((node) => isInline(text, node))) {
    const gap = /^\s|, |: /.test(text.slice(open, close)) ? ' ' : ''
    const compact = `${gap === '' ? label.trimEnd() : label}${JSON.stringify(value)}`
    const { hasComma, end } = tailFrom(text, last === undefined ? open : endOf(last), parent)
    if (last === undefined) return splice(text, end, close, compact)
    return hasComma
      ? splice(text, end, end, `${gap}${compact},`)
      : splice(text, end, end, `,${gap}${compact}`)
  }
  const layout = layoutOf(text, parents.at(-1) ?? parent)
  const { lineBreak, step } = layout
  const first = children.find((child) => startsLine(text, child.offset))
  const outer = indentAt(text, startsLine(text, close) ? close : parent.offset)
  const indent = first === undefined ? outer + step : indentAt(text, first.offset)
  const own = `${lineBreak}${indent}${label}${spread(value, indent, layout)}`
  if (last === undefined) {
    const { end } = tailFrom(text, open, parent)
    // an object without members may contain comments
    return splice(text, end, close, `${own}${lineBreak}${outer}`)
  }
  const { hasComma, end } = tailFrom(text, endOf(last), parent)
  const added = splice(text, end, end, hasComma ? `${own},` : own)
  return hasComma ? added : splice(added, endOf(last), endOf(last), ',')
}

/** Replaces a value, in the layout of the text. */
export function replaceValue(
  text: string,
  node: Node,
  parents: readonly [Node, ...Node[]],
  value: unknown,
): string {
  const layout = layoutOf(text, parents.at(-1) ?? node)
  const written = parents.some((parent) => isInline(text, parent))
    ? JSON.stringify(value)
    : spread(value, indentAt(text, node.offset), layout)
  return splice(text, node.offset, endOf(node), written)
}

/** Whether a node has children and is written on one line. */
function isInline(text: string, { offset, length, children = [] }: Node): boolean {
  return children.length > 0 && !text.slice(offset, offset + length).includes('\n')
}

function layoutOf(text: string, root: Node): Layout {
  const lineBreak = lineBreakOf(text)
  const first = root.children?.find((child) => startsLine(text, child.offset))
  const own = first && indentAt(text, first.offset).slice(indentAt(text, root.offset).length)
  return { lineBreak, step: own || '  ' }
}

function spread(value: unknown, indent: string, { lineBreak, step }: Layout): string {
  return JSON.stringify(value, undefined, step).replaceAll('\n', `${lineBreak}${indent}`)
}

const endOf = ({ offset, length }: Node) => offset + length

const splice = (text: string, from: number, to: number, added: string) =>
  text.slice(0, from) + added + text.slice(to)

type Input = MergeRequest['entry']['inputs'][number]

/**
 * Adds a server to a JSON document, which may have comments.
 *
 * The result is parsed again as a safeguard: it must differ from the document by the entry only.
 *
 * @throws {EditError}
 */
export function mergeJson(text: string, request: MergeRequest): Merged {
  const merged = mergeServer(text, request)
  if (merged.outcome === 'same' || merged.outcome === 'taken') return merged
  const result = request.entry.inputs.reduce(mergeInput, merged.text)
  if (!isDeepStrictEqual(objectIn(result), expected(text, request))) {
    throw new EditError({
      what: 'it is written in a way that this program does not edit',
      at: undefined,
    })
  }
  return { ...merged, text: result }
}

/** The content that the edited document must have. */
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

/** Declares an input, unless it is declared already. */
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

/** Writes a new document, below the comments of a text without one. */
function newDocument(text: string, container: string, servers: object): string {
  const lineBreak = lineBreakOf(text)
  const written = JSON.stringify({ [container]: servers }, undefined, 2)
  const comments = text.trim() === '' ? '' : `${text.trimEnd()}${lineBreak}`
  return `${comments}${written.replaceAll('\n', lineBreak)}${lineBreak}`
}

/** Copies the value, because objects of the parser have no prototype and would compare as different. */
const contentOf = (node: Node): unknown => JSON.parse(JSON.stringify(getNodeValue(node)))

function objectIn(text: string): JsonObject {
  const root = parseRoot(text)
  const content = root && contentOf(root)
  return isObject(content) ? content : {}
}
