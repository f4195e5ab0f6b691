import { parse } from 'smol-toml'
import { isObject } from '../util/json.js'
import { tomlTokens } from './toml-scan.js'

/** One table of a TOML document: its header and what stands below it. */
export interface Section {
  readonly key: readonly string[]
  readonly start: number
  /** Comments and blank lines above the next header belong to that one. */
  readonly end: number
}

/** Finds where the tables of a valid TOML document stand. */
export function sectionsOf(text: string): Section[] {
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

/** Reads `[a."b c"]` with the parser itself. */
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
