/** Path and query of a request. */
export interface RequestTarget {
  readonly path: string
  readonly query: URLSearchParams
}

/** More than this is no request of ours, and not worth taking apart. */
const MAX_LENGTH = 16_384

/**
 * Takes the target of a request apart, whatever it is: nothing that somebody writes there throws.
 * The path stays as it was written; nothing in it is resolved or decoded.
 *
 * @returns `undefined` for what is neither a path nor a URL, such as `*` or `example.com:443`.
 * @see [RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)
 */
export function parseRequestTarget(target: string | undefined): RequestTarget | undefined {
  if (target === undefined || target.length > MAX_LENGTH) return undefined
  const origin = /^https?:\/\/[^/?#]*/i.exec(target)?.[0] ?? ''
  const local = target.slice(origin.length)
  const text = origin !== '' && !local.startsWith('/') ? `/${local}` : local
  if (!text.startsWith('/')) return undefined
  const [beforeFragment = ''] = text.split('#', 1)
  const mark = beforeFragment.indexOf('?')
  if (mark < 0) return { path: beforeFragment, query: new URLSearchParams() }
  const query = new URLSearchParams(beforeFragment.slice(mark + 1))
  return { path: beforeFragment.slice(0, mark), query }
}
