import { BlockList, isIP } from 'node:net'

type Network = readonly [address: string, prefix: number]

/** Makes lists when they are first needed: Node takes long to fill them. */
function createLists(v4: readonly Network[], v6: readonly Network[]) {
  /** Two, as Node takes every IPv4 address for a mapped one and would find it in the other. */
  let lists: { ipv4: BlockList; ipv6: BlockList } | undefined
  const listOf = (networks: readonly Network[], family: 'ipv4' | 'ipv6') => {
    const list = new BlockList()
    for (const [address, prefix] of networks) list.addSubnet(address, prefix, family)
    return list
  }
  return (hostname: string): boolean => {
    const address = hostname.replace(/^\[(.*)\]$/, '$1')
    const version = isIP(address)
    if (version === 0) return false
    lists ??= { ipv4: listOf(v4, 'ipv4'), ipv6: listOf(v6, 'ipv6') }
    const family = version === 4 ? 'ipv4' : 'ipv6'
    return lists[family].check(address, family)
  }
}

/** Everything that is not a public unicast address, and what can stand for one of those. */
const isPrivate = createLists(
  [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['224.0.0.0', 3],
  ],
  [
    ['::', 96], // unspecified, loopback, IPv4-compatible
    ['::ffff:0:0', 96], // IPv4-mapped
    ['64:ff9b::', 96], // NAT64
    ['64:ff9b:1::', 48], // local-use NAT64
    ['2001::', 32], // Teredo
    ['2002::', 16], // 6to4
    ['fc00::', 7], // unique local
    ['fe80::', 10], // link-local
    ['fec0::', 10], // site-local
    ['ff00::', 8], // multicast
  ],
)

const LOCAL_NAME = /(^|\.)(localhost|local|internal|home\.arpa)\.?$/i

/**
 * Tells whether a URL's `hostname` is an address or a name of an inner network: private, link-local,
 * loopback, unique local, or an IPv6 form that carries an IPv4 address (mapped, NAT64, 6to4, Teredo).
 *
 * Does not resolve names: a public name may still lead to a private address.
 */
export function isPrivateHost(hostname: string): boolean {
  return LOCAL_NAME.test(hostname) || !/[.:]/.test(hostname) || isPrivate(hostname)
}

const HOSTNAME = /^([a-z0-9._-]+|\[[0-9a-f:]+\])$/

/**
 * Parses an http or https URL with a plain host name, without credentials and fragment, or returns
 * `undefined`.
 */
export function parseHttpUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined
  const url = new URL(text)
  const web = (url.protocol === 'https:' || url.protocol === 'http:') && HOSTNAME.test(url.hostname)
  return web && url.username === '' && url.password === '' && url.hash === '' ? url : undefined
}

/**
 * Says what speaks against a request to a URL that a peer named, or returns `undefined`.
 *
 * Only https is requested, except on loopback. Inner networks are contacted only when `near`, a URL that
 * the operator configured, lies in one itself.
 *
 * @param allowHttp The user trusts the network.
 */
export function peerUrlProblem(text: string, near: URL, allowHttp = false): string | undefined {
  const url = parseHttpUrl(text)
  if (!url) return 'is not an http(s) URL without credentials and fragment'
  const loopback = isLoopback(url.hostname)
  if (loopback && !isLoopback(near.hostname)) return 'is on loopback'
  if (!loopback && isPrivateHost(url.hostname) && !isPrivateHost(near.hostname)) {
    return 'is in a private network'
  }
  return loopback || allowHttp || url.protocol === 'https:' ? undefined : 'does not use https'
}

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

function isLoopbackV6(address: string): boolean {
  const name = spellingOf(address)
  return name === '[::1]' || /^\[::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}\]$/.test(name)
}

/** Returns the one spelling that URLs have of an IPv6 address; '' where they take none, as with a zone. */
function spellingOf(address: string): string {
  const url = `http://[${address}]`
  return URL.canParse(url) ? new URL(url).hostname : ''
}

/** Tells whether who listens on an address listens on all of this machine's. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || (isIP(address) === 6 && spellingOf(address) === '[::]')
}

/** Takes the port off a Host header. A number too long for a port stays, so that no check passes it. */
export function withoutPort(host: string): string {
  return host.replace(/:\d{1,5}$/, '')
}

/** Tells whether an Origin header names a web page of this machine. */
export function isLoopbackOrigin(origin: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, hostname } = new URL(origin)
  return (protocol === 'http:' || protocol === 'https:') && isLoopback(hostname)
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
