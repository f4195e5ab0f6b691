import { trimSlashes } from '../util/text.js'
import type { ServerConfig } from './types.js'

/** Addresses that everybody on this machine calls `localhost`, and what stands for all addresses. */
const LOCALHOST = new Set(['127.0.0.1', 'localhost', '0.0.0.0', '::', '::0', '0:0:0:0:0:0:0:0'])

/**
 * Makes the URL that clients use for the MCP endpoint; byte for byte the `resource` of our metadata.
 *
 * @param boundPort The port we listen on. Counts only without a configured public URL.
 */
export function mcpUrlOf(
  { publicUrl, path, host }: Pick<ServerConfig, 'publicUrl' | 'path'> & { host?: string },
  boundPort: number,
): string {
  const base = trimSlashes(publicUrl ?? localUrl(host, boundPort))
  const endsInPath = path !== '/' && new URL(base).pathname.endsWith(path)
  return endsInPath ? base : `${base}${path}`
}

/** An address of its own is reached by that address; an IPv6 address stands in brackets. */
function localUrl(host: string | undefined, port: number): string {
  const name = (host ?? 'localhost').replace(/[[\]]/g, '').toLowerCase()
  if (LOCALHOST.has(name)) return `http://localhost:${port}`
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
