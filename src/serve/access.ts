import type { IncomingMessage } from 'node:http'
import type { ServerConfig } from '../config/types.js'
import { isLoopback } from '../util/loopback.js'

/** Which Host and Origin headers are let in. */
export interface Access {
  /** @see [RFC 9110 §7.4](https://www.rfc-editor.org/rfc/rfc9110#section-7.4) Rejecting Misdirected Requests */
  allowsHost(host: string | undefined): boolean
  /** `undefined` means that the request names no origin, which is allowed. */
  allowsOrigin(origin: string | undefined): boolean
}

/**
 * Creates the check against DNS rebinding: Host must be the public one, a configured one, or a
 * loopback name while we listen on loopback; Origin likewise.
 *
 * @param publicUrl The public MCP URL.
 * @param extraHosts Names under which the platform also reaches us.
 */
export function createAccess(
  {
    host,
    allowedHosts,
    allowedOrigins,
  }: Pick<ServerConfig, 'host' | 'allowedHosts' | 'allowedOrigins'>,
  publicUrl: string,
  extraHosts: readonly string[] = [],
): Access {
  const { host: publicHost, origin: publicOrigin } = new URL(publicUrl)
  const hosts = new Set(
    [publicHost, ...allowedHosts, ...extraHosts].map((name) => name.toLowerCase()),
  )
  const origins = new Set([publicOrigin, ...allowedOrigins])
  const onLoopback = isLoopback(host)
  const isAllowed = (value: string) => {
    const name = value.toLowerCase()
    if (hosts.has(name)) return true
    const withoutPort = name.replace(/:\d+$/, '')
    return hosts.has(withoutPort) || (onLoopback && isLoopback(withoutPort))
  }
  /** Nearly all requests name the same one. */
  let lastAllowed: string | undefined
  return {
    allowsHost(value) {
      if (value === undefined) return false
      if (value === lastAllowed) return true
      if (!isAllowed(value)) return false
      lastAllowed = value
      return true
    },
    allowsOrigin(value) {
      if (value === undefined || origins.has(value)) return true
      return onLoopback && isLoopbackOrigin(value)
    },
  }
}

/**
 * Creates the choice of the check for a request: loopback names are let in only where nobody else can
 * reach the server that it came to, and never on a platform.
 *
 * @param options.isOnLoopback Tells that of a server that is not ours; else the configured host does.
 */
export function createAccessOf(
  server: ServerConfig,
  options: {
    resource: string
    extraHosts?: readonly string[] | undefined
    isOnLoopback?: ((request: IncomingMessage) => boolean) | undefined
  },
): (request: IncomingMessage) => Access {
  const { resource, extraHosts, isOnLoopback } = options
  const inside = createAccess(server, resource, extraHosts)
  const outside = createAccess({ ...server, host: '' }, resource, extraHosts)
  if (server.vercel !== undefined) return () => outside
  if (isOnLoopback === undefined) return () => inside
  return (request) => (isOnLoopback(request) ? inside : outside)
}

function isLoopbackOrigin(origin: string): boolean {
  if (!URL.canParse(origin)) return false
  const { hostname, protocol } = new URL(origin)
  return protocol.startsWith('http') && isLoopback(hostname)
}
