import { type StructuredPatchHunk, structuredPatch } from 'diff'
import { createScanner } from 'jsonc-parser'
import { isFlaw, type Node, parseJsonc } from '../util/jsonc.js'
import { createRedactor } from '../util/redact.js'
import type { MergeRequest } from './edit-error.js'
import { sectionsOf, tomlTokens } from './toml-document.js'

const CONTEXT = 2

/** Comparing is slow where more lines differ; the whole text is then shown as replaced. */
const MAX_CHANGED_LINES = 2000

/**
 * Renders a diff the way `diff -u` does, with two lines around each change.
 *
 * @param show Redacts a text; the number of its lines must stay the same.
 */
export function renderDiff(
  path: string,
  before: string | undefined,
  after: string,
  show: { readonly before: (text: string) => string; readonly after: (text: string) => string },
): string {
  const [shownOld, shownNew] = [linesOf(show.before(before ?? '')), linesOf(show.after(after))]
  let text = `--- ${before === undefined ? '/dev/null' : path}\n+++ ${path}\n`
  for (const hunk of compare(linesOf(before ?? ''), linesOf(after))) {
    let [oldLine, newLine] = [hunk.oldStart, hunk.newStart]
    text += `@@ -${span(oldLine, hunk.oldLines)} +${span(newLine, hunk.newLines)} @@\n`
    for (const line of hunk.lines) {
      const sign = line.charAt(0)
      text += `${sign}${sign === '-' ? shownOld[oldLine - 1] : shownNew[newLine - 1]}\n`
      if (sign !== '+') oldLine++
      if (sign !== '-') newLine++
    }
  }
  return text
}

function compare(old: readonly string[], fresh: readonly string[]): StructuredPatchHunk[] {
  const [before, after] = [old, fresh].map((lines) => lines.map((line) => `${line}\n`).join(''))
  const options = { context: CONTEXT, maxEditLength: MAX_CHANGED_LINES }
  const patch = structuredPatch('', '', before ?? '', after ?? '', '', '', options)
  if (patch !== undefined) return patch.hunks
  const lines = [...old.map((line) => `-${line}`), ...fresh.map((line) => `+${line}`)]
  const [oldLines, newLines] = [old.length, fresh.length]
  return [{ oldStart: 1, oldLines, newStart: 1, newLines, lines }]
}

const span = (line: number, count: number) => `${count === 0 ? line - 1 : line},${count}`

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}

const HIDDEN = '[redacted]'

const LONGEST = 200

/** Kinds of the JSON scanner's tokens. */
const [LINE_COMMENT, BLOCK_COMMENT, END] = [12, 13, 17]

interface Range {
  readonly start: number
  readonly end: number
  /** Name of the member with this value. */
  readonly name?: string
}

/** Members whose values are shown: they are no secrets, and say which program a server is. */
const PLAIN_NAMES = ['command', 'type', 'model']

const PLAIN_VALUE = /^["'][\w./\\@-]{1,40}["']$/

/** A comment in words, as opposed to a commented-out part of a configuration. */
const PROSE = /^[\p{L}\s,.!?()'/#*-]{0,120}$/u

type Own = Pick<MergeRequest, 'host' | 'name' | 'entry'>

/**
 * Redacts the values in a host's file, except those of one server, and what is commented out: they
 * may be secrets of other servers. Names, commands, comments in words and line breaks are kept.
 *
 * @param own The server that is shown unredacted, if any.
 */
export function redactText(text: string, format: Own['host']['format'], own?: Own): string {
  const ranges = format === 'toml' ? tomlValues(text) : jsonValues(text)
  const open = own === undefined ? [] : format === 'toml' ? ownToml(text, own) : ownJson(text, own)
  let [shown, from] = ['', 0]
  for (const { start, end, name } of ranges) {
    if (open.some((range) => range.start <= start && end <= range.end)) continue
    shown += text.slice(from, start) + hide(text.slice(start, end), name)
    from = end
  }
  const redact = createRedactor()
  return (shown + text.slice(from))
    .split('\n')
    .map((line) => redact(line.length > LONGEST ? `${line.slice(0, LONGEST)}${HIDDEN}` : line))
    .join('\n')
}

/** Keeps references to variables, which are no secrets. */
function hide(text: string, name: string | undefined): string {
  const inner = /^(["'])(.*)\1$/.exec(text)?.[2] ?? ''
  if (/^\$\{(?:env:)?\w+\}$|^\$\{input:[\w-]+\}$/.test(inner)) return text
  if (/^(true|false|null)$/.test(text)) return text
  if (name !== undefined && PLAIN_NAMES.includes(name) && PLAIN_VALUE.test(text)) return text
  if (/^(#|\/[/*])/.test(text) && PROSE.test(text)) return text
  if (text.startsWith('//')) return `// ${HIDDEN}`
  if (text.startsWith('#')) return `# ${HIDDEN}`
  const quote = /^["']/.exec(text)?.[0] ?? ''
  return text.includes('\n') ? text.replace(/[^\r\n]+/g, HIDDEN) : `${quote}${HIDDEN}${quote}`
}

function jsonValues(text: string): Range[] {
  const root = parseJsonc(text)
  if (root === undefined || isFlaw(root)) return commentsOf(text)
  const found = commentsOf(text)
  const rest: { node: Node; name?: string }[] = [{ node: root }]
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { type, children = [] } = next.node
    const [key, value] = children
    if (type === 'property' && value) rest.push({ node: value, name: String(key?.value) })
    else if (type === 'object' || type === 'array') for (const node of children) rest.push({ node })
    else if (type !== 'property') found.push({ ...rangeOf(next.node), name: next.name ?? '' })
  }
  return found.sort((a, b) => a.start - b.start)
}

function commentsOf(text: string): Range[] {
  const scanner = createScanner(text)
  const found: Range[] = []
  for (let kind = Number(scanner.scan()); kind !== END; kind = Number(scanner.scan())) {
    if (kind !== LINE_COMMENT && kind !== BLOCK_COMMENT) continue
    const start = scanner.getTokenOffset()
    found.push({ start, end: start + scanner.getTokenLength() })
  }
  return found
}

const rangeOf = ({ offset, length }: Node): Range => ({ start: offset, end: offset + length })

/** Ranges of the server and of the inputs that it refers to. */
function ownJson(text: string, { host, name, entry }: Own): Range[] {
  const root = parseJsonc(text)
  if (root === undefined || isFlaw(root)) return []
  const server = childOf(childOf(root, host.container), name)
  const ids = new Set<unknown>(entry.inputs.map(({ id }) => id))
  const inputs = (childOf(root, 'inputs')?.children ?? []).filter((input) =>
    ids.has(childOf(input, 'id')?.value),
  )
  return [...(server === undefined ? [] : [server]), ...inputs].map(rangeOf)
}

function childOf(object: Node | undefined, name: string): Node | undefined {
  if (object?.type !== 'object') return undefined
  return object.children?.find(({ children }) => children?.[0]?.value === name)?.children?.[1]
}

function tomlValues(text: string): Range[] {
  let name = ''
  return [...tomlTokens(text)].flatMap(({ kind, start, end }) => {
    if (kind === 'key') name = text.slice(start, end)
    return kind === 'value' || kind === 'comment' ? [{ start, end, name }] : []
  })
}

function ownToml(text: string, { host, name }: Own): Range[] {
  return sectionsOf(text).filter(({ key }) => key[0] === host.container && key[1] === name)
}
