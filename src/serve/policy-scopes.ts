/** What of a target's configuration asks for scopes. */
interface Restricted {
  readonly access?: { readonly scopes?: readonly string[] | undefined } | undefined
  readonly tools?: ScopeRules | undefined
  readonly prompts?: ScopeRules | undefined
  readonly resources?: ScopeRules | undefined
}

interface ScopeRules {
  readonly scopes?: Readonly<Record<string, readonly string[]>> | undefined
}

/** Collects every scope that the policy of some targets asks for. */
export function policyScopes(targets: readonly Restricted[]): readonly string[] {
  const scopes = targets.flatMap(({ access, tools, prompts, resources }) => [
    ...(access?.scopes ?? []),
    ...[tools, prompts, resources].flatMap((rules) => Object.values(rules?.scopes ?? {}).flat()),
  ])
  return [...new Set(scopes)]
}
