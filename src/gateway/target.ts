import type { TargetCredential } from '../auth/credentials/credential.js'
import type { RelationCheck } from '../auth/descope/relations.js'
import { callerId, type Principal } from '../auth/principal.js'
import { CALLER_ID_FIELD, type Upstream } from '../upstream/upstream.js'
import type { FailureCause } from '../util/failure.js'
import type { MemoryBudget } from '../util/memory-budget.js'
import { createGlobMatcher, foldName } from '../util/text.js'
import type { Breaker } from './breaker.js'
import type { StandIn } from './connecting/in-place.js'
import {
  createPolicy,
  createToolPolicy,
  type ToolPolicy,
  type ToolRules,
} from './routing/policy.js'
import { createRelationGuard, type RelationGuard, type RelationRules } from './routing/relations.js'
import { createResourcePolicy, type ResourcePolicy } from './routing/resource-policy.js'
import type { KnownTools } from './rules/known-tools.js'
import type { Rules } from './rules/rules.js'

/** One MCP server behind us. */
export interface Target {
  readonly name: string
  /** Names what is known of it: another one where a target of that name was another one before. */
  readonly key: string
  /** Requests to it that are under way. */
  readonly use: { calls: number }
  readonly prefix: string
  /** Who is kept out of all of it; `undefined` when everybody is admitted. */
  readonly barrier?: Barrier | undefined
  /** Of its tools. */
  readonly policy: ToolPolicy
  /** Checks calls of its tools at Descope; absent without such rules. */
  readonly relations?: RelationGuard | undefined
  /** Of its tools, too: in CEL. */
  readonly rules?: Rules | undefined
  /** Present where calls are decided on by what the target lists. */
  readonly knownTools?: KnownTools | undefined
  readonly promptPolicy: ToolPolicy
  readonly resourcePolicy: ResourcePolicy
  readonly credential: TargetCredential
  /** Answers callers who have to connect first; absent where nobody has to. */
  readonly standIn?: StandIn | undefined
  /** Tells whether messages with this method are sent to the target. */
  takesMethod(method: string): boolean
  /** Its URL, where its cookies are kept with sessions. */
  readonly url: URL | undefined
  readonly upstream: Upstream
  /** Present where requests fail at once while it is not reached. */
  readonly breaker?: Breaker | undefined
  /** How the last request to it went; `unknown` before the first. Changed by {@link setState} only. */
  state: TargetState
  /** Called when the state has changed. */
  readonly onChange?: ((target: Target, before: TargetState) => void) | undefined
  /** Limits how much of its answers, and of other targets' answers, is held in memory at once. */
  readonly memory?: MemoryBudget | undefined
}

/** `refused_credential`: it answers, and refuses the credential that is the same for all callers. */
export type TargetState = 'unknown' | 'ok' | 'down' | 'refused_credential'

/** What the configuration says of a target. */
export interface TargetSettings {
  readonly name: string
  /** Without the separator; '' leaves names unchanged. */
  readonly prefix: string
  readonly access?: AccessRules | undefined
  readonly tools: ToolRules & { readonly fga?: RelationRules | undefined }
  /** Nothing restricts what has no rules. */
  readonly prompts?: ToolRules | undefined
  readonly resources?: ToolRules | undefined
  /** Methods outside MCP that are sent to the target too; `*` stands for any characters. */
  readonly methods?: readonly string[]
}

/** Makes a target from its settings. Nothing is connected yet. */
export function createTarget(
  settings: TargetSettings,
  credential: TargetCredential,
  upstream: Upstream,
  {
    url,
    onChange,
    memory,
    standIn,
    checkRelation,
    rules,
    knownTools,
    breaker,
    key = settings.name,
  }: Partial<
    Pick<
      Target,
      'url' | 'onChange' | 'memory' | 'standIn' | 'rules' | 'knownTools' | 'breaker' | 'key'
    >
  > & {
    checkRelation?: RelationCheck | undefined
  } = {},
): Target {
  const { name, prefix, tools, prompts = OPEN_RULES, resources = OPEN_RULES } = settings
  const policy = withRules(createToolPolicy(tools), rules)
  const promptPolicy = createPolicy('prompts', prompts)
  const resourcePolicy = createResourcePolicy(resources)
  const relations = createRelationGuard(name, tools.fga, checkRelation)
  const isOpen =
    policy.isOpen && promptPolicy.isOpen && resourcePolicy.isOpen && relations === undefined
  return {
    name,
    key,
    use: { calls: 0 },
    prefix,
    barrier: createBarrier(settings.access),
    policy,
    relations,
    rules,
    knownTools,
    promptPolicy,
    resourcePolicy,
    credential,
    standIn,
    takesMethod: methodTaker(settings.methods ?? [], isOpen),
    url,
    upstream,
    breaker,
    memory,
    state: 'unknown',
    onChange,
  }
}

