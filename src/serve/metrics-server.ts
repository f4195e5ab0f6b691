import { createServer, type Server } from 'node:http'
import { type AddressInfo, isIP } from 'node:net'
import { isLoopback, withoutPort } from '../util/private-addresses.js'
import type { Console } from './console/console.js'
import { listen } from './http-server.js'
import type { Metrics } from './metrics.js'
import { shown } from './refuse.js'

/** Where metrics are served, and under which names. */
export interface MetricsAddress {
  metricsHost: string
  /** 0 picks a free port. */
  metricsPort: number
  /** Further values of the Host header, each with or without a port. */
  allowedHosts: readonly string[]
}

/**
 * Serves metrics on a listener of their own, so that they never share the public port.
 *
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export async function startMetricsServer(
  { text, contentType }: Pick<Metrics, 'text' | 'contentType'>,
  address: MetricsAddress,
  console?: Console,
): Promise<Server> {
  const allowsHost = createHostCheck(address)
  const server = createServer((request, response) => {
    const { host } = request.headers
    if (!allowsHost(host)) {
      const error = `The Host ${shown(host)} is not one of this server's; its operator can allow it with --allowed-host`
      response.writeHead(421, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
      return
    }
    if (console?.handle(request, response)) return
    if (request.url !== '/metrics' || request.method !== 'GET') {
      response.writeHead(404).end()
      return
    }
    text().then(
      (body) => response.writeHead(200, { 'content-type': contentType }).end(body),
      () => response.writeHead(500).end(),
    )
  })
  server.on('close', () => console?.stop())
  const settings = { host: '`server.metricsHost`', port: '`--metrics-port`' }
  await listen(server, { host: address.metricsHost, port: address.metricsPort }, settings)
  return server
}

/** The port that a server has taken. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

/**
 * Creates the check against DNS rebinding. Such a page comes under a name of its own, so that
 * addresses, at which Prometheus scrapes, need not be known; names must be.
 */
function createHostCheck({ metricsHost, allowedHosts }: MetricsAddress) {
  const names = new Set([metricsHost, ...allowedHosts].map((name) => name.toLowerCase()))
  const onLoopback = isLoopback(metricsHost)
  return (host: string | undefined): boolean => {
    if (host === undefined) return false
    const withPort = host.toLowerCase()
    const name = withoutPort(withPort)
    if (names.has(withPort) || names.has(name)) return true
    if (onLoopback) return isLoopback(name)
    return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0
  }
}
