import { Agent, type Dispatcher, fetch, ProxyAgent, type RequestInit } from 'undici'
import { PassingHandler, type Upstream, type UpstreamController } from '../upstream.js'
import { codedError, PROXY_REFUSED } from '../upstream-error.js'
import type { Reach } from './dial.js'

const CONNECT_MS = 10_000

function createDispatcher(proxy: URL | undefined, { ca, family }: Reach): Dispatcher {
  const tls = ca === undefined ? {} : { ca: [...ca] }
  const connect = { timeout: CONNECT_MS, ...tls, ...(family !== undefined && { family }) }
  if (proxy === undefined) return new Agent({ connect })
  const { username, password } = proxy
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return new ProxyAgent({
    uri: `${proxy.protocol}//${proxy.host}`,
    ...(username !== '' && { token: `Basic ${Buffer.from(user).toString('base64')}` }),
    requestTls: tls,
    proxyTls: tls,
    connect,
    // plain http goes through as it is: many proxies open tunnels to port 443 only
    proxyTunnel: false,
  })
}

/** Opens the connections to a target through an HTTP proxy. */
export function createProxyUpstream(url: URL, proxy: URL, reach: Reach): Upstream {
  let dispatcher = createDispatcher(proxy, reach)
  const { origin } = url
  const ownPath = url.pathname + url.search
  return {
    send(request, handler) {
      const { method, headers, headersTimeout, bodyTimeout, body = null, path = ownPath } = request
      const options = { origin, path, method, headers, body, headersTimeout, bodyTimeout }
      dispatcher.dispatch(options, new ProxiedHandler(handler))
    },
    async close() {
      const old = dispatcher
      dispatcher = createDispatcher(proxy, reach)
      await old.destroy()
    },
  }
}

/** Passes everything on, but for a 407 of the proxy, which becomes an error that says so. */
class ProxiedHandler extends PassingHandler {
  override onResponseStart(...args: Parameters<PassingHandler['onResponseStart']>): void {
    const [controller, status] = args
    if (status !== 407) super.onResponseStart(...args)
    else super.onResponseError(controller, codedError(PROXY_REFUSED))
  }

  override onResponseError(controller: UpstreamController, error: Error): void {
    const refused = /\b407\b/.test(error.message)
    super.onResponseError(controller, refused ? codedError(PROXY_REFUSED) : error)
  }
}

const dispatchers = new Map<string, Dispatcher>()

/** Fetches like the global `fetch`, through a proxy or with authorities of our own, or both. */
export async function fetchThrough(
  proxy: URL | undefined,
  reach: Reach,
  url: URL,
  init: globalThis.RequestInit | undefined,
): Promise<Response> {
  const key = `${proxy?.href ?? ''} ${reach.ca?.length ?? 0} ${reach.family ?? ''}`
  const dispatcher = dispatchers.get(key) ?? createDispatcher(proxy, reach)
  dispatchers.set(key, dispatcher)
  const options = { ...init, dispatcher } as RequestInit
  return (await fetch(url, options)) as unknown as Response
}
