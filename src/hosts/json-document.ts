import { createScanner } from 'jsonc-parser'
import { isFlaw, type Node, parseJsonc } from '../util/jsonc.js'
import { createPositions } from '../util/text-position.js'
import { BrokenText } from './broken.js'

/**
 * Parses JSON in which comments and trailing commas are allowed.
 *
 * @returns The object at the root; `undefined` when the text holds nothing besides comments.
 * @throws {BrokenText} when it is not JSON, or no object.
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
 * @throws {BrokenText} when the member stands twice: programs differ in which one they take.
 */
export function memberOf(text: string, object: Node, name: string): Node | undefined {
  const found = (object.children ?? []).filter(({ children }) => children?.[0]?.value === name)
  const [, second] = found
  if (second !== undefined) {
    throw broken(text, second.offset, `${JSON.stringify(name)} stands twice`)
  }
  return found[0]?.children?.[1]
}

/**
 * Finds the value of a member that has to be of one type.
 *
 * @throws {BrokenText}
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

/** What stands between the last child of an object or array and its closing bracket. */
export interface Tail {
  /** Whether there is a trailing comma. */
  readonly hasComma: boolean
  /** Where the last comma or comment ends; without any, where the last child does. */
  readonly end: number
}

/** Looks at what stands from an offset to the end of an object or array. */
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
  new BrokenText({ what, at: createPositions(text)(offset) })
