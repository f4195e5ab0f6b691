import { isDeepStrictEqual } from 'node:util'
import { parse, TomlError } from 'smol-toml'
import { isObject, type JsonObject, ownMember, setMember } from '../util/json.js'
import { lineBreakOf } from '../util/text.js'
import { EditError, type Merged, type MergeRequest } from './edit-error.js'
import { sectionsOf, tomlTable } from './toml-sections.js'

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
