import type { JsonObject } from '../util/json.js'

/** What the target agreed to, as every later request must say. One for the life of the bridge. */
export interface BridgeSession {
  /** The gateway's session id, when the target gave one. */
  sealed: string | undefined
  /** The protocol version; `undefined` before `initialize` was answered. */
  version: string | undefined
  /** The host's `initialize` parameters. */
  hostParams: JsonObject | undefined
  /** Capabilities of the target; `undefined` before they are known. */
  capabilities: JsonObject | undefined
}

/** Creates the session that nobody has opened yet. */
export function createSession(): BridgeSession {
  return {
    sealed: undefined,
    version: undefined,
    hostParams: undefined,
    capabilities: undefined,
  }
}
