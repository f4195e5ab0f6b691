import { CST, isMap, isNode, isScalar, isSeq, Lexer, parseDocument } from 'yaml'
import { messageOf } from '../util/errors.js'
import { isDeeper } from '../util/json.js'
import { createPositions, cutText } from '../util/text.js'
import { flawAt, type Part, type Read, readLines } from './read-json.js'

/** Limit of nested brackets, and of what indents a block: each level takes a column or mark at least. */
const MAX_DEPTH = 200

/** Tokens of the lexer that correspond to no text. */
const MARKS: readonly string[] = [CST.DOCUMENT, CST.FLOW_END, CST.SCALAR]

const MAX_TOKENS = 100_000

/** The parser's messages may quote the document. */
const MAX_REASON = 300

/** How often aliases may repeat an anchor's content; an alias bomb needs many more. */
const MAX_ALIASES = 100

/**
 * Reads one document of YAML 1.2, with merge keys. Tags of other programs are refused.
 *
 * @returns Or a sentence that says what is wrong, and where.
 */
export function readYaml(text: string): Read | string {
  const positionOf = createPositions(text)
  const tooMuch = findTooMuch(text)
  if (tooMuch !== undefined) return flawAt(positionOf(tooMuch.offset), tooMuch.what)
  const document = parseDocument(text, {
    ...{ schema: 'core', merge: true, resolveKnownTags: false },
    // `readLines` finds duplicates, to name both lines
    uniqueKeys: false,
    ...{ prettyErrors: false, logLevel: 'silent' },
  })
  // warnings are about unknown tags and directives
  const [flaw] = [...document.errors, ...document.warnings]
  if (flaw !== undefined) {
    const [first = ''] = cutText(flaw.message, MAX_REASON).split('\n')
    return flawAt(positionOf(flaw.pos[0]), first.replace(/^Unresolved tag:/, 'unknown tag'))
  }
  let nameless: number | undefined
  const onNameless = (offset: number) => (nameless ??= offset)
  const lines = readLines<unknown>(
    document.contents,
    (node) => partsOf(node, onNameless),
    positionOf,
  )
  if (nameless !== undefined) {
    return flawAt(positionOf(nameless), 'the name of a member is not a string')
  }
  if (typeof lines === 'string') return lines
  try {
    const content: unknown = document.toJS({ maxAliasCount: MAX_ALIASES })
    // throws when an alias refers to a node around itself
    const written = JSON.stringify(content) ?? ''
    if (isDeeper(written, MAX_DEPTH)) return `its aliases make more than ${MAX_DEPTH} levels`
    return { content: content ?? undefined, lines }
  } catch (error) {
    return whyUnreadable(error)
  }
}

function whyUnreadable(error: unknown): string {
  if (error instanceof RangeError) return `its aliases make more than ${MAX_DEPTH} levels`
  const message = messageOf(error)
  if (message.startsWith('Excessive alias')) {
    return `its aliases repeat more than ${MAX_ALIASES} parts`
  }
  if (message.startsWith('Unresolved alias')) return 'an alias has no anchor'
  if (message.startsWith('Merge sources')) return '"<<" merges something that is not an object'
  return 'an alias refers to a node around itself'
}

/** Checks the limits before parsing: the parser recurses for each level and is slow on errors. */
function findTooMuch(text: string): { what: string; offset: number } | undefined {
  let tokens = 0
  // open brackets; blocks that begin on this line; where we are, and where the line began
  let [brackets, blocks, offset, lineStart] = [0, 0, 0, 0]
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') brackets++
    else if ((token === ']' || token === '}') && brackets > 0) brackets--
    else if (token === CST.FLOW_END) brackets = 0
    else if (brackets > 0) blocks = 0
    else if (token === '-' || token === '?' || token === ':') blocks++
    else if (offset === lineStart && token.trim() === '') blocks = token.length
    if (brackets > MAX_DEPTH || blocks > MAX_DEPTH) {
      return { what: `more than ${MAX_DEPTH} levels`, offset }
    }
    if (++tokens > MAX_TOKENS) return { what: `more than ${MAX_TOKENS} tokens`, offset }
    if (MARKS.includes(token)) continue
    offset += token.length
    const lineBreak = token.lastIndexOf('\n')
    if (lineBreak < 0) continue
    blocks = 0
    lineStart = offset - (token.length - 1 - lineBreak)
  }
  return undefined
}

interface Pair {
  readonly key: unknown
  readonly value: unknown
}

function* partsOf(node: unknown, onNameless: (offset: number) => void): Generator<Part<unknown>> {
  if (isSeq(node)) for (const value of node.items) yield { offset: 0, value }
  if (!isMap(node)) return
  for (const { key, value } of node.items as readonly Pair[]) {
    const offset = (isNode(key) ? key : node).range?.[0] ?? 0
    if (!isScalar(key)) onNameless(offset)
    yield { name: isScalar(key) ? nameOf(key.value) : '', offset, value }
  }
}

/** The parser represents merge keys by a symbol. */
const nameOf = (key: unknown) =>
  typeof key === 'symbol' ? (key.description ?? '') : key === null ? '' : String(key)
