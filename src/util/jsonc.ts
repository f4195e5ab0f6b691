import {
  createScanner,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser'

export type { Node } from 'jsonc-parser'

/** What is wrong with a text, and where. */
export interface TextFlaw {
  readonly what: string
  readonly offset: number
}

const MAX_DEPTH = 200
/** Token kind of the end of the text; the library does not export it as a value. */
const END = 17

const MEANINGS: Readonly<Record<string, string>> = {
  InvalidSymbol: 'text that is not JSON',
  InvalidNumberFormat: 'an invalid number',
  PropertyNameExpected: 'the name of a member is missing',
  ValueExpected: 'a value is missing',
  ColonExpected: 'a colon is missing',
  CommaExpected: 'a comma is missing',
  CloseBraceExpected: 'a "}" is missing',
  CloseBracketExpected: 'a "]" is missing',
  EndOfFileExpected: 'unexpected text after the end',
  UnexpectedEndOfComment: 'a comment is not closed',
  UnexpectedEndOfString: 'a string is not closed',
  InvalidUnicode: 'an invalid Unicode escape',
  InvalidEscapeCharacter: 'an invalid escape sequence',
  InvalidCharacter: 'a control character in a string',
}

/**
 * Parses JSON in which comments and trailing commas are allowed.
 *
 * @returns The tree, `undefined` for a text without content, or what is wrong first.
 */
export function parseJsonc(text: string): Node | TextFlaw | undefined {
  const tooDeep = findTooDeep(text)
  if (tooDeep !== undefined) return tooDeep
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { allowTrailingComma: true, allowEmptyContent: true })
  const [first] = errors
  if (first === undefined) return root
  const what = MEANINGS[printParseErrorCode(first.error)] ?? 'it is not JSON'
  return { what, offset: first.offset }
}

/** Tells a flaw from a tree. */
export function isFlaw(found: object | undefined): found is TextFlaw {
  return found !== undefined && 'what' in found
}

/** Checks the depth before parsing, because the parser recurses for each level. */
function findTooDeep(text: string): TextFlaw | undefined {
  const scanner = createScanner(text, true)
  let depth = 0
  while (Number(scanner.scan()) !== END) {
    const offset = scanner.getTokenOffset()
    const sign = text[offset]
    if (sign === '{' || sign === '[') depth++
    else if (sign === '}' || sign === ']') depth--
    if (depth > MAX_DEPTH) return { what: `more than ${MAX_DEPTH} levels`, offset }
  }
  return undefined
}
