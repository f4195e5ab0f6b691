import { isObject, stringsMember, tryParseJson } from '../util/json.js'
import { PRODUCT, VERSION } from '../util/version.js'
import type { StdioServer } from './stdio-server.js'
import { MODERN_VERSION } from './versions.js'

const META = 'io.modelcontextprotocol'

const DISCOVER = JSON.stringify({
  ...{ jsonrpc: '2.0', id: 0, method: 'server/discover' },
  params: {
    _meta: {
      [`${META}/protocolVersion`]: MODERN_VERSION,
      [`${META}/clientInfo`]: { name: PRODUCT, version: VERSION },
      [`${META}/clientCapabilities`]: {},
    },
  },
})

/**
 * Asks a program whether it speaks the era without sessions. Whatever else it says, does or leaves
 * undone means that it does not.
 *
 * @see [MCP 2026-07-28, stdio](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio)
 */
export async function speaksModern(server: StdioServer): Promise<boolean> {
  const answer = tryParseJson(await server.ask(DISCOVER).catch(() => ''))
  const result = isObject(answer) ? answer['result'] : undefined
  return isObject(result) && stringsMember(result, 'supportedVersions').includes(MODERN_VERSION)
}
