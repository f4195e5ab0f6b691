import type { Principal } from '../../auth/principal.js'

/**
 * Who may use a target at all. Of each list the caller needs one entry, and of several lists one each;
 * a list without entries admits nobody, and a list that is not there asks for nothing.
 */
export interface AccessRules {
  /** Tenants (`dct`) that the caller may be signed in to. */
  readonly tenants?: readonly string[] | undefined
  readonly roles?: readonly string[] | undefined
  readonly permissions?: readonly string[] | undefined
  readonly scopes?: readonly string[] | undefined
}

/** Returns the rule that keeps a caller out; `undefined` admits the caller. */
export type Barrier = (principal: Principal | undefined) => string | undefined

/**
 * Prepares the rules of a target. Without authentication no caller has any of what they ask for.
 *
 * @returns `undefined` when everybody is admitted.
 */
export function createBarrier(rules: AccessRules | undefined): Barrier | undefined {
  const { tenants, roles, permissions, scopes } = rules ?? {}
  const checks: [rule: string, passes: (principal: Principal) => boolean][] = []
  if (tenants !== undefined) {
    checks.push([
      'access.tenants',
      ({ tenant }) => tenant !== undefined && tenants.includes(tenant),
    ])
  }
  if (roles !== undefined) {
    checks.push(['access.roles', (principal) => shares(roles, principal.roles)])
  }
  if (permissions !== undefined) {
    checks.push(['access.permissions', (principal) => shares(permissions, principal.permissions)])
  }
  if (scopes !== undefined) {
    checks.push([
      'access.scopes',
      (principal) => scopes.some((scope) => principal.scopes.has(scope)),
    ])
  }
  if (checks.length === 0) return undefined
  return (principal) =>
    checks.find(([, passes]) => principal === undefined || !passes(principal))?.[0]
}

function shares(wanted: readonly string[], held: readonly string[]): boolean {
  return wanted.some((item) => held.includes(item))
}
