import type { Principal } from '../../auth/principal.js'
import { createGlobMatcher } from '../../util/glob.js'
import { foldName } from '../../util/text.js'

/**
 * What a caller may do with a tool. `hidden` tools are neither listed nor callable; a tool with
 * `missingScopes` is listed unless `unlisted`, and its call asks for more scopes.
 */
export type Decision =
  | { allowed: true }
  | { allowed: false; hidden: true }
  | { allowed: false; hidden: false; missingScopes: readonly string[]; unlisted: boolean }

export interface ToolPolicy {
  /** Decides both the list and the call, so that they agree. `name` is the target's own. */
  decide(name: string, principal: Principal | undefined): Decision
  /** Tells whether decisions depend on who asks. */
  readonly dependsOnCaller: boolean
  /** Tells whether every tool is open to every caller. */
  readonly isOpen: boolean
}

/** What restricts the tools of a target; the keys of the records are globs over its tools' names. */
export interface ToolRules {
  /** Globs over the target's own tool names. An empty list allows nothing. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  /** Scopes that a call needs. */
  readonly scopes: Readonly<Record<string, readonly string[]>>
  /** Roles, of which the caller needs one. */
  readonly roles: Readonly<Record<string, readonly string[]>>
  /** Tenants (`dct`), of which the caller must be signed in to one. */
  readonly tenants: Readonly<Record<string, readonly string[]>>
  /** What a caller sees of tools whose scopes are missing. */
  readonly whenScopeMissing: 'list' | 'hide'
}

const ALLOWED: Decision = { allowed: true }

const HIDDEN: Decision = { allowed: false, hidden: true }

/**
 * Creates a target's tool policy. Without authentication no caller has scopes, roles or a tenant.
 *
 * What restricts a tool holds for all names that fold to the same, since the target may not tell them
 * apart; what allows a tool holds for the exact name only.
 */
export function createToolPolicy(config: ToolRules): ToolPolicy {
  const allow = createGlobMatcher(config.allow)
  const deny = matchFolded(config.deny)
  const scopes = compile(config.scopes)
  const roles = compile(config.roles)
  const tenants = compile(config.tenants)
  const unlisted = config.whenScopeMissing === 'hide'
  const dependsOnCaller = scopes.length + roles.length + tenants.length > 0
  const isOpen = config.allow.includes('*') && config.deny.length === 0 && !dependsOnCaller
  return {
    dependsOnCaller,
    isOpen,
    decide(name, principal) {
      if (isOpen) return ALLOWED
      if (!allow(name)) return HIDDEN
      const folded = foldName(name)
      if (deny(folded)) return HIDDEN
      for (const rule of roles) {
        if (rule.matches(folded) && !rule.values.some((role) => principal?.roles.includes(role))) {
          return HIDDEN
        }
      }
      for (const rule of tenants) {
        if (rule.matches(folded) && !rule.values.some((id) => principal?.tenant === id))
          return HIDDEN
      }
      const missingScopes = missing(folded, principal)
      if (missingScopes.length === 0) return ALLOWED
      return { allowed: false, hidden: false, missingScopes, unlisted }
    },
  }

  /** Names all scopes of the call when one is missing, as one challenge must (RFC 6750 §3.1). */
  function missing(folded: string, principal: Principal | undefined): string[] {
    const needed = new Set<string>()
    for (const rule of scopes) {
      if (rule.matches(folded)) for (const scope of rule.values) needed.add(scope)
    }
    const all = [...needed]
    return all.every((scope) => principal?.scopes.has(scope)) ? [] : all
  }
}

function compile(rules: Readonly<Record<string, readonly string[]>>) {
  return Object.entries(rules).map(([pattern, values]) => ({
    matches: matchFolded([pattern]),
    values,
  }))
}

/** @returns A function that takes folded names. */
function matchFolded(patterns: readonly string[]): (folded: string) => boolean {
  return patterns.length === 0 ? () => false : createGlobMatcher(patterns.map(foldName))
}
