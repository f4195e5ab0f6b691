import { getNodeValue } from 'jsonc-parser'
import { isFlaw, type Node, parseJsonc } from '../util/jsonc.js'
import { createPositions, type Position } from '../util/text.js'

/** Lines (from 1) of a document's members, by path joined with `\u0000`. */
export type Lines = ReadonlyMap<string, number>

/** Replaces the index of a list's item in a path. */
const ITEM = '[]'

const MAX_DUPLICATES_NAMED = 5

export const pathId = (path: readonly string[]): string => path.join('\u0000')

/** Writes a problem with its place. */
export const flawAt = ({ line, column }: Position, what: string): string =>
  `line ${line}, column ${column}: ${what}`

/** A member of an object, or an item of a list, which has no name. */
export interface Part<N> {
  readonly name?: string
  readonly offset: number
  readonly value: N
}

/**
 * Finds the line of each member.
 *
 * @param partsOf Yields the members of an object or the items of a list.
 * @param member Only this member of the root, and what it holds, must have no duplicates.
 * @returns Or a sentence that names the members which appear twice, with both lines.
 */
export function readLines<N>(
  root: N,
  partsOf: (node: N) => Iterable<Part<N>>,
  positionOf: (offset: number) => Position,
  member?: string,
): Lines | string {
  const lines = new Map<string, number>()
  const duplicates: string[] = []
  const visit = (node: N, path: readonly string[]): void => {
    const known = new Map<string, number>()
    for (const { name, offset, value } of partsOf(node)) {
      const here = [...path, name ?? ITEM]
      if (name !== undefined) {
        const { line } = positionOf(offset)
        const first = known.get(name)
        if (first === undefined) known.set(name, line)
        else if (member === undefined || here[0] === member) {
          const quoted = JSON.stringify(name.slice(0, 80))
          duplicates.push(`${quoted} appears twice, in line ${first} and in line ${line}`)
        }
        lines.set(pathId(here), line)
      }
      visit(value, here)
    }
  }
  visit(root, [])
  return duplicates.length > 0 ? duplicates.slice(0, MAX_DUPLICATES_NAMED).join('; ') : lines
}

/** What a text holds and where its members stand. */
export interface Read {
  content: unknown
  lines: Lines
}

/**
 * Reads JSON with comments and trailing commas.
 *
 * @param member The one member of the root that is read by us; duplicates elsewhere are ignored.
 * @returns Or a sentence that says what is wrong, and where.
 */
export function readJson(text: string, member?: string): Read | string {
  const root = parseJsonc(text)
  if (root === undefined) return 'it is empty'
  const positionOf = createPositions(text)
  if (isFlaw(root)) return flawAt(positionOf(root.offset), root.what)
  const lines = readLines(root, partsOf, positionOf, member)
  return typeof lines === 'string' ? lines : { content: getNodeValue(root), lines }
}

function* partsOf({ type, children = [] }: Node): Generator<Part<Node>> {
  for (const child of children) {
    const [key, value] = type === 'object' ? (child.children ?? []) : []
    if (type === 'array') yield { offset: child.offset, value: child }
    else if (key && value) yield { name: String(key.value), offset: key.offset, value }
  }
}
