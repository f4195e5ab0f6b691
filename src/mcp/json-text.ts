import { endOfString, ownMember } from '../util/json.js'

/**
 * Reads and changes JSON text in place, so that the rest stays as it was written: numbers beyond
 * 2^53, the order of members, spelling. Nothing here validates: every text must have passed
 * `JSON.parse`.
 */

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d

/** Where a part of a text stands, such as a value. */
export interface TextSpan {
  /** Index of its first character. */
  readonly start: number
  /** Index behind its last character. */
  readonly end: number
}

/** One member of an object and where its value stands. */
export interface Member extends TextSpan {
  readonly key: string
}

/** A part of a text, and what replaces it. */
export interface Edit extends TextSpan {
  readonly text: string
}

/**
 * Lists the members of the object that starts at `start`, duplicates included.
 *
 * @param maxDepth Deepest nesting, counting the object itself.
 * @returns `undefined` when a value is nested deeper.
 */
export function scanMembers(text: string, start: number, maxDepth: number): Member[] | undefined {
  const members: Member[] = []
  let i = skipSpace(text, start + 1)
  while (text.charCodeAt(i) !== CLOSE_BRACE) {
    const keyEnd = skipString(text, i)
    const key = decodeKey(text, i, keyEnd)
    i = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = skipValue(text, i, maxDepth)
    if (end < 0) return undefined
    members.push({ key, start: i, end })
    i = skipSpace(text, end)
    if (text.charCodeAt(i) === COMMA) i = skipSpace(text, i + 1)
  }
  return members
}

/** Lists the members of the value that starts at `start`, duplicates included; only objects have any. */
export function membersAt(text: string, start: number): Member[] {
  const at = skipSpace(text, start)
  if (text.charCodeAt(at) !== OPEN_BRACE) return []
  return scanMembers(text, at, Number.POSITIVE_INFINITY) ?? []
}

/**
 * Finds a member by the names that lead to it from the value that starts at `start`. Of members with
 * one name the last one counts, as in `JSON.parse`.
 *
 * @returns `undefined` when there is no such member, or a value on the way is no object.
 */
export function findMember(text: string, start: number, ...path: string[]): Member | undefined {
  let found: Member | undefined
  for (const name of path) {
    found = membersAt(text, found?.start ?? start).findLast(({ key }) => key === name)
    if (found === undefined) return undefined
  }
  return found
}

/** Lists where the elements of an array stand that {@link findMember} finds; none when it is no array. */
export function elementsAt(text: string, start: number, ...path: string[]): TextSpan[] {
  const array = path.length === 0 ? { start } : findMember(text, start, ...path)
  const elements: TextSpan[] = []
  if (array === undefined) return elements
  let i = skipSpace(text, array.start)
  if (text.charCodeAt(i) !== OPEN_BRACKET) return elements
  i = skipSpace(text, i + 1)
  while (text.charCodeAt(i) !== CLOSE_BRACKET) {
    const end = skipValue(text, i, Number.POSITIVE_INFINITY)
    elements.push({ start: i, end })
    i = skipSpace(text, end)
    if (text.charCodeAt(i) === COMMA) i = skipSpace(text, i + 1)
  }
  return elements
}

/** Returns the text of a member of an object; `undefined` when there is none. */
export function memberText(object: string, ...path: string[]): string | undefined {
  const member = findMember(object, 0, ...path)
  return member && object.slice(member.start, member.end)
}

/** Returns the text of a member when it is an object, else that of an empty one. */
export function objectText(object: string, key: string): string {
  const value = memberText(object, key)
  return value?.startsWith('{') ? value : '{}'
}

/** Lists the members of an object with the text of each value. */
export function memberTexts(object: string): [string, string][] {
  return membersAt(object, 0).map(({ key, start, end }) => [key, object.slice(start, end)])
}

/** Returns the string that stands in a text; `undefined` when it is another value. */
export function readString(text: string, span: TextSpan | undefined): string | undefined {
  if (span === undefined || text.charCodeAt(span.start) !== QUOTE) return undefined
  return JSON.parse(text.slice(span.start, span.end))
}

