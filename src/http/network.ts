import type { Runtime } from '../util/runtime.js'
import { createNodeUpstream, type NodeUpstreamOptions } from './node-upstream.js'
import type { Upstream } from './pool.js'
import { proxyFor } from './proxy-settings.js'

export interface NetworkOptions {
  runtime: Pick<Runtime, 'clock' | 'env' | 'fetch'>
  /** Certificates of further authorities, PEM. */
  ca: readonly string[]
  mayRepeat: NodeUpstreamOptions['mayRepeat']
}

/** How this machine reaches others: directly or through a proxy, trusting whom it is told to. */
export interface Network {
  /** Opens the connections to a target. */
  connect(url: URL): Promise<Upstream>
  /** As the global one. */
  readonly fetch: typeof globalThis.fetch
}

/** Creates the network. A proxy's client is loaded only where there is a proxy. */
export function createNetwork({ runtime, ca, mayRepeat }: NetworkOptions): Network {
  const { clock, env } = runtime
  let trusted: Promise<readonly string[] | undefined> | undefined
  const trust = () => {
    trusted ??= ca.length === 0 ? Promise.resolve(undefined) : withRoots(ca)
    return trusted
  }
  return {
    async connect(url) {
      const proxy = proxyFor(url, env)
      if (proxy === undefined)
        return createNodeUpstream(url, { clock, mayRepeat, ca: await trust() })
      const { createProxyUpstream } = await import('./proxy-upstream.js')
      return createProxyUpstream(url, proxy, await trust())
    },
    async fetch(input, init) {
      const url = new URL(input instanceof Request ? input.url : input)
      const proxy = proxyFor(url, env)
      if (proxy === undefined && ca.length === 0) return runtime.fetch(input, init)
      const { fetchThrough } = await import('./proxy-upstream.js')
      return fetchThrough(proxy, await trust(), url, init)
    },
  }
}

/** A list of our own takes the place of Node's, so that Node's goes into it. */
async function withRoots(ca: readonly string[]): Promise<readonly string[]> {
  const { rootCertificates } = await import('node:tls')
  return [...rootCertificates, ...ca]
}
