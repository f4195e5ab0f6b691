import { trimSlashes } from '../util/text.js'
import type { ServerConfig } from './types.js'

/** Host names that are shown as `localhost`: loopback, and wildcards for all addresses. */
const LOCALHOST = new Set(['127.0.0.1', 'localhost', '0.0.0.0', '::', '::0', '0:0:0:0:0:0:0:0'])

/**
 * Makes the URL that clients use for the MCP endpoint, which is also the `resource` of our metadata.
 *
 * @param boundPort The port we listen on; used only without a configured public URL.
 */
export function mcpUrlOf(
  { publicUrl, path, host }: Pick<ServerConfig, 'publicUrl' | 'path'> & { host?: string },
  boundPort: number,
): string {
  const base = publicUrlOf({ publicUrl, ...(host !== undefined && { host }) }, boundPort)
  const endsInPath = path !== '/' && new URL(base).pathname.endsWith(path)
  return endsInPath ? base : `${base}${path}`
}

/** Returns the public URL itself, as configured or made from the port we listen on. */
export function publicUrlOf(
  { publicUrl, host }: Pick<ServerConfig, 'publicUrl'> & { host?: string },
  boundPort: number,
): string {
  return trimSlashes(publicUrl ?? localUrl(host, boundPort))
}

/** Any other host keeps its name; an IPv6 address is put in brackets. */
function localUrl(host: string | undefined, port: number): string {
  const name = (host ?? 'localhost').replace(/[[\]]/g, '').toLowerCase()
  if (LOCALHOST.has(name)) return `http://localhost:${port}`
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