/** Replaces parts of a text that do not overlap, given in any order. */
export function replaceParts(text: string, edits: readonly Edit[]): string {
  const [first] = edits
  if (first === undefined) return text
  if (edits.length === 1) return text.slice(0, first.start) + first.text + text.slice(first.end)
  let result = ''
  let from = 0
  for (const edit of edits.toSorted((a, b) => a.start - b.start)) {
    result += text.slice(from, edit.start) + edit.text
    from = edit.end
  }
  return result + text.slice(from)
}

/** Replaces the value of a member, given as JSON text, where there is such a member. */
export function replaceAt(text: string, path: readonly string[], value: string): string {
  const member = findMember(text, 0, ...path)
  if (member === undefined) return text
  return replaceParts(text, [{ start: member.start, end: member.end, text: value }])
}

/** Puts members, given as JSON texts, into an object; each replaces those that have its name. */
export function putMembers(object: string, members: Readonly<Record<string, string>>): string {
  const present = membersAt(object, 0)
  const missing = new Map(Object.entries(members))
  const edits: Edit[] = []
  for (const { key, start, end } of present) {
    const text = ownMember(members, key)
    if (text === undefined) continue
    missing.delete(key)
    edits.push({ start, end, text })
  }
  if (missing.size > 0) {
    const start = skipSpace(object, 0) + 1
    const text = writeMembers([...missing]) + (present.length > 0 ? ',' : '')
    edits.push({ start, end: start, text })
  }
  return replaceParts(object, edits)
}

/** Takes a member out of an object. */
export function withoutMember(object: string, name: string): string {
  return `{${writeMembers(memberTexts(object).filter(([key]) => key !== name))}}`
}

function writeMembers(members: readonly (readonly [key: string, value: string])[]): string {
  return members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')
}

/** Returns the index of the first character that is not JSON white space. */
export function skipSpace(text: string, start: number): number {
  let i = start
  for (;;) {
    const c = text.charCodeAt(i)
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return i
    i++
  }
}

function decodeKey(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end - 1)
  return raw.includes('\\') ? JSON.parse(text.slice(start, end)) : raw
}

function skipString(text: string, start: number): number {
  return endOfString(text, start) + 1
}

function skipValue(text: string, start: number, maxDepth: number): number {
  const first = text.charCodeAt(start)
  if (first === QUOTE) return skipString(text, start)
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return skipScalar(text, start)
  let depth = 1
  let i = start
  for (;;) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) {
      i = skipString(text, i)
      continue
    }
    if (c === OPEN_BRACE || c === OPEN_BRACKET) {
      if (++depth > maxDepth) return -1
    } else if (c === CLOSE_BRACE || c === CLOSE_BRACKET) {
      if (--depth === 1) return i + 1
    }
    i++
  }
}

function skipScalar(text: string, start: number): number {
  let i = start
  for (;;) {
    const c = text.charCodeAt(i)
    // a digit, a letter, a sign or a point goes on; anything else ends the number or literal
    if (c === COMMA || c === CLOSE_BRACE || c === CLOSE_BRACKET || c <= 0x20) return i
    i++
  }
}

/**
 * Tells whether a message that we wrote is an error. Its id, which comes first, holds no unescaped
 * quote, so that the member that follows it is found by the text before it.
 */
export function isOwnError(text: string): boolean {
  const at = text.indexOf(',"error":{')
  return at >= 0 && text.lastIndexOf(',"result":', at) < 0
}

/** Adds `data.requestId` to an error that we wrote; its id stays as it is written. */
export function withRequestId(text: string, requestId: string): string {
  const error = findMember(text, 0, 'error')
  if (error === undefined) return text
  const member = `"requestId":${JSON.stringify(requestId)}`
  const data = findMember(text, error.start, 'data')
  if (data === undefined) return insert(text, error.end - 1, `,"data":{${member}}`)
  if (text[data.start] !== '{' || findMember(text, data.start, 'requestId') !== undefined) {
    return text
  }
  const isEmpty = text[data.end - 1] === '}' && text.slice(data.start + 1, data.end - 1) === ''
  return insert(text, data.start + 1, isEmpty ? member : `${member},`)
}

function insert(text: string, at: number, what: string): string {
  return text.slice(0, at) + what + text.slice(at)
}
