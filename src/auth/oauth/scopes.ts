/** Splits a space-separated scope value (RFC 6749 §3.3), without repetitions. */
export function splitScopes(scope: string | undefined): string[] {
  return [...new Set((scope ?? '').split(/[ \t\r\n]+/).filter((word) => word !== ''))]
}

export interface ScopeSources {
  /** Named by the user; counts before anything else. */
  readonly configured?: string | undefined
  /** `scope` of the 401 or 403. */
  readonly challenged?: string | undefined
  /** `scopes_supported` of the protected resource. */
  readonly resource: readonly string[]
  /** `scopes_supported` of the authorization server. */
  readonly server: readonly string[]
  /** What was requested last time; only when a request needed more than it had. */
  readonly previous?: string | undefined
}

/**
 * Chooses the scopes to request: what the challenge names, else all that the resource names, else
 * none at all. A step-up requests the union with what was requested before, so that nothing is lost.
 *
 * `openid` is not taken over from `scopes_supported`: we need no id token. `offline_access` is
 * added only where the authorization server lists it.
 *
 * @returns A scope value, or `undefined` when the parameter is to be left out.
 */
export function chooseScope(sources: ScopeSources): string | undefined {
  const { configured, challenged, resource, server, previous } = sources
  const named = splitScopes(configured ?? challenged)
  const first = named.length > 0 ? named : resource.filter((scope) => scope !== 'openid')
  const scopes = new Set(
    previous === undefined ? first : [...splitScopes(previous), ...splitScopes(challenged)],
  )
  if (scopes.size === 0) return undefined
  if (server.includes('offline_access')) scopes.add('offline_access')
  return [...scopes].join(' ')
}

/** Names the scopes of `needed` that `granted` does not hold. */
export function missingScopes(needed: string | undefined, granted: string | undefined): string[] {
  const held = new Set(splitScopes(granted))
  return splitScopes(needed).filter((scope) => !held.has(scope))
}
