import { getNodeValue } from 'jsonc-parser'
import { duplicateMembers, isFlaw, type Node, parseJsonc } from '../util/jsonc.js'
import { createPositions, type Position } from '../util/text.js'

export const MOST_NAMED = 5

/** Lines (from 1) of a document's members, by path joined with `\u0000`. */
export type Lines = ReadonlyMap<string, number>

/** Stands in a path for any item of a list. */
export const ITEM = '[]'

export const pathId = (path: readonly string[]): string => path.join('\u0000')

/** Says where something is and what it is. */
export const flawAt = ({ line, column }: Position, what: string): string =>
  `line ${line}, column ${column}: ${what}`

/** Says which members stand twice, and in which lines. */
export function twice(
  found: readonly { name: string; first: number; second: number }[],
  positionOf: (offset: number) => Position,
): string | undefined {
  if (found.length === 0) return undefined
  const each = found.slice(0, MOST_NAMED).map(({ name, first, second }) => {
    const quoted = JSON.stringify(name.slice(0, 80))
    return `${quoted} stands twice, in line ${positionOf(first).line} and in line ${positionOf(second).line}`
  })
  return each.join('; ')
}

/** What a text holds and where its members stand. */
export interface Read {
  content: unknown
  lines: Lines
}

/**
 * Reads JSON with comments and trailing commas.
 *
 * @param member Only what stands in this member must not stand twice.
 * @returns Or a sentence that says what is wrong, and where.
 */
export function readJson(text: string, member?: string): Read | string {
  const root = parseJsonc(text)
  if (root === undefined) return 'it is empty'
  const positionOf = createPositions(text)
  if (isFlaw(root)) return flawAt(positionOf(root.offset), root.what)
  const wrong = twice(
    duplicateMembers(root).filter(({ second }) => isWithin(root, member, second)),
    positionOf,
  )
  if (wrong !== undefined) return wrong
  return { content: getNodeValue(root), lines: linesOf(root, positionOf) }
}

/** Everything counts where no member is named; else the member itself, and what stands in it. */
function isWithin(root: Node, member: string | undefined, at: number): boolean {
  if (member === undefined) return true
  return (root.children ?? []).some(
    ({ children: [key] = [], offset, length }) =>
      key?.value === member && at >= offset && at < offset + length,
  )
}

function linesOf(root: Node, positionOf: (offset: number) => Position): Lines {
  const lines = new Map<string, number>()
  const visit = ({ type, children = [] }: Node, path: readonly string[]): void => {
    for (const child of children) {
      const [key, value] = type === 'object' ? (child.children ?? []) : [undefined, child]
      const here = [...path, key === undefined ? ITEM : String(key.value)]
      if (key !== undefined) lines.set(pathId(here), positionOf(key.offset).line)
      if (value !== undefined) visit(value, here)
    }
  }
  visit(root, [])
  return lines
}
