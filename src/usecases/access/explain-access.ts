import type { Principal } from '../../auth/principal.js'
import { endpointsOf } from '../../config/endpoints.js'
import { ConfigError } from '../../config/load.js'
import type { ProxyConfig, TargetConfig } from '../../config/types.js'
import { createNames } from '../../gateway/routing/names.js'
import {
  createPolicy,
  createToolPolicy,
  type Decision,
  refusalWord,
} from '../../gateway/routing/policy.js'
import { relationRulesOf } from '../../gateway/routing/relations.js'
import { createResourcePolicy } from '../../gateway/routing/resource-policy.js'
import { routeUri } from '../../gateway/routing/resource-uris.js'
import { type CompiledRules, compileRules } from '../../gateway/rules/compile.js'
import { createBarrier, OPEN_RULES } from '../../gateway/target.js'
import { parseMessageText } from '../../mcp/message.js'
import { ProxyError } from '../../util/errors.js'
import type { JsonObject } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'

/** What a caller may do with something by this name, in the words of the log. */
export interface AccessVerdict {
  kind: 'tool' | 'prompt' | 'resource' | 'template'
  allowed: boolean
  /** `access`, `policy`, `scope` or `step_up`. */
  refusal?: string
  /** The setting of the target that refuses, such as `access.roles` or `tools.deny "x_*"`. */
  rule?: string
  /** The rule in CEL that decides: its place in the list, and its text. */
  celRule?: { index: number; when: string; deny: string }
  /** All scopes that the call needs, where one is missing. */
  scopes?: readonly string[]
  /** Rules in CEL that may still refuse a call: they look at its arguments, which were not given. */
  dependsOn?: readonly string[]
  /** Rules that Descope checks on each call, with its arguments. */
  fga?: readonly string[]
}

export interface ExplainOptions {
  /** The target whose own endpoint is meant; by default the endpoint of all targets. */
  readonly endpoint?: string | undefined
  readonly args?: JsonObject | undefined
  readonly clock: Pick<Clock, 'now'>
}

export interface Explanation {
  asked: string
  /** Its public URL. */
  endpoint: string
  target: string
  /** The target's own name or URI. */
  own: string
  /** A name can be that of a tool and of a prompt. */
  verdicts: readonly AccessVerdict[]
  /** The target to which the name leads for this caller, who does not see `target`. */
  leadsTo?: string
  /** It has the form of an alias: the verdicts are about the alias itself, not about the name behind it. */
  mayBeAlias?: true
}

/**
 * Says whether a caller may use a tool, a prompt or a resource, as the proxy itself decides. Nothing is
 * sent to the target, so that what it does not have is explained too.
 *
 * @param exposed The name or the URI as clients see it.
 * @param options.args The arguments of the call; without them, it is decided as for a list.
 * @throws {ProxyError} `USAGE` when it leads to no target, or the endpoint does not exist.
 */
