import { isAscii } from 'node:buffer'

/** Decodes UTF-8. Nearly all of it is ASCII, which Node copies as Latin-1 in half the time. */
export function decodeUtf8(bytes: Buffer): string {
  return bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8')
}

/** Cuts a part out of a text, without the spaces and tabs around it: the other blanks are no part of HTTP. */
export function trimBlanks(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start += 1
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1
  return text.slice(start, end)
}

const TAB = 9
const SPACE = 32

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}

/** Without the slashes at its end, however many they are. */
export function trimSlashes(text: string): string {
  let end = text.length
  while (end > 0 && text.charCodeAt(end - 1) === 0x2f) end--
  return text.slice(0, end)
}

/** Text from outside, for people: no longer than so many characters. */
export function cutText(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text
}

/** Splits at the first mark; without one, all of the text stands before it. */
export function splitOnce(text: string, mark: string): [before: string, after: string | undefined] {
  const at = text.indexOf(mark)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + mark.length)]
}

/** As in a URL; half of a character, which has no place there, becomes the mark of a lost one. */
export function percentEncode(text: string): string {
  try {
    return encodeURIComponent(text)
  } catch {
    return encodeURIComponent(text.replace(/[\ud800-\udfff]/g, '\ufffd'))
  }
}

/** `undefined` where a % begins no byte, or the bytes are no text. */
export function percentDecode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Line and column in a text, both from 1. */
export interface Position {
  readonly line: number
  readonly column: number
}

/** Finds the line and column of an offset; repeated calls are cheap. */
export function createPositions(text: string): (offset: number) => Position {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset) => {
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

/** The line breaks of a text, by its first one. */
export function lineBreakOf(text: string): '\n' | '\r\n' {
  return /\r?\n/.exec(text)?.[0] === '\r\n' ? '\r\n' : '\n'
}

/** Spaces and tabs at the start of the line that holds this offset. */
export function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  return /^[ \t]*/.exec(text.slice(start, offset))?.[0] ?? ''
}

/** Tells whether nothing but spaces and tabs stands before this offset on its line. */
export function startsLine(text: string, offset: number): boolean {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  return start > 0 && /^[ \t]*$/.test(text.slice(start, offset))
}

const PLAIN = /^[\x21-\x7e]*$/

/** Marks above and below letters, and what is not to be seen at all. */
const UNSEEN = /[\p{M}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}]+/gu

/**
 * Folds a name as the most lenient reader does: without case (also of `ſ`, `ß`, the Kelvin sign and
 * the Turkish letters), width, accents, white space around it and characters that are not seen. Two
 * names that anybody may take for the same one are equal when they are folded.
 *
 * @see [Unicode §3.13](https://www.unicode.org/versions/latest/core-spec/chapter-3/) Default Case Algorithms
 */
export function foldName(name: string): string {
  if (PLAIN.test(name)) return name.toLowerCase()
  return foldLetters(foldLetters(name)).trim()
}

/** Twice, since upper case may take a letter apart whose parts fold further. */
function foldLetters(text: string): string {
  return text.normalize('NFKD').replace(UNSEEN, '').toUpperCase().toLowerCase().replaceAll('ς', 'σ')
}

/** Finds the candidate that somebody who wrote `word` most likely meant, if one is near enough. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(word.length * 0.4)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** Counts the insertions, deletions, replacements and swaps of neighbours between two words. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replace = at(last, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1)
      let cost = Math.min(replace, at(last, column) + 1, at(current, column - 1) + 1)
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (row > 1 && column > 1 && swapped) cost = Math.min(cost, at(beforeLast, column - 2) + 1)
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

const at = (row: readonly number[], column: number) => row[column] ?? Number.POSITIVE_INFINITY

/**
 * Makes a matcher from patterns in which `*` stands for any run of characters. It uses no regular
 * expression, so that no pattern and no name can make it slow.
 */
export function createGlobMatcher(patterns: readonly string[]): (text: string) => boolean {
  const parts = patterns.map((pattern) => pattern.split('*'))
  return (text) => parts.some((pieces) => matches(pieces, text))
}

function matches(pieces: readonly string[], text: string): boolean {
  const first = pieces[0] ?? ''
  if (pieces.length === 1) return text === first
  const last = pieces[pieces.length - 1] ?? ''
  if (text.length < first.length + last.length) return false
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  const end = text.length - last.length
  let at = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at)
    if (found < 0 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}

/** Tells whether any text fits both patterns. */
export function globsMeet(one: string, other: string): boolean {
  const [a, b] = [one.split('*'), other.split('*')]
  if (a.length === 1) return matches(b, one)
  if (b.length === 1) return matches(a, other)
  // what stands between the first and the last star of both can follow one another
  const [headA = '', headB = ''] = [a[0], b[0]]
  const [tailA = '', tailB = ''] = [a.at(-1), b.at(-1)]
  const isHead = headA.startsWith(headB) || headB.startsWith(headA)
  return isHead && (tailA.endsWith(tailB) || tailB.endsWith(tailA))
}
const MAX_APP = 48

/** Returns the name of the tool by which a user connects with an app. */
export function connectToolOf(app: string): string {
  return `connect_${app.slice(0, MAX_APP).replace(/[^A-Za-z0-9_-]/g, '_')}`
}
