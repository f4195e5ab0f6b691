import type { Principal } from '../../auth/principal.js'
import type { Edit } from '../../mcp/json-text.js'
import type { Message } from '../../mcp/message.js'
import {
  isObject,
  type JsonObject,
  objectMember,
  ownMember,
  stringMember,
  stringsMember,
} from '../../util/json.js'
import { foldName } from '../../util/text.js'
import type { ToolFacts } from '../rules/expression.js'
import type { Target } from '../target.js'
import type { Decision } from './policy.js'
import type { RelationRefusal } from './relations.js'
import { knownArguments } from './uri-readings.js'

const ALLOWED: Decision = { allowed: true }

/** Rules about tools decide on what the target lists: what it does not list may be any tool to it. */
const UNLISTED: Decision = {
  allowed: false,
  hidden: true,
  rule: 'rules: the target lists no such tool',
}

/** What stands for a tool where no rule looks at it. */
const ANY_TOOL: ToolFacts = { name: '', annotations: new Map() }

/** The member of a subscription's filter that names resources. */
export const SUBSCRIBED_URIS = 'resourceSubscriptions'

/**
 * Decides whether a caller's request may go to its target: by the policy of the tool, the prompt or the
 * resource that it names. Lists apply the same policies.
 *
 * @param own The target's own name or URI of it.
 */
export function judge(
  target: Target,
  message: Message,
  own: string | undefined,
  principal: Principal | undefined,
): Decision {
  const { method, params } = message
  if (own === undefined) {
    if (method !== 'subscriptions/listen') return ALLOWED
    const filter = objectMember(params, 'notifications') ?? {}
    return judgeSubscription(new Map([[target, filter]]), principal)
  }
  switch (method) {
    case 'tools/call':
      return judgeTool(target, message, own, principal)
    case 'prompts/get':
      return target.promptPolicy.decide(own, principal)
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
      return target.resourcePolicy.decide(own, principal)
    case 'completion/complete':
      return judgeReference(target, params, own, principal)
    default:
      return ALLOWED
  }
}

/**
 * Decides on a tool. The one to connect is ours, and the rules about single tools of the target are not
 * about it: without it, nobody could connect.
 */
function judgeTool(
  target: Target,
  message: Message,
  own: string,
  principal: Principal | undefined,
): Decision {
  const { policy, standIn } = target
  const decision = decideOnCall(target, message, own, principal)
  const isHidden = !decision.allowed && decision.hidden
  if (!isHidden || own !== standIn?.tool.name) return decision
  return policy.decideOurs(principal)
}

/** Decides by the policy, and by the rules where it does not hide the tool. */
function decideOnCall(
  target: Target,
  message: Message,
  own: string,
  principal: Principal | undefined,
): Decision {
  const { policy, rules } = target
  const decision = policy.decide(own, principal)
  if (rules === undefined || (!decision.allowed && decision.hidden)) return decision
  const tool = rules.needsTool ? target.knownTools?.find(target, own, principal) : ANY_TOOL
  if (tool === undefined) return UNLISTED
  return rules.decideCall(tool, principal, message) ?? decision
}

/** Decides on a tool that a target lists, as {@link judge} decides on its call without arguments. */
export function judgeListedTool(
  target: Target,
  entry: JsonObject,
  own: string,
  principal: Principal | undefined,
): Decision {
  const { policy, rules, knownTools } = target
  const tool = knownTools?.learn(target, entry, principal)
  const decision = policy.decide(own, principal)
  if (rules === undefined || (!decision.allowed && decision.hidden)) return decision
  return rules.decideListed(tool ?? ANY_TOOL, principal) ?? decision
}

/** Tells whether a call is for our tool to connect alone, and may never reach the target. */
export function isOursAlone(
  target: Target,
  message: Message,
  tool: string | undefined,
  principal: Principal | undefined,
): boolean {
  const { relations, standIn } = target
  if (standIn === undefined || tool !== standIn.tool.name) return false
  if (relations?.covers(tool) === true) return true
  return !decideOnCall(target, message, tool, principal).allowed
}

