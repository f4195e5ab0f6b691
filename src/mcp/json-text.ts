import { ownMember } from '../util/json.js'

const QUOTE = 0x22

const BACKSLASH = 0x5c

const COMMA = 0x2c

const OPEN_BRACE = 0x7b

const CLOSE_BRACE = 0x7d

const OPEN_BRACKET = 0x5b

const CLOSE_BRACKET = 0x5d

/** One member of a JSON object and where its value stands in the text. */
export interface Member {
  key: string
  /** Index of the value's first character. */
  start: number
  /** Index behind the value's last character. */
  end: number
}

export interface ScanLimits {
  /** Deepest nesting, counting the object itself; the scan stops with `undefined` beyond it. */
  maxDepth: number
}

/**
 * Lists the members of the object that starts at `start`, duplicates included, with the place of
 * each value. Does NOT validate: the text must have passed `JSON.parse`.
 *
 * @returns `undefined` when a value is nested deeper than `maxDepth`.
 */
export function scanMembers(
  text: string,
  start: number,
  { maxDepth }: ScanLimits,
): Member[] | undefined {
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

const ANY_DEPTH: ScanLimits = { maxDepth: Number.POSITIVE_INFINITY }

/**
 * Finds a member by the names that lead to it from the object that starts at `start`. Of members
 * with one name the last one counts, as in `JSON.parse`, which the text must have passed.
 *
 * @returns `undefined` when there is no such member, or a value on the way is no object.
 */
export function findMember(text: string, start: number, ...path: string[]): Member | undefined {
  let found: Member | undefined
  let at = start
  for (const name of path) {
    if (text.charCodeAt(at) !== OPEN_BRACE) return undefined
    found = scanMembers(text, at, ANY_DEPTH)?.findLast(({ key }) => key === name)
    if (found === undefined) return undefined
    at = found.start
  }
  return found
}

/**
 * Lists where the elements of the array that starts at `start` stand; none when no array does.
 * Does NOT validate: the text must have passed `JSON.parse`.
 */
export function scanElements(text: string, start: number): Pick<Member, 'start' | 'end'>[] {
  const elements: Pick<Member, 'start' | 'end'>[] = []
  if (text.charCodeAt(start) !== OPEN_BRACKET) return elements
  let i = skipSpace(text, start + 1)
  while (text.charCodeAt(i) !== CLOSE_BRACKET) {
    const end = skipValue(text, i, ANY_DEPTH.maxDepth)
    elements.push({ start: i, end })
    i = skipSpace(text, end)
    if (text.charCodeAt(i) === COMMA) i = skipSpace(text, i + 1)
  }
  return elements
}

/** Replaces parts of a text, given in order; everything else stays as it is. */
export function replaceParts(
  text: string,
  parts: readonly { start: number; end: number; text: string }[],
): string {
  let result = ''
  let from = 0
  for (const part of parts) {
    result += text.slice(from, part.start) + part.text
    from = part.end
  }
  return result + text.slice(from)
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
  let i = start
  for (;;) {
    i = text.indexOf('"', i + 1)
    let slashes = 0
    while (text.charCodeAt(i - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return i + 1
  }
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
 * Reads and changes members of objects in JSON text, so that the rest stays as it was written:
 * numbers too large for us, order, spelling. Every text must have passed `JSON.parse`; one that is no
 * object has no members.
 */
function membersOf(text: string): Member[] {
  const start = skipSpace(text, 0)
  if (text[start] !== '{') return []
  return scanMembers(text, start, { maxDepth: Number.POSITIVE_INFINITY }) ?? []
}

/** Lists the members of an object with the text of each value. */
export function memberTexts(object: string): [string, string][] {
  return membersOf(object).map(({ key, start, end }) => [key, object.slice(start, end)])
}

/** Returns the text of a member; `undefined` when there is none. */
export function memberText(object: string, key: string): string | undefined {
  const member = membersOf(object).find((found) => found.key === key)
  return member && object.slice(member.start, member.end)
}

/** Returns the text of a member when it is an object, else that of an empty one. */
export function objectText(object: string, key: string): string {
  const value = memberText(object, key)
  return value?.startsWith('{') ? value : '{}'
}

/** Puts members, given as JSON texts, into an object; each replaces the one that has its name. */
export function putMembers(object: string, members: Readonly<Record<string, string>>): string {
  const present = membersOf(object)
  const missing = new Map(Object.entries(members))
  let result = ''
  let from = 0
  for (const { key, start, end } of present) {
    const value = ownMember(members, key)
    if (value === undefined) continue
    missing.delete(key)
    result += object.slice(from, start) + value
    from = end
  }
  result += object.slice(from)
  if (missing.size === 0) return result
  const open = skipSpace(result, 0) + 1
  const added = [...missing].map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')
  return result.slice(0, open) + added + (present.length > 0 ? ',' : '') + result.slice(open)
}

const LIMITS = { maxDepth: 128 }

const SUBSCRIPTION = ['_meta', 'io.modelcontextprotocol/subscriptionId']

/** The members that lead to what is replaced in messages. */
export const PLACES = {
  id: ['id'],
  protocolVersion: ['result', 'protocolVersion'],
  requestId: ['params', 'requestId'],
  token: ['params', '_meta', 'progressToken'],
  progress: ['params', 'progressToken'],
  subscription: ['params', ...SUBSCRIPTION],
  answeredSubscription: ['result', ...SUBSCRIPTION],
} as const

/** A part of a message's text, and what shall stand in its place. */
interface Part {
  readonly place: Pick<Member, 'start' | 'end'>
  readonly text: string
}

/**
 * Finds where the value of a member stands, below the members that lead to it. The text must have
 * passed `JSON.parse`. Of members with the same name the last one counts, as it does there.
 */
export function placeOf(text: string, path: readonly string[]): Member | undefined {
  let start = skipSpace(text, 0)
  let found: Member | undefined
  for (const name of path) {
    if (text[start] !== '{') return undefined
    found = scanMembers(text, start, LIMITS)?.findLast(({ key }) => key === name)
    if (found === undefined) return undefined
    start = found.start
  }
  return found
}

/** Returns the value of a member as it is written. */
export function writtenAt(text: string, path: readonly string[]): string | undefined {
  const place = placeOf(text, path)
  return place && text.slice(place.start, place.end)
}

/** Returns the result of a response as it is written. The text must have passed `JSON.parse`. */
export function resultText(response: string): string {
  const place = findMember(response, skipSpace(response, 0), 'result')
  return response.slice(place?.start, place?.end)
}

/** A message as it was written, and where its top-level members stand. */
interface MessageText {
  readonly text: string
  readonly spans: ReadonlyMap<string, { readonly start: number; readonly end: number }>
}

/** The id of a request as its client wrote it. */
export function idText({ text, spans }: MessageText): string {
  const span = spans.get('id')
  return span === undefined ? 'null' : text.slice(span.start, span.end)
}

/** Returns the id of a message as it is written. */
export function writtenId(message: string | Buffer | undefined): string | undefined {
  return message === undefined ? undefined : writtenAt(message.toString(), PLACES.id)
}

/** Replaces parts of a text and leaves everything else as it is written. */
export function replacePlaces(text: string, parts: readonly Part[]): string {
  let result = ''
  let from = 0
  for (const { place, text: written } of parts.toSorted((a, b) => a.place.start - b.place.start)) {
    result += text.slice(from, place.start) + written
    from = place.end
  }
  return result + text.slice(from)
}

/** Replaces the value of one member, if it is there. */
export function replaceAt(text: string, path: readonly string[], written: string): string {
  const place = placeOf(text, path)
  return place === undefined ? text : replacePlaces(text, [{ place, text: written }])
}
