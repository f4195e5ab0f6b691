import { KINDS } from './kinds.js'
import type { Setting } from './table.js'

/** A value and where it comes from: `flag --port`, `env PORT`, `file ./x.json:4`, `default`. */
export interface Sourced<T = unknown> {
  readonly value: T
  readonly from: string
  /** What was filled in for references; none where nothing was. */
  readonly parts?: readonly Part[]
}

/** What a reference in a value was replaced by. */
export interface Part {
  /** As people know it: `AWS_SECRET_ACCESS_KEY`, `@/path/to/file`. */
  readonly name: string
  /** `env NAME`, `.env NAME`, or the file itself: `@/path/to/file`. */
  readonly from: string
  /** The value is this part and nothing else. */
  readonly isWhole: boolean
  /** The text that the reference stands in. */
  readonly written: string
}

/** A value as it was written, before references are replaced and before it is checked. */
export interface Raw extends Sourced {
  /** It came as text (a flag or a variable), so that numbers and lists have to be read from it. */
  readonly isText: boolean
  /** Where relative paths of secrets start: the folder of the file, else the working directory. */
  readonly folder: string
}

/** All that one source says, by key. */
export type Layer = ReadonlyMap<string, Raw>

/** Turns text into what the setting's kind wants; text that does not fit stays as it is. */
export function readValueFromText(row: Pick<Setting, 'kind'>, text: string): unknown {
  switch (KINDS[row.kind].from) {
    case 'number':
      return /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text
    case 'boolean':
      if (/^(true|1|yes|on)$/i.test(text)) return true
      return /^(false|0|no|off)$/i.test(text) ? false : text
    case 'list':
      return text.split(/[\s,]+/).filter((item) => item !== '')
    default:
      return text
  }
}
