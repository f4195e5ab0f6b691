import type { Merged, MergeRequest } from './edit-error.js'

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
