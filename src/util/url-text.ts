import { splitOnce } from './text.js'

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

/** The same for each web address in a text. */
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
