import type { Principal } from '../../auth/principal.js'
import { createGlobMatcher, foldName } from '../../util/text.js'

/**
 * What a caller may do with a tool, a prompt or a resource. What is `hidden` is neither listed nor to
 * be had; what has `missingScopes` is listed unless `unlisted`, and a request for it gets a challenge for more scopes.
 */
export type Decision =
  | { allowed: true }
  | {
      allowed: false
      hidden: true
      rule: string
      /** What the caller is told; absent: what is told of what is not there. */
      reason?: string
    }
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

/** Tells whether somebody who lists finds what was decided on. */
export function isListed(decision: Decision): boolean {
  return decision.allowed || !(decision.hidden || decision.unlisted)
}

export interface ToolPolicy {
  /** Decides both the list and the call, so that they agree. `name` is the target's own. */
  decide(name: string, principal: Principal | undefined): Decision
  /** Decides on what is ours and stands for all of the target's: only the rules for everything hold. */
  decideOurs(principal: Principal | undefined): Decision
  /** Tells whether decisions depend on the caller. */
  readonly dependsOnCaller: boolean
  /** Tells whether everything is open to every caller. */
  readonly isOpen: boolean
}

/** The policy of one section, and its parts for those who compare otherwise. */
export interface RulePolicy extends ToolPolicy {
  /** Decides by what restricts alone. `isMet` tells whether a rule is about what is requested. */
  restrict(isMet: (rule: Rule) => boolean, principal: Principal | undefined): Decision
  readonly notAllowed: Decision
}

/** A rule that restricts. */
export interface Rule {
  /** All that its pattern may be written as, folded. */
  readonly patterns: readonly string[]
  /** Takes folded text. */
  matches(folded: string): boolean
}

/** What the rules of a target are about. */
export type PolicySection = 'tools' | 'prompts' | 'resources'

/**
 * What restricts the tools of a target, or its prompts or resources; the keys of the records are globs
 * over its own names or URIs.
 */
export interface ToolRules {
  /** An empty list allows nothing. */
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

const ONLY_STARS = /^\*+$/

const hiddenBy = (rule: string): Decision => ({ allowed: false, hidden: true, rule })

/**
 * Creates a target's tool policy. Without authentication no caller has scopes, roles or a tenant.
 *
 * What restricts a tool holds for all names that fold to the same, since the target may not tell them
 * apart; what allows a tool holds for the exact name only.
 */
export function createToolPolicy(config: ToolRules): ToolPolicy {
  return createPolicy('tools', config)
}

/** @param writings Returns all that a pattern of the section may be written as, folded. */
export function createPolicy(
  section: PolicySection,
  config: ToolRules,
  writings: (pattern: string) => readonly string[] = (pattern) => [foldName(pattern)],
): RulePolicy {
  const allow = createGlobMatcher(config.allow)
  const compile = compiler(section, writings)
  const deny = config.deny.flatMap((pattern) => compile('deny', { [pattern]: [] }))
  const notAllowed = hiddenBy(`${section}.allow`)
  const scopes = compile('scopes', config.scopes)
  const held = [
    ...compile('roles', config.roles, ({ roles }) => roles),
    ...compile('permissions', config.permissions ?? {}, ({ permissions }) => permissions),
    ...compile('tenants', config.tenants, ({ tenant }) => (tenant === undefined ? [] : [tenant])),
  ]
  const stepUp = (config.stepUp ?? []).flatMap((pattern) => compile('stepUp', { [pattern]: [] }))
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
    notAllowed,
    restrict,
    decide(name, principal) {
      if (isOpen) return ALLOWED
      if (!allow(name)) return notAllowed
      const folded = foldName(name)
      return restrict(({ matches }) => matches(folded), principal)
    },
    decideOurs(principal) {
      if (config.allow.length === 0) return notAllowed
      return restrict(({ patterns }) => patterns.some((glob) => ONLY_STARS.test(glob)), principal)
    },
  }

  function restrict(isMet: (rule: Rule) => boolean, principal: Principal | undefined): Decision {
    for (const rule of deny) if (isMet(rule)) return rule.refusal
    for (const rule of held) {
      if (isMet(rule) && !rule.isHeld(principal)) return rule.refusal
    }
    const scope = missing(isMet, principal)
    const unlisted = hides && scope !== undefined
    const step = principal?.steppedUp ? undefined : stepUp.find(isMet)
    if (step !== undefined) {
      // one sign-in brings both
      const missingScopes = scope?.missingScopes ?? []
      const { rule } = step
      return { allowed: false, hidden: false, unlisted, missingScopes, needsStepUp: true, rule }
    }
    if (scope === undefined) return ALLOWED
    return { allowed: false, hidden: false, unlisted, ...scope }
  }

  /** Names all scopes of the call when one is missing, as one challenge must (RFC 6750 §3.1). */
  function missing(isMet: (rule: Rule) => boolean, principal: Principal | undefined) {
    const needed = new Set<string>()
    let lacking: string | undefined
    for (const found of scopes) {
      if (!isMet(found)) continue
      const { values, rule } = found
      for (const scope of values) {
        needed.add(scope)
        if (!principal?.scopes.has(scope)) lacking ??= rule
      }
    }
    return lacking === undefined ? undefined : { missingScopes: [...needed], rule: lacking }
  }
}

function compiler(section: PolicySection, writings: (pattern: string) => readonly string[]) {
  /** @param heldBy What the caller must have one of, where the rule requires that. */
  return (
    member: string,
    rules: Readonly<Record<string, readonly string[]>>,
    heldBy?: (principal: Principal) => readonly string[],
  ) =>
    Object.entries(rules).map(([pattern, values]) => {
      const rule = `${section}.${member} ${JSON.stringify(pattern)}`
      const patterns = writings(pattern)
      return {
        patterns,
        matches: createGlobMatcher(patterns),
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
