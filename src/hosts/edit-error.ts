import { ProxyError } from '../util/errors.js'
import type { Entry, Host } from './host.js'

/** What keeps a host's file from being edited. */
export interface Flaw {
  readonly what: string
  /** Both from 1; `undefined` when the text is right and only we cannot edit it. */
  readonly at: { readonly line: number; readonly column: number } | undefined
}

/** Thrown by what edits the text of a file and does not know its path. */
export class EditError extends Error {
  readonly flaw: Flaw

  constructor(flaw: Flaw) {
    super(flaw.what)
    this.name = 'BrokenText'
    this.flaw = flaw
  }
}

/** Says that a file is not edited, because it would not survive it. */
export function brokenFile(path: string, { what, at }: Flaw): ProxyError {
  if (at === undefined) {
    return new ProxyError('CONFIG_INVALID', `${path} is not edited: ${what}`, {
      hint: 'Run the command without `--write`, and put in by hand what it prints.',
    })
  }
  const { line, column } = at
  return new ProxyError(
    'CONFIG_INVALID',
    `${path} is broken at line ${line}, column ${column}: ${what}`,
    { hint: 'Correct the file, and run the command again. Nothing was written.' },
  )
}

/** What became of a file's text. */
export interface Merged {
  readonly text: string
  /** `same` and `taken` leave the text as it is; `taken` means that another entry has the name. */
  readonly outcome: 'added' | 'replaced' | 'same' | 'taken'
}

export interface MergeRequest {
  readonly host: Pick<Host, 'format' | 'container'>
  readonly name: string
  readonly entry: Entry
  /** Replace another entry of the same name. */
  readonly force: boolean
}
