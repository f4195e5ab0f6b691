import { isIP } from 'node:net'

/**
 * Tells whether a host name or address, in brackets or not, is this machine and nothing else:
 * `localhost`, a name below it (RFC 6761 §6.3), 127.0.0.0/8, `::1`, or an IPv6 form of the former.
 *
 * Names are not resolved: `127.example.com` may lead anywhere.
 *
 * @param host As in a URL's `hostname`, a Host header without its port, or a setting.
 */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase()
  const address = name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name
  const version = isIP(address)
  if (version === 4) return address.startsWith('127.')
  if (version === 6) return isLoopbackV6(address)
  const absolute = name.endsWith('.') ? name.slice(0, -1) : name
  return absolute === 'localhost' || absolute.endsWith('.localhost')
}

/** An address has many spellings, of which URLs have one. */
function isLoopbackV6(address: string): boolean {
  const url = `http://[${address}]`
  if (!URL.canParse(url)) return false
  const { hostname } = new URL(url)
  return hostname === '[::1]' || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(hostname)
}

/** Tells whether a URL leads to this machine. */
export function isLoopbackUrl(url: string): boolean {
  return isLoopback(new URL(url).hostname)
}

/** Tells whether everybody on the way to a URL can read what is sent: plain http to another machine. */
export function isReadableOnTheWay(url: string | URL): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol === 'http:' && !isLoopback(hostname)
}
