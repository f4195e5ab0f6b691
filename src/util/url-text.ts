import { isLoopback } from './private-addresses.js'
import { nearest, splitOnce } from './text.js'

/**
 * What may be shown of a URL: neither user name and password nor query nor fragment, any of which
 * may hold a secret. Text that is no URL ends where one of them would begin.
 */
export function shownUrl(url: URL | string): string {
  const text = typeof url === 'string' ? url : url.href
  const place = text.slice(0, endOfPlace(text))
  const start = place.indexOf('://') + 3
  if (start < 3) return place
  const slash = place.indexOf('/', start)
  const at = place.lastIndexOf('@', slash < 0 ? place.length : slash)
  return at < start ? place : place.slice(0, start) + place.slice(at + 1)
}

function endOfPlace(text: string): number {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x3f || code === 0x23) return at
  }
  return text.length
}

const HIDDEN = '[redacted]'

const HIDDEN_QUERY = '?…'

const WEB_ADDRESS = /https?:\/\/[^\s"'`<>]+/gi

/** Shortens each web address in a text as {@link shownUrl} does. */
export function showUrls(text: string): string {
  return text.includes('://') ? text.replace(WEB_ADDRESS, shownInText) : text
}

/** The same as a mark at each place, for whoever wants to know what is wrong with an address. */
export function markUrl(text: string): string {
  const shown = shownUrl(text)
  const [place, fragment] = splitOnce(text, '#')
  const hasUser = !place.startsWith(shown)
  const start = shown.indexOf('://') + 3
  const user = hasUser ? `${shown.slice(0, start)}${HIDDEN}@${shown.slice(start)}` : shown
  const query = place.includes('?') ? HIDDEN_QUERY : ''
  return fragment === undefined ? user + query : `${user}${query}#${fragment}`
}

/** What ends a sentence or closes a bracket behind an address is not part of its query. */
function shownInText(address: string): string {
  const shown = shownUrl(address)
  const isMarked = address.includes(`${HIDDEN}@`) || address.endsWith(HIDDEN_QUERY)
  if (shown === address || isMarked) return isMarked ? markUrl(splitOnce(address, '#')[0]) : address
  let end = address.length
  while (end > shown.length && '.,;:!?)]}\\'.includes(address.charAt(end - 1))) end--
  return shown + address.slice(end)
}
/** How most servers name the path of their MCP endpoint. */
const USUAL = '/mcp'

/**
 * Guesses the MCP endpoint that somebody meant who named another place of a server, such as its front
 * page; `undefined` where the URL looks like an endpoint already. Without the query, which may hold
 * something secret.
 */
export function likelyEndpoint(url: URL): string | undefined {
  const path = url.pathname.replace(/\/{1,64}$/, '')
  if (/\/(?:mcp|sse|messages?)$/i.test(path)) return undefined
  const at = path.lastIndexOf('/')
  const isMisspelt = nearest(path.slice(at + 1), ['mcp']) !== undefined
  return `${url.origin}${isMisspelt ? path.slice(0, at) : path}${USUAL}`
}

/** Suggests the MCP endpoint that was probably meant by an address that is none. */
export function didYouMeanEndpoint(url: URL): string | undefined {
  const likely = likelyEndpoint(url)
  return likely === undefined ? undefined : `Did you mean ${likely}?`
}

/**
 * Guesses the URL that somebody meant who left out its scheme, or misspelt it; `undefined` where a
 * text looks more like a name.
 */
export function likelyUrl(text: string): string | undefined {
  if (text.length > 2_000 || /[\s\\"'<>]/.test(text)) return undefined
  const rest = /^[a-z]{2,8}:\/{1,3}(.+)$/i.exec(text)?.[1] ?? text.replace(/^\/\//, '')
  const host = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?(?=[/?#]|$)/i.exec(rest)?.[1]
  if (host === undefined) return undefined
  if (!URL.canParse(`http://${rest}`)) return undefined
  const isLocal = isLoopback(new URL(`http://${rest}`).hostname)
  const looksLikeHost = isLocal || host.includes('.') || host.startsWith('[')
  if (!looksLikeHost && !/[:/]/.test(rest)) return undefined
  const { origin, pathname, username, password } = new URL(
    `${isLocal ? 'http' : 'https'}://${rest}`,
  )
  if (username !== '' || password !== '') return undefined
  return pathname === '/' ? `${origin}${USUAL}` : `${origin}${pathname}`
}
/**
 * Returns the path of a document that a server publishes about itself. The path of the URL that it
 * is about follows the name of the document; a path that is only a slash counts as none.
 *
 * @see [RFC 8414 §3.1](https://www.rfc-editor.org/rfc/rfc8414#section-3.1) Authorization Server Metadata Request
 * @see [RFC 9728 §3.1](https://www.rfc-editor.org/rfc/rfc9728#section-3.1) Protected Resource Metadata Request
 */
export function wellKnownPath(
  document: 'oauth-protected-resource' | 'oauth-authorization-server' | 'openid-configuration',
  path = '',
): string {
  return `/.well-known/${document}${path === '/' ? '' : path}`
}

/** Path and query of a request. */
export interface RequestTarget {
  readonly path: string
  readonly query: URLSearchParams
}

/** Longer request targets are not parsed. */
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
