import {
  createScanner,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser'

export type { Node } from 'jsonc-parser'

/** Why a text is not what it should be, and where. */
export interface TextFlaw {
  readonly what: string
  readonly offset: number
}

const MAX_DEPTH = 200
/** The scanner's kind of the end of the text; the library exports it to its own sources only. */
const END = 17

const MEANINGS: Readonly<Record<string, string>> = {
  InvalidSymbol: 'something that is no JSON',
  InvalidNumberFormat: 'a number that is none',
  PropertyNameExpected: 'the name of a member is missing',
  ValueExpected: 'a value is missing',
  ColonExpected: 'a colon is missing',
  CommaExpected: 'a comma is missing',
  CloseBraceExpected: 'a "}" is missing',
  CloseBracketExpected: 'a "]" is missing',
  EndOfFileExpected: 'something stands after the end',
  UnexpectedEndOfComment: 'a comment has no end',
  UnexpectedEndOfString: 'a string has no end',
  InvalidUnicode: 'a character is written wrongly',
  InvalidEscapeCharacter: 'a character after "\\" is wrong',
  InvalidCharacter: 'a string holds a control character',
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
  const what = MEANINGS[printParseErrorCode(first.error)] ?? 'it is no JSON'
  return { what, offset: first.offset }
}

/** Tells what was found from what is wrong. */
export function isFlaw(found: object | undefined): found is TextFlaw {
  return found !== undefined && 'what' in found
}

/** Looks before the parser does, which calls itself for each level. */
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
