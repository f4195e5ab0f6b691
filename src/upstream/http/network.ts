import { isLoopback } from '../../util/private-addresses.js'
import type { Runtime } from '../../util/runtime.js'
import type { Upstream } from '../upstream.js'
import { type CookieJar, createCookieJar, withCookies } from './cookie-jar.js'
import { createHttpUpstream, type HttpUpstreamOptions } from './http-client.js'
import { plainAnswers } from './plain-answers.js'
import { type Prove, withProofs } from './proofs.js'

export interface NetworkOptions {
  runtime: Pick<Runtime, 'clock' | 'env' | 'fetch'>
  /** Certificates of further authorities, PEM. */
  ca: readonly string[]
  /** `false` leaves the proxies that the environment names alone. */
  proxies?: boolean
  /** Connects by IPv4 only. */
  ipv4?: boolean
  isRetrySafe: HttpUpstreamOptions['isRetrySafe']
  /** Signs proofs for access tokens that are bound to a key. */
  prove?: Prove
}

/** How this machine reaches others: directly or through a proxy, and with which authorities trusted. */
export interface Network {
  /** Opens the connections to a target. What an origin sets as cookies is sent back to it. */
  connect(url: URL): Promise<Upstream>
  /** As the global one. */
  readonly fetch: typeof globalThis.fetch
  /** Makes another one that shares nothing with this one, no cookies either. */
  anew(): Network
}

/** Connections without a hint of the server are dropped after this time. */
const IDLE_MS = 25_000

/** Creates the network. A proxy's client is loaded only where there is a proxy. */
export function createNetwork(options: NetworkOptions): Network {
  const { runtime, ca, proxies = true, ipv4 = false, isRetrySafe, prove } = options
  const { clock } = runtime
  const env = proxies ? runtime.env : {}
  const jars = new Map<string, CookieJar>()
  let trusted: Promise<readonly string[] | undefined> | undefined
  const openReach = async () => {
    trusted ??= ca.length === 0 ? Promise.resolve(undefined) : withRoots(ca)
    return { ca: await trusted, family: ipv4 ? (4 as const) : undefined }
  }
  const connect = async (url: URL) => {
    const proxy = proxyFor(url, env)
    const reach = await openReach()
    if (proxy === undefined) {
      const client = { clock, isRetrySafe, idleMs: IDLE_MS, keepsAllFields: true, reopens: true }
      return createHttpUpstream(url, { ...client, ...reach })
    }
    const { createProxyUpstream } = await import('./proxy-upstream.js')
    return createProxyUpstream(url, proxy, reach)
  }
  return {
    async connect(url) {
      const jar = jars.get(url.origin) ?? createCookieJar(clock)
      jars.set(url.origin, jar)
      const connections = await connect(url)
      const proven = prove ? withProofs(connections, url, clock, prove) : connections
      return withCookies(plainAnswers(proven, url), url, jar)
    },
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input)
      const proxy = proxyFor(url, env)
      if (proxy === undefined && ca.length === 0 && !ipv4) return runtime.fetch(input, init)
      const { fetchThrough } = await import('./proxy-upstream.js')
      return fetchThrough(proxy, await openReach(), url, init)
    },
    anew: () => createNetwork(options),
  }
}

/** Adds Node's own list of authorities, which a list of ours replaces. */
async function withRoots(ca: readonly string[]): Promise<readonly string[]> {
  const tls: {
    readonly rootCertificates: readonly string[]
    /** With what Node was told to trust besides; from Node 22.15 on. */
    getCACertificates?: (type: 'default') => string[]
  } = await import('node:tls')
  return [...(tls.getCACertificates?.('default') ?? tls.rootCertificates), ...ca]
}

type Variables = Readonly<Record<string, string | undefined>>

/**
 * Finds the HTTP proxy for a URL in `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in
 * either case. Loopback never goes through a proxy.
 *
 * @returns The proxy, or `undefined` for a direct connection. A value that is no http(s) URL is
 *   left out.
 */
export function proxyFor(url: URL, env: Variables): URL | undefined {
  if (isLoopback(url.hostname)) return undefined
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const value = variable(env, name) ?? variable(env, 'ALL_PROXY')
  if (value === undefined || isExcepted(url, variable(env, 'NO_PROXY') ?? '')) return undefined
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  if (!URL.canParse(text)) return undefined
  const proxy = new URL(text)
  return proxy.protocol === 'http:' || proxy.protocol === 'https:' ? proxy : undefined
}

function variable(env: Variables, name: string): string | undefined {
  return env[name.toLowerCase()] || env[name] || undefined
}

/** `*`, `host`, `.domain`, `*.domain`, each with or without a port. */
function isExcepted(url: URL, list: string): boolean {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  const host = url.hostname.replace(/[[\]]/g, '').toLowerCase()
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true
      const [, name = '', ownPort] = /^\[?(.+?)\]?(?::(\d+))?$/.exec(entry.toLowerCase()) ?? []
      if (ownPort !== undefined && ownPort !== port) return false
      const domain = name.replace(/^\*?\./, '')
      return host === domain || host.endsWith(`.${domain}`)
    })
}
