import type { ServerConfig } from './types.js'

/**
 * Makes the URL that clients use for the MCP endpoint; byte for byte the `resource` of our metadata.
 *
 * @param boundPort The port we listen on. Counts only without a configured public URL.
 */
export function mcpUrlOf(
  { publicUrl, path }: Pick<ServerConfig, 'publicUrl' | 'path'>,
  boundPort: number,
): string {
  const base = (publicUrl ?? `http://localhost:${boundPort}`).replace(/\/+$/, '')
  const endsInPath = path !== '/' && new URL(base).pathname.endsWith(path)
  return endsInPath ? base : `${base}${path}`
}
