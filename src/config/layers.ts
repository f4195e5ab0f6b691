import { isObject, type JsonObject } from '../util/json.js'
import { splitKeys } from '../util/jwt-key.js'
import { nearest } from '../util/text.js'
import { SETTING_KINDS } from './kinds.js'
import { SETTINGS } from './settings.js'
import type { Setting } from './table.js'

const KEYS: readonly string[] = SETTINGS.map((row) => row.key)

export interface TreeOptions {
  /** Names the origin of a member: `file ./x.json:4`. */
  from: (path: readonly string[]) => string
  folder: string
  problems: string[]
  /** Top-level members that are not settings. */
  besides?: readonly string[]
}

/** Reads the settings of an object that is nested like the configuration file. */
export function treeLayer(content: JsonObject, options: TreeOptions): Map<string, Raw> {
  const layer = new Map<string, Raw>()
  walk(content, [], [], layer, options)
  return layer
}

function walk(
  object: JsonObject,
  path: readonly string[],
  pattern: readonly string[],
  layer: Map<string, Raw>,
  options: TreeOptions,
): void {
  const { from, folder, problems, besides = [] } = options
  for (const [member, value] of Object.entries(object)) {
    if (path.length === 0 && besides.includes(member)) continue
    if (value === undefined) continue
    const here = [...path, member]
    const names = membersOf(pattern)
    const step = names.includes('*') ? '*' : member
    const place = [...pattern, step].join('.')
    if (KEYS.includes(place)) {
      layer.set(here.join('.'), { value, from: from(here), isText: false, folder })
    } else if (!KEYS.some((key) => key.startsWith(`${place}.`))) {
      const meant = nearest(member, names)
      const only = names.length === 1 && `the only setting here is \`${names[0]}\``
      const write = only || `write one of ${names.join(', ')}`
      const advice = meant ? `did you mean "${meant}"?` : write
      problems.push(`Unknown setting "${here.join('.')}" (${from(here)}) — ${advice}`)
    } else if (place === ACCESS && isEmpty(value)) {
      // meant to keep somebody out, it would admit everybody
      problems.push(
        `${here.join('.')} is empty (${from(here)}) — write who may use the target, such as {"roles": ["admin"]}, or leave it out to admit everybody`,
      )
    } else if (isObject(value)) {
      if (step === '*') checkTargetName(member, from(here), problems)
      walk(value, here, [...pattern, step], layer, options)
    } else if (value !== null) {
      problems.push(`${here.join('.')} is not an object (${from(here)}) — ${membersHint(place)}`)
    }
  }
}

const ACCESS = 'targets.*.access'

const isEmpty = (value: unknown): boolean =>
  value === null || (isObject(value) && Object.values(value).every((item) => item === undefined))

/** Adds a problem when a target cannot have this name, which becomes part of URIs and prefixes. */
export function checkTargetName(name: string, from: string, problems: string[]): void {
  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/.test(name)) return
  problems.push(
    `The target name ${JSON.stringify(name)} is not allowed (${from}) — write a letter or digit, then up to 31 of A-Z a-z 0-9 _ -`,
  )
}

function membersOf(pattern: readonly string[]): string[] {
  const start = pattern.length === 0 ? '' : `${pattern.join('.')}.`
  const members = KEYS.filter((key) => key.startsWith(start)).map(
    (key) => key.slice(start.length).split('.', 1)[0] ?? '',
  )
  return [...new Set(members)]
}

function membersHint(place: string): string {
  const names = membersOf(place.split('.'))
  return names.includes('*')
    ? 'write an object with a member for each target'
    : `write an object with members such as "${names[0]}"`
}

/** A value and where it comes from: `flag --port`, `env PORT`, `file ./x.json:4`, `default`. */
export interface Sourced<T = unknown> {
  readonly value: T
  readonly from: string
  /** What references in it were replaced by; absent when it has none. */
  readonly parts?: readonly LayerPart[]
}

/** What a reference in a value was replaced by. */
export interface LayerPart {
  /** As it is written in the reference: `AWS_SECRET_ACCESS_KEY`, `@/path/to/file`. */
  readonly name: string
  /** `env NAME`, `.env NAME`, or the file itself: `@/path/to/file`. */
  readonly from: string
  /** The reference is the whole value. */
  readonly isWhole: boolean
  /** The text with the reference in it. */
  readonly written: string
}

/** A value as it was written, before references are replaced and before it is checked. */
export interface Raw extends Sourced {
  /** It came as text (a flag or a variable), so that numbers and lists have to be read from it. */
  readonly isText: boolean
  /** Base of relative paths to secrets: the folder of the file, else the working directory. */
  readonly folder: string
}

/** The raw values of one source, by key. */
export type Layer = ReadonlyMap<string, Raw>

/** Converts text to the type of the setting's kind; text that does not fit is returned as it is. */
export function readValueFromText(row: Pick<Setting, 'kind'>, text: string): unknown {
  switch (SETTING_KINDS[row.kind].from) {
    case 'number':
      return /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text
    case 'boolean':
      if (/^(true|1|yes|on)$/i.test(text)) return true
      return /^(false|0|no|off)$/i.test(text) ? false : text
    case 'list':
      return text.split(/[\s,]+/).filter((item) => item !== '')
    case 'keys':
      return splitKeys(text)
    default:
      return text
  }
}
