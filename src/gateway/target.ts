import type { TargetCredential } from '../auth/credential.js'
import type { TargetConfig } from '../config/types.js'
import type { Upstream } from '../http/pool.js'
import { isKnownMethod, looksKnown } from '../mcp/methods.js'
import { createGlobMatcher } from '../util/glob.js'
import { createToolPolicy, type ToolPolicy } from './policy.js'

/** One MCP server behind us. */
export interface Target {
  readonly name: string
  readonly prefix: string
  readonly policy: ToolPolicy
  readonly credential: TargetCredential
  /** Tells whether the target gets messages with a method that is none of MCP's. */
  takesMethod(method: string): boolean
  /** Replaced once it is known how the target is spoken with. */
  upstream: Upstream
  /** How its last request went; `unknown` before the first. */
  state: 'unknown' | 'ok' | 'down'
}

/** Makes a target from its configuration. Nothing is connected yet. */
export function createTarget(
  config: Pick<TargetConfig, 'name' | 'prefix' | 'tools'> & Partial<Pick<TargetConfig, 'methods'>>,
  credential: TargetCredential,
  upstream: Upstream,
): Target {
  const policy = createToolPolicy(config.tools)
  return {
    name: config.name,
    prefix: config.prefix,
    policy,
    credential,
    takesMethod: methodTaker(config.methods ?? [], policy),
    upstream,
    state: 'unknown',
  }
}

/**
 * Methods that are none of MCP's pass where they are listed, and by default to a target that restricts
 * nothing: what they do there no policy could decide. One that reads like one of MCP's never does.
 */
function methodTaker(
  listed: readonly string[],
  { isOpen }: ToolPolicy,
): (method: string) => boolean {
  const isFurther = createGlobMatcher(listed.length === 0 && isOpen ? ['*'] : listed)
  return (method) => isKnownMethod(method) || (isFurther(method) && !looksKnown(method))
}
