import { isLoopback } from '../util/loopback.js'

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
