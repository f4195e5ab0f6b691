import type { IncomingMessage } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { ServerConfig } from '../config/types.js'
import { isLoopback, isLoopbackOrigin, withoutPort } from '../util/private-addresses.js'

/** Which Host and Origin headers are accepted. */
export interface RequestOrigins {
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
): RequestOrigins {
  const { host: publicHost, origin: publicOrigin } = new URL(publicUrl)
  const hosts = new Set(
    [publicHost, ...allowedHosts, ...extraHosts].map((name) => name.toLowerCase()),
  )
  const origins = new Set([publicOrigin, ...allowedOrigins])
  const onLoopback = isLoopback(host)
  const isAllowed = (value: string) => {
    const name = value.toLowerCase()
    if (hosts.has(name)) return true
    const hostname = withoutPort(name)
    return hosts.has(hostname) || (onLoopback && isLoopback(hostname))
  }
  /** Nearly all requests have the same Host. */
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
 * Creates the function that chooses the check for a request: loopback names are accepted only where
 * the server that it came to listens on loopback, and never on a platform.
 *
 * @param options.isOnLoopback Decides that for a server that we did not start; by default the
 *   configured host does.
 */
export function createAccessOf(
  server: ServerConfig,
  options: {
    resource: string
    extraHosts?: readonly string[] | undefined
    isOnLoopback?: ((request: IncomingMessage) => boolean) | undefined
  },
): (request: IncomingMessage) => RequestOrigins {
  const { resource, extraHosts, isOnLoopback } = options
  const inside = createAccess(server, resource, extraHosts)
  const outside = createAccess({ ...server, host: '' }, resource, extraHosts)
  if (server.vercel !== undefined) return () => outside
  if (isOnLoopback === undefined) return () => inside
  return (request) => (isOnLoopback(request) ? inside : outside)
}

/**
 * Creates the check whether the server that a request came to is bound to loopback, for requests of
 * servers that are not ours. Where that cannot be seen, it is not.
 */
export function createBindingCheck(): (request: Pick<IncomingMessage, 'socket'>) => boolean {
  let last: Server | undefined
  let answer = false
  return ({ socket }) => {
    // Node sets it on each connection that a server accepts, also below TLS
    const { server } = socket as Socket & { server?: Server }
    if (server === undefined || typeof server.address !== 'function') return false
    if (server !== last) {
      const address = server.address()
      // the path of a socket in the file system says nothing of who is behind it
      answer = typeof address === 'object' && address !== null && isLoopback(address.address)
      last = server
    }
    return answer
  }
}

const ALLOW_HEADERS = [
  'authorization, content-type, accept, last-event-id, mcp-protocol-version, mcp-session-id',
  'mcp-method, mcp-name, traceparent, tracestate, baggage, dpop',
].join(', ')

const KNOWN: ReadonlySet<string> = new Set(ALLOW_HEADERS.split(', '))

const EXPOSE_HEADERS =
  'WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, X-Request-Id'

const MAX_AGE_SECONDS = '86400'

export type HeaderList = readonly string[]

const NONE: HeaderList = []

/** Headers of every answer on the MCP endpoint to a page of an allowed origin. */
export function corsHeaders(origin: string | undefined): HeaderList {
  if (origin === undefined) return NONE
  return [
    'access-control-allow-origin',
    origin,
    'vary',
    'Origin',
    'access-control-expose-headers',
    EXPOSE_HEADERS,
  ]
}

const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/

const MAX_NAMES = 64

/**
 * Headers of the answer to a preflight. What a page of an allowed origin wants to send is allowed by
 * name: libraries add headers of their own, and none of them reaches a target that we do not let pass.
 */
export function preflightHeaders(
  origin: string | undefined,
  requested: string | undefined,
): HeaderList {
  const names = (requested ?? '')
    .split(',', MAX_NAMES)
    .map((name) => name.trim().toLowerCase())
    .filter((name) => NAME.test(name) && !KNOWN.has(name))
  return [
    ...corsHeaders(origin ?? '*'),
    'access-control-allow-methods',
    'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers',
    [ALLOW_HEADERS, ...new Set(names)].join(', '),
    'access-control-max-age',
    MAX_AGE_SECONDS,
  ]
}

/** Documents without secrets are open to pages of every origin. */
export const OPEN_TO_ALL: HeaderList = ['access-control-allow-origin', '*']
