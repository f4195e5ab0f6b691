import { getNodeValue } from 'jsonc-parser'
import { duplicateMembers, isFlaw, type Node, parseJsonc } from '../util/jsonc.js'
import { createPositions, type Position } from '../util/text.js'
import { flawAt, ITEM, type Lines, pathId, twice } from './document.js'

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
