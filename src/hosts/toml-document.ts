import { isDeepStrictEqual } from 'node:util'
import { parse, TomlError } from 'smol-toml'
import { isObject, type JsonObject, ownMember, setMember } from '../util/json.js'
import { lineBreakOf } from '../util/text.js'
import { EditError, type Merged, type MergeRequest } from './edit-error.js'

/** One table of a TOML document: its header and its members. */
export interface TomlSection {
  readonly key: readonly string[]
  readonly start: number
  /** Excludes comments and blank lines above the next header, which belong to that one. */
  readonly end: number
}

/** Finds the tables of a valid TOML document. */
export function sectionsOf(text: string): TomlSection[] {
  const headers = [...tomlTokens(text)]
    .filter(({ kind }) => kind === 'header')
    .map(({ start, end }) => ({
      start: text.lastIndexOf('\n', start - 1) + 1,
      key: keyOf(text.slice(start, end)),
    }))
  return headers.map(({ start, key = [] }, at) => {
    const next = headers[at + 1]?.start ?? text.length
    return { key, start, end: start + lengthOfContent(text.slice(start, next)) }
  })
}

/** Reads the key of a header such as `[a."b c"]`. */
function keyOf(header: string): string[] | undefined {
  let table: unknown
  try {
    table = parse(header)
  } catch {
    return undefined
  }
  const key: string[] = []
  for (;;) {
    if (Array.isArray(table)) table = table[0]
    const [entry] = isObject(table) ? Object.entries(table) : []
    if (entry === undefined) return key
    key.push(entry[0])
    table = entry[1]
  }
}