export async function explainAccess(
  config: ProxyConfig,
  exposed: string,
  principal: Principal,
  { endpoint, args, clock }: ExplainOptions,
): Promise<Explanation> {
  const { names, descope } = config
  const { targets, url } = endpointAt(config, endpoint)
  const barriers = new Map(targets.map((target) => [target, createBarrier(target.access)]))
  const admitted = targets.filter((target) => barriers.get(target)?.(principal) === undefined)
  const isUri = /^[A-Za-z][A-Za-z0-9+.-]*:|\{/.test(exposed)
  const find = (among: readonly TargetConfig[]) =>
    isUri ? findByUri(among, exposed) : createNames(among, names.maxLength).route(exposed)
  const found = find(targets) ?? find(admitted)
  if (found === undefined) throw unknownName(targets, exposed, isUri)
  const { target, name } = found
  const { rules, problems } = await compileRules([target], { clock })
  if (problems.length > 0) throw new ConfigError(problems)
  const byRules = () => decideByRules(rules.get(target.name), name, principal, args)
  const rule = barriers.get(target)?.(principal)
  const missing = descope.requiredScopes.find((scope) => !principal.scopes.has(scope))
  const decide = (kind: AccessVerdict['kind']): AccessVerdict => {
    if (missing !== undefined) {
      const scopes = descope.requiredScopes
      return { kind, allowed: false, refusal: 'scope', rule: 'descope.requiredScopes', scopes }
    }
    if (rule !== undefined) return { kind, allowed: false, refusal: 'access', rule }
    const byPolicy = decideOn(target, kind, name, principal)
    const isHidden = !byPolicy.allowed && byPolicy.hidden
    const decision = kind === 'tool' && !isHidden ? (byRules() ?? byPolicy) : byPolicy
    if (decision.allowed) {
      const fga = kind === 'tool' ? relationRulesOf(target.tools.fga, name) : []
      const dependsOn =
        kind === 'tool' && args === undefined
          ? rulesAboutArguments(rules.get(target.name), name, principal)
          : []
      return {
        ...{ kind, allowed: true },
        ...(dependsOn.length > 0 && { dependsOn }),
        ...(fga.length > 0 && { fga }),
      }
    }
    const needed = decision.hidden ? [] : decision.missingScopes
    const scopes = needed.length > 0 ? { scopes: needed } : {}
    const refusal = refusalWord(decision)
    const celRule = celRuleOf(target, decision.rule)
    return { kind, allowed: false, refusal, rule: decision.rule, ...celRule, ...scopes }
  }
  const mayBeAlias = !isUri && createNames(targets, names.maxLength).isUnknownAlias(exposed)
  const other = rule === undefined ? undefined : find(admitted)?.target.name
  return {
    asked: exposed,
    endpoint: url,
    target: target.name,
    own: name,
    verdicts: isUri
      ? [decide(name.includes('{') ? 'template' : 'resource')]
      : [decide('tool'), decide('prompt')],
    ...(other !== undefined && { leadsTo: other }),
    ...(mayBeAlias && { mayBeAlias }),
  }
}

/** Decides as for a list, or as for a call if its arguments are given. Annotations of tools are not known here. */
function decideByRules(
  compiled: CompiledRules | undefined,
  name: string,
  principal: Principal,
  args: JsonObject | undefined,
): Decision | undefined {
  if (compiled === undefined) return undefined
  const { rules } = compiled
  const tool = compiled.makeTool(name, undefined)
  if (args === undefined) return rules.decideListed(tool, principal)
  const text = JSON.stringify({
    jsonrpc: '2.0',
    id: 0,
    method: 'tools/call',
    params: { arguments: args },
  })
  return rules.decideCall(tool, principal, parseMessageText(text))
}

function rulesAboutArguments(
  compiled: CompiledRules | undefined,
  name: string,
  principal: Principal,
): readonly string[] {
  if (compiled === undefined) return []
  return compiled.rules.namesOfLater(compiled.makeTool(name, undefined), principal)
}

/** Finds the rule that a decision names. */
function celRuleOf({ rules }: TargetConfig, named: string) {
  const index = Number(/^rules\[(\d+)\]/.exec(named)?.[1] ?? Number.NaN)
  const found = rules?.list[index]
  return found && { celRule: { index, when: found.when, deny: found.deny } }
}

/** Decides as the gateway does for lists and requests. */
function decideOn(
  { tools, prompts, resources }: TargetConfig,
  kind: AccessVerdict['kind'],
  name: string,
  principal: Principal,
): Decision {
  if (kind === 'tool') return createToolPolicy(tools).decide(name, principal)
  if (kind === 'prompt')
    return createPolicy('prompts', prompts ?? OPEN_RULES).decide(name, principal)
  const policy = createResourcePolicy(resources ?? OPEN_RULES)
  return kind === 'template'
    ? policy.decideTemplate(name, principal)
    : policy.decide(name, principal)
}

/** Finds the endpoint of all targets, or of one; the only one that there is need not be named. */
function endpointAt(config: ProxyConfig, name: string | undefined) {
  const all = endpointsOf(config, config.server.port)
  const [first, ...others] = all
  const isClear = first?.target === undefined || others.length === 0
  const found = name === undefined ? isClear && first : all.find((it) => it.target?.name === name)
  if (found) {
    const { target, url } = found
    return { url, targets: target === undefined ? config.targets : [{ ...target, prefix: '' }] }
  }
  const own = all.flatMap(({ target }) => target?.name ?? [])
  throw new ProxyError(
    'USAGE',
    name === undefined
      ? 'Each target has an endpoint of its own'
      : `There is no endpoint of a target ${JSON.stringify(name)}`,
    {
      hint:
        own.length === 0
          ? 'Leave out --endpoint: server.endpoints is merged.'
          : `Name one with --endpoint: ${own.join(', ')}.`,
    },
  )
}

/** With one target its URIs stay as they are. */
function findByUri(targets: readonly TargetConfig[], exposed: string) {
  const [only, ...others] = targets
  if (only !== undefined && others.length === 0) return { target: only, name: exposed }
  const found = routeUri(targets, exposed)
  return found && { target: found.target, name: found.uri }
}

function unknownName(
  targets: readonly TargetConfig[],
  exposed: string,
  isUri: boolean,
): ProxyError {
  const forms = targets.map(({ name, prefix }) => {
    if (isUri) return `scheme://${name}/…`
    return prefix === '' ? '…' : `${prefix}_…`
  })
  return new ProxyError('USAGE', `${JSON.stringify(exposed)} leads to no target`, {
    hint: `Write it as clients see it: ${forms.join(' or ')}.`,
  })
}