/** What rules in CEL change of what else is said about the tools. */
function withRules(policy: ToolPolicy, rules: Rules | undefined): ToolPolicy {
  if (rules === undefined) return policy
  return {
    decide: policy.decide,
    decideOurs(principal) {
      const decision = policy.decideOurs(principal)
      const isHidden = !decision.allowed && decision.hidden
      return isHidden ? decision : (rules.decideOurs(principal) ?? decision)
    },
    dependsOnCaller: policy.dependsOnCaller || rules.dependsOnCaller,
    isOpen: false,
  }
}

/** What of a target may change while its connections stay. */
const RENEWED = [
  ...([
    'key',
    'prefix',
    'barrier',
    'policy',
    'promptPolicy',
    'resourcePolicy',
    'relations',
    'credential',
  ] as const),
  ...(['standIn', 'takesMethod', 'url', 'rules', 'knownTools', 'breaker'] as const),
]

/**
 * Gives a target the settings of another one in the same place. Streams that are open are judged by
 * them from now on; what was decided of requests under way stays.
 */
export function renewTarget(target: Target, from: Target): void {
  for (const member of RENEWED) Object.assign(target, { [member]: from[member] })
}

/** Everything is open to everybody. */
export const OPEN_RULES: ToolRules = {
  ...{ allow: ['*'], deny: [], scopes: {}, roles: {}, permissions: {}, tenants: {} },
  whenScopeMissing: 'list',
}

/**
 * Methods outside MCP pass where they are listed, and by default to a target without restrictions,
 * since no policy could decide on them. One that a lenient reader may take for MCP's own never passes.
 */
function methodTaker(listed: readonly string[], isOpen: boolean): (method: string) => boolean {
  const isFurther = createGlobMatcher(listed.length === 0 && isOpen ? ['*'] : listed)
  return (method) => isKnownMethod(method) || (isFurther(method) && !FOLDED.has(lettersOf(method)))
}

/** Records how the last request to a target went. */
export function setState(target: Target, state: TargetState): void {
  const before = target.state
  target.state = state
  target.onChange?.(target, before)
}

/**
 * Notes how a request to a target went, and tells its breaker.
 *
 * @param cause Why nothing was answered, where that is so.
 */
export function noteState(target: Target, state: TargetState, cause?: FailureCause): void {
  if (target.state !== state) setState(target, state)
  const { breaker } = target
  if (breaker === undefined) return
  if (state !== 'down') return breaker.answered()
  // a process of one caller that hangs says nothing of others
  if (cause === 'timeout' && target.upstream.held?.kind === 'child') return
  if (breaker.failed()) target.onChange?.(target, 'down')
}

/** Says that a target refused the credential: the end of a sentence that begins with its name. */
export function describeRefusal({ credential }: Target, status: number): string {
  return credential.isNone
    ? `it wants a credential, and none is configured (HTTP ${status})`
    : `it refused its credential (HTTP ${status})`
}

/** Creates the credential that tells an upstream in this process, and nobody else, who the caller is. */
export function ownerCredential(): TargetCredential {
  return {
    perCaller: true,
    headers: ({ principal }) => ({ [CALLER_ID_FIELD]: callerId(principal) }),
    refused: () => false,
  }
}

/**
 * The methods that clients send to servers, in all versions of MCP and in its official extensions.
 *
 * @see [MCP 2025-11-25, schema](https://modelcontextprotocol.io/specification/2025-11-25/schema)
 * @see [MCP 2026-07-28, schema](https://modelcontextprotocol.io/specification/2026-07-28/schema)
 */
const CLIENT_METHODS: ReadonlySet<string> = new Set([
  ...['initialize', 'ping', 'server/discover', 'subscriptions/listen', 'logging/setLevel'],
  ...['tools/list', 'tools/call', 'prompts/list', 'prompts/get', 'completion/complete'],
  ...['resources/list', 'resources/templates/list', 'resources/read'],
  ...['resources/subscribe', 'resources/unsubscribe'],
  ...['tasks/get', 'tasks/result', 'tasks/update', 'tasks/cancel', 'tasks/list'],
  ...['notifications/initialized', 'notifications/cancelled', 'notifications/progress'],
  ...['notifications/roots/list_changed', 'notifications/message'],
  ...['notifications/tasks', 'notifications/tasks/status', 'notifications/elicitation/complete'],
])

const FOLDED: ReadonlySet<string> = new Set([...CLIENT_METHODS].map(lettersOf))

/** Tells whether a method is one of MCP's, exactly as it is written. */
export function isKnownMethod(method: string): boolean {
  return CLIENT_METHODS.has(method)
}

/** Lenient readers may ignore separators, so that only the letters are compared. */
function lettersOf(method: string): string {
  return foldName(method).replace(/[^a-z]/g, '')
}

/**
 * Who may use a target at all. Of each list the caller needs one entry, and of several lists one each;
 * a list without entries admits nobody, and an absent list requires nothing.
 */
interface AccessRules {
  /** Tenants (`dct`) that the caller may be signed in to. */
  readonly tenants?: readonly string[] | undefined
  readonly roles?: readonly string[] | undefined
  readonly permissions?: readonly string[] | undefined
  readonly scopes?: readonly string[] | undefined
}

/** Returns the rule that keeps a caller out; `undefined` admits the caller. */
type Barrier = (principal: Principal | undefined) => string | undefined

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
