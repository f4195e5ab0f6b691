import { isObject, type JsonObject, stringsMember } from '../util/json.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { STATELESS_VERSION } from './versions.js'

const PREFIX = 'io.modelcontextprotocol/'

/** Members of `_meta` since 2026-07-28. */
export const META = {
  version: `${PREFIX}protocolVersion`,
  clientInfo: `${PREFIX}clientInfo`,
  clientCapabilities: `${PREFIX}clientCapabilities`,
  logLevel: `${PREFIX}logLevel`,
  serverInfo: `${PREFIX}serverInfo`,
  subscriptionId: `${PREFIX}subscriptionId`,
} as const

/** The sender of a request of 2026-07-28. */
export interface Sender {
  clientInfo: JsonObject
  clientCapabilities: JsonObject
}

/** How we name ourselves to servers and to clients. */
export const OWN_INFO = { name: PRODUCT, version: VERSION }

/** Who our own requests of 2026-07-28 come from. */
export const OWN_SENDER: Sender = { clientInfo: OWN_INFO, clientCapabilities: {} }

/** Makes what every request of 2026-07-28 carries in `_meta`. */
export function envelopeOf({ clientInfo, clientCapabilities }: Sender): JsonObject {
  return {
    [META.version]: STATELESS_VERSION,
    [META.clientInfo]: clientInfo,
    [META.clientCapabilities]: clientCapabilities,
  }
}

/**
 * Adds to the parameters what every request of 2026-07-28 carries in `_meta`.
 *
 * @see [MCP 2026-07-28, `_meta`](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta)
 */
export function withEnvelope(params: JsonObject, sender: Sender): JsonObject {
  return { ...params, _meta: { ...metaOf(params), ...envelopeOf(sender) } }
}

/** Returns the `_meta` of parameters or of a result; {} when it is absent. */
export function metaOf(holder: JsonObject): JsonObject {
  const meta = holder['_meta']
  return isObject(meta) ? meta : {}
}

/** Tells whether the result of `server/discover` offers the stateless protocol. */
export function offersStateless(discovered: JsonObject): boolean {
  return stringsMember(discovered, 'supportedVersions').includes(STATELESS_VERSION)
}