/** Length without the comments and blank lines at the end. */
function lengthOfContent(section: string): number {
  const lines = section.split(/(?<=\n)/)
  const last = lines.findLastIndex((line) => !/^\s*(#.*)?\r?\n?$/.test(line))
  return lines.slice(0, last + 1).join('').length
}

/** A token of a TOML document, except punctuation. */
interface TomlToken {
  /** A header is `[a.b]` or `[[a.b]]`; a dotted key may be several tokens. */
  readonly kind: 'header' | 'key' | 'value' | 'comment'
  readonly start: number
  readonly end: number
}

/** Splits a valid TOML document into tokens. */
export function* tomlTokens(text: string): Generator<TomlToken> {
  let [at, depth, isLineStart] = [0, 0, true]
  while (at < text.length) {
    const start = at
    const sign = text.charAt(at)
    if (sign === '#') {
      at = endOfLine(text, at)
      yield { kind: 'comment', start, end: at }
    } else if (sign === '[' && depth === 0 && isLineStart) {
      at = endOfHeader(text, at)
      yield { kind: 'header', start, end: at }
    } else if (sign === '"' || sign === "'") {
      at = endOfString(text, at)
      yield { kind: isKey(text, start, at) ? 'key' : 'value', start, end: at }
    } else if (/[^\s,=[\]{}]/.test(sign)) {
      while (at < text.length && /[^\s,=[\]{}#"']/.test(text.charAt(at))) at++
      yield { kind: isKey(text, start, at) ? 'key' : 'value', start, end: at }
    } else {
      if (sign === '[' || sign === '{') depth++
      if (sign === ']' || sign === '}') depth--
      at++
    }
    isLineStart = sign === '\n' || (isLineStart && /\s/.test(sign))
  }
}

/** A key is followed by `=`, or by a dot and another part. */
function isKey(text: string, start: number, end: number): boolean {
  let next = end
  while (text.charAt(next) === ' ' || text.charAt(next) === '\t') next++
  const isPart = text.charAt(next) === '.' || text.charAt(end - 1) === '.'
  return text.charAt(next) === '=' || (isPart && start < end)
}

function endOfHeader(text: string, start: number): number {
  let at = start
  while (at < text.length && !/[\r\n#]/.test(text.charAt(at))) {
    at = /["']/.test(text.charAt(at)) ? endOfString(text, at) : at + 1
  }
  return at
}

function endOfString(text: string, start: number): number {
  const quote = text.charAt(start)
  const isLong = text.startsWith(quote.repeat(3), start)
  const mark = isLong ? quote.repeat(3) : quote
  let at = start + mark.length
  while (at < text.length && !text.startsWith(mark, at)) {
    at += quote === '"' && text.charAt(at) === '\\' ? 2 : 1
  }
  at += mark.length
  // one or two more quotes belong to the content of a multi-line string
  for (let more = 0; isLong && more < 2 && text.charAt(at) === quote; more++) at++
  return Math.min(at, text.length)
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf('\n', start)
  return end < 0 ? text.length : end
}

/** Writes one table of TOML, with a line break after each line. */
export function tomlTable(path: readonly string[], table: JsonObject, lineBreak = '\n'): string {
  const lines = Object.entries(table).map(([key, value]) => `${tomlKey(key)} = ${tomlValue(value)}`)
  return [`[${path.map(tomlKey).join('.')}]`, ...lines, ''].join(lineBreak)
}

function tomlKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : tomlString(key)
}

function tomlValue(value: unknown): string {
  if (typeof value === 'string') return tomlString(value)
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`
  const members = Object.entries(value as JsonObject)
  return `{ ${members.map(([key, inner]) => `${tomlKey(key)} = ${tomlValue(inner)}`).join(', ')} }`
}

/** JSON's escapes are valid in TOML; only U+007F, which JSON leaves bare, must be escaped. */
const tomlString = (text: string) => JSON.stringify(text).replaceAll('\u007f', '\\u007f')

/** Comparing recurses for each level. */
const MAX_DEPTH = 200

/**
 * Adds a server to a TOML document, as one table of its own.
 *
 * The result is parsed again as a safeguard: it must differ from the document by the entry only.
 *
 * @throws {EditError} when the text is not TOML, or written in a way that we do not edit.
 */
export function mergeToml(text: string, { host, name, entry, force }: MergeRequest): Merged {
  const expected = parseToml(text)
  const servers = ownMember(expected, host.container) ?? {}
  if (!isObject(servers)) throw cannotEdit(`"${host.container}" is not a table`)
  const present = ownMember(servers, name)
  if (isDeepStrictEqual(plain(present), entry.value)) return { text, outcome: 'same' }
  if (present !== undefined && !force) return { text, outcome: 'taken' }

  const path = [host.container, name]
  const written = tomlTable(path, entry.value, lineBreakOf(text))
  const merged = present === undefined ? append(text, written) : replace(text, path, written)
  setMember(expected, host.container, { ...servers, [name]: entry.value })
  if (merged === undefined || !isDeepStrictEqual(plain(tryParse(merged)), plain(expected))) {
    throw cannotEdit(`"${host.container}" is written in a way that this program does not edit`)
  }
  return { text: merged, outcome: present === undefined ? 'added' : 'replaced' }
}

function append(text: string, written: string): string {
  if (text.trim() === '') return written
  const lineBreak = lineBreakOf(text)
  const isEnded = text.endsWith('\n')
  const added = isEnded ? written : written.slice(0, -lineBreak.length)
  return `${text}${isEnded ? '' : lineBreak}${lineBreak}${added}`
}

/** Writes the table at the place of its first section, and removes its other sections. */
function replace(text: string, path: readonly string[], written: string): string | undefined {
  const own = sectionsOf(text).filter(({ key }) => path.every((part, at) => key[at] === part))
  const [first] = own
  if (first === undefined) return undefined
  const kept = own.toReversed().reduce((rest, { start, end }) => {
    return rest.slice(0, start) + (start === first.start ? written : '') + rest.slice(end)
  }, text)
  return text.endsWith('\n') || !kept.endsWith('\n') ? kept : kept.replace(/\r?\n$/, '')
}

function parseToml(text: string): JsonObject {
  let content: JsonObject
  try {
    content = parse(text, { integersAsBigInt: 'asNeeded' })
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const what = /: (.*)/.exec(error.message)?.[1] ?? 'it is not TOML'
    throw new EditError({ what, at: { line: error.line, column: error.column } })
  }
  if (isTooDeep(content)) throw cannotEdit(`it has more than ${MAX_DEPTH} levels`)
  return content
}

/** The parser limits brackets only, but each part of a dotted key is a level too. */
function isTooDeep(content: JsonObject): boolean {
  let level: object[] = [content]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) return true
    level = level.flatMap((part) => Object.values(part).filter((inner) => isNested(inner)))
  }
  return false
}

const isNested = (value: unknown): value is object => isObject(value) || Array.isArray(value)

function tryParse(text: string): JsonObject | undefined {
  try {
    return parseToml(text)
  } catch {
    return undefined
  }
}

/** Makes objects comparable whose prototypes differ; large numbers become distinct texts. */
function plain(value: unknown): unknown {
  return value === undefined
    ? undefined
    : JSON.parse(
        JSON.stringify(value, (_key, inner: unknown) =>
          typeof inner === 'bigint' ? `${inner}n` : inner,
        ),
      )
}

const cannotEdit = (what: string) => new EditError({ what, at: undefined })
