import { isLoopback } from '../../util/loopback.js'

/**
 * Tells whether a registered redirect URI stands for another: the same text, or the same loopback
 * URI with another port or none, since servers must take any port there.
 *
 * @see [RFC 8252 §7.3](https://www.rfc-editor.org/rfc/rfc8252#section-7.3) Loopback Interface Redirection
 */
export function coversRedirect(registered: string, used: string): boolean {
  if (registered === used) return true
  const [one, other] = [withoutPort(registered), withoutPort(used)]
  return one !== undefined && one === other
}

function withoutPort(uri: string): string | undefined {
  if (!URL.canParse(uri)) return undefined
  const url = new URL(uri)
  if (url.protocol !== 'http:' || !isLoopback(url.hostname)) return undefined
  url.port = ''
  return url.href
}

/** The flag that makes redirect URIs with the other usual name of this machine. */
export function otherCallbackHost(redirectUri: string): string {
  const isName = URL.canParse(redirectUri) && new URL(redirectUri).hostname === 'localhost'
  return `\`--callback-host ${isName ? '127.0.0.1' : 'localhost'}\``
}
