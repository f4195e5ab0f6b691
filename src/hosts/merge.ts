import type { Entry, Host } from './host.js'

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

const MARK = '\uFEFF'

/**
 * Puts a server into the text of a host's file and leaves everything else as it is: order,
 * comments, indentation, line breaks, byte order mark.
 *
 * @throws {BrokenText} when the text is not what the host can read.
 */
export async function merge(text: string, request: MergeRequest): Promise<Merged> {
  const mark = text.startsWith(MARK) ? MARK : ''
  const plain = text.slice(mark.length)
  const merged =
    request.host.format === 'toml'
      ? (await import('./toml-merge.js')).mergeToml(plain, request)
      : (await import('./json-merge.js')).mergeJson(plain, request)
  return { ...merged, text: mark + merged.text }
}
