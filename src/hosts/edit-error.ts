import { ProxyError } from '../util/errors.js'
import type { Entry, Host } from './host.js'

/** What keeps a host's file from being edited. */
export interface Flaw {
  readonly what: string
  /** Both from 1; `undefined` when the text is valid and only this program cannot edit it. */
  readonly at: { readonly line: number; readonly column: number } | undefined
}

/** Thrown by functions that edit a file's text without knowing its path. */
export class EditError extends Error {
  readonly flaw: Flaw

  constructor(flaw: Flaw) {
    super(flaw.what)
    this.name = 'EditError'
    this.flaw = flaw
  }
}

/** Makes the error for a file that is left alone, because it cannot be edited safely. */
export function brokenFile(path: string, { what, at }: Flaw): ProxyError {
  if (at === undefined) {
    return new ProxyError('CONFIG_INVALID', `${path} is not edited: ${what}`, {
      hint: 'Run the command without `--write`, and add by hand what it prints.',
    })
  }
  const where = `line ${at.line}, column ${at.column}`
  return new ProxyError('CONFIG_INVALID', `${path} is broken at ${where}: ${what}`, {
    hint: 'Correct the file, and run the command again. Nothing was written.',
  })
}

/** A file's text after an edit. */
export interface Merged {
  readonly text: string
  /** With `same` and `taken` the text is unchanged; `taken`: another entry has the name. */
  readonly outcome: 'added' | 'replaced' | 'same' | 'taken'
}

export interface MergeRequest {
  readonly host: Pick<Host, 'format' | 'container'>
  readonly name: string
  readonly entry: Entry
  /** Whether to replace another entry of the same name. */
  readonly force: boolean
}