/** Checks the relations that a call needs; `undefined` at once where it needs none. */
export function askRelations(
  target: Target,
  tool: string | undefined,
  message: Message,
  principal: Principal | undefined,
): Promise<RelationRefusal | undefined> | undefined {
  if (target.relations === undefined || isOursAlone(target, message, tool, principal))
    return undefined
  return target.relations.check(tool ?? '', message, principal)
}

/** A target may read whichever member it likes, unless the reference's type says which one it is. */
function judgeReference(
  { promptPolicy, resourcePolicy }: Target,
  params: JsonObject,
  own: string,
  principal: Principal | undefined,
): Decision {
  const ref = objectMember(params, 'ref') ?? {}
  const type = ownMember(ref, 'type')
  const hasUri = stringMember(ref, 'uri') !== undefined
  const uri = hasUri ? own : undefined
  const name = hasUri ? stringMember(ref, 'name') : own
  const known = knownArguments(ownMember(params, 'context'))
  const decisions: Decision[] = []
  const asPrompt = (text: string) => decisions.push(promptPolicy.decide(text, principal))
  const asResource = (text: string) => {
    decisions.push(resourcePolicy.decideTemplate(text, principal, known))
  }
  if (uri !== undefined) {
    asResource(uri)
    if (type !== 'ref/resource') asPrompt(uri)
  }
  if (name !== undefined) {
    asPrompt(name)
    if (type !== 'ref/prompt') asResource(name)
  }
  const refused = decisions.filter((decision) => !decision.allowed)
  return refused.find((decision) => !decision.allowed && decision.hidden) ?? refused[0] ?? ALLOWED
}

/**
 * Decides on a subscription: resources that are hidden are left out of it, and one that lacks scopes
 * asks for them.
 *
 * @param filters What is requested of each target, in its own names.
 */
export function judgeSubscription(
  filters: ReadonlyMap<Target, JsonObject>,
  principal: Principal | undefined,
): Decision {
  let first: Decision | undefined
  const scopes = new Set<string>()
  for (const [{ resourcePolicy }, filter] of filters) {
    if (resourcePolicy.isOpen) continue
    for (const uri of stringsMember(filter, SUBSCRIBED_URIS)) {
      const decision = resourcePolicy.decide(uri, principal)
      if (decision.allowed || decision.hidden) continue
      first ??= { ...decision, missingScopes: [] }
      for (const scope of decision.missingScopes) scopes.add(scope)
    }
  }
  if (first === undefined || first.allowed || first.hidden) return ALLOWED
  return { ...first, missingScopes: [...scopes] }
}

/** Leaves out of a subscription's filter what the caller may not hear of, and what may be read as it. */
export function audible(
  { resourcePolicy }: Target,
  filter: JsonObject,
  principal: Principal | undefined,
): JsonObject {
  if (resourcePolicy.isOpen) return filter
  const folded = foldName(SUBSCRIBED_URIS)
  const others = Object.entries(filter).filter(([member]) => foldName(member) !== folded)
  const kept = Object.fromEntries(others)
  if (!(SUBSCRIBED_URIS in filter)) return kept
  const uris = stringsMember(filter, SUBSCRIBED_URIS)
  return {
    ...kept,
    [SUBSCRIBED_URIS]: uris.filter((uri) => resourcePolicy.decide(uri, principal).allowed),
  }
}

/**
 * Returns what is replaced in a request so that the target gets what was judged: the filter of a
 * subscription, and the values by which a completion is judged.
 */
export function judgedParts(
  target: Target,
  { method, params, spans }: Message,
  principal: Principal | undefined,
): Edit[] {
  if (target.resourcePolicy.isOpen) return []
  const write = (member: string, value: unknown): Edit[] => {
    const span = spans.get(member)
    return span === undefined ? [] : [{ ...span, text: JSON.stringify(value) }]
  }
  if (method === 'subscriptions/listen') {
    const wanted = ownMember(params, 'notifications')
    const filter = isObject(wanted) ? audible(target, wanted, principal) : {}
    return write('notifications', filter)
  }
  if (method !== 'completion/complete') return []
  const { name, value } = objectMember(params, 'argument') ?? {}
  const known = knownArguments(ownMember(params, 'context'))
  return [...write('argument', { name, value }), ...write('context', { arguments: known })]
}
