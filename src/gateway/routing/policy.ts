import type { Principal } from '../../auth/principal.js'
import { createGlobMatcher } from '../../util/glob.js'
import { foldName } from '../../util/text.js'

/**
 * What a caller may do with a tool. `hidden` tools are neither listed nor callable; a tool with
 * `missingScopes` is listed unless `unlisted`, and its call asks for more scopes.
 */
export type Decision =
  | { allowed: true }
  | { allowed: false; hidden: true; rule: string }
  | {
      allowed: false
      hidden: false
      missingScopes: readonly string[]
      unlisted: boolean
      /** A step-up is missing, and perhaps the scopes too. */
      needsStepUp?: boolean
      /** The setting that decides, such as `tools.roles["delete_*"]`. */
      rule: string
    }

/** Returns the word by which logs call a refusal. */
export function refusalWord(
  decision: Decision & { allowed: false },
): 'policy' | 'scope' | 'step_up' {
  if (decision.hidden) return 'policy'
  return decision.needsStepUp ? 'step_up' : 'scope'
}

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
  /** Permissions, of which the caller needs one. */
  readonly permissions?: Readonly<Record<string, readonly string[]>> | undefined
  /** Tenants (`dct`), of which the caller must be signed in to one. */
  readonly tenants: Readonly<Record<string, readonly string[]>>
  /** Globs over tools whose call needs a token that was stepped up (`su`). */
  readonly stepUp?: readonly string[] | undefined
  /** What a caller sees of tools whose scopes are missing. */
  readonly whenScopeMissing: 'list' | 'hide'
}

const ALLOWED: Decision = { allowed: true }

const hiddenBy = (rule: string): Decision => ({ allowed: false, hidden: true, rule })

/**
 * Creates a target's tool policy. Without authentication no caller has scopes, roles or a tenant.
 *
 * What restricts a tool holds for all names that fold to the same, since the target may not tell them
 * apart; what allows a tool holds for the exact name only.
 */
export function createToolPolicy(config: ToolRules): ToolPolicy {
  const allow = createGlobMatcher(config.allow)
  const deny = config.deny.map((pattern) => ({
    matches: matchFolded([pattern]),
    refusal: hiddenBy(`tools.deny ${JSON.stringify(pattern)}`),
  }))
  const notAllowed = hiddenBy('tools.allow')
  const scopes = compile('scopes', config.scopes)
  const held = [
    ...compile('roles', config.roles, ({ roles }) => roles),
    ...compile('permissions', config.permissions ?? {}, ({ permissions }) => permissions),
    ...compile('tenants', config.tenants, ({ tenant }) => (tenant === undefined ? [] : [tenant])),
  ]
  const stepUp = (config.stepUp ?? []).map((pattern) => ({
    matches: matchFolded([pattern]),
    rule: `tools.stepUp ${JSON.stringify(pattern)}`,
  }))
  const hides = config.whenScopeMissing === 'hide'
  const dependsOnCaller = scopes.length + held.length > 0
  const isOpen =
    config.allow.includes('*') &&
    config.deny.length === 0 &&
    !dependsOnCaller &&
    stepUp.length === 0
  return {
    dependsOnCaller,
    isOpen,
    decide(name, principal) {
      if (isOpen) return ALLOWED
      if (!allow(name)) return notAllowed
      const folded = foldName(name)
      for (const rule of deny) if (rule.matches(folded)) return rule.refusal
      for (const rule of held) {
        if (rule.matches(folded) && !rule.isHeld(principal)) return rule.refusal
      }
      const scope = missing(folded, principal)
      const unlisted = hides && scope !== undefined
      const step = principal?.steppedUp ? undefined : stepUp.find(({ matches }) => matches(folded))
      if (step !== undefined) {
        // one sign-in brings both
        const missingScopes = scope?.missingScopes ?? []
        const { rule } = step
        return { allowed: false, hidden: false, unlisted, missingScopes, needsStepUp: true, rule }
      }
      if (scope === undefined) return ALLOWED
      return { allowed: false, hidden: false, unlisted, ...scope }
    },
  }

  /** Names all scopes of the call when one is missing, as one challenge must (RFC 6750 §3.1). */
  function missing(folded: string, principal: Principal | undefined) {
    const needed = new Set<string>()
    let lacking: string | undefined
    for (const { matches, values, rule } of scopes) {
      if (!matches(folded)) continue
      for (const scope of values) {
        needed.add(scope)
        if (!principal?.scopes.has(scope)) lacking ??= rule
      }
    }
    return lacking === undefined ? undefined : { missingScopes: [...needed], rule: lacking }
  }
}

/** @param heldBy What the caller must have one of, where the rule asks for that. */
function compile(
  member: string,
  rules: Readonly<Record<string, readonly string[]>>,
  heldBy?: (principal: Principal) => readonly string[],
) {
  return Object.entries(rules).map(([pattern, values]) => {
    const rule = `tools.${member} ${JSON.stringify(pattern)}`
    return {
      matches: matchFolded([pattern]),
      values,
      rule,
      refusal: hiddenBy(rule),
      isHeld: (principal: Principal | undefined): boolean => {
        const held = principal === undefined ? [] : (heldBy?.(principal) ?? [])
        return values.some((value) => held.includes(value))
      },
    }
  })
}

/** @returns A function that takes folded names. */
function matchFolded(patterns: readonly string[]): (folded: string) => boolean {
  return patterns.length === 0 ? () => false : createGlobMatcher(patterns.map(foldName))
}
