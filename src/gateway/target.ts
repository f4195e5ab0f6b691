import type { TargetCredential } from '../auth/credential.js'
import type { TargetConfig } from '../config/types.js'
import type { Upstream } from '../http/pool.js'
import { createToolPolicy, type ToolPolicy } from './policy.js'

/** One MCP server behind us. */
export interface Target {
  readonly name: string
  readonly prefix: string
  readonly policy: ToolPolicy
  readonly credential: TargetCredential
  /** Replaced once it is known how the target is spoken with. */
  upstream: Upstream
  /** How its last request went; `unknown` before the first. */
  state: 'unknown' | 'ok' | 'down'
}

/** Makes a target from its configuration. Nothing is connected yet. */
export function createTarget(
  config: Pick<TargetConfig, 'name' | 'prefix' | 'tools'>,
  credential: TargetCredential,
  upstream: Upstream,
): Target {
  return {
    name: config.name,
    prefix: config.prefix,
    policy: createToolPolicy(config.tools),
    credential,
    upstream,
    state: 'unknown',
  }
}
