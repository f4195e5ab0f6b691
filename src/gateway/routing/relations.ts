import type { Relation, RelationCheck } from '../../auth/descope/relations.js'
import type { Principal } from '../../auth/principal.js'
import { membersAt } from '../../mcp/json-text.js'
import type { Message } from '../../mcp/message.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import { ownMember } from '../../util/json.js'
import { TEMPLATE_PART } from '../../util/relation-template.js'
import { createGlobMatcher, foldName } from '../../util/text.js'

/** Glob over tools → templates of the relation that a call needs. */
export type RelationRules = Readonly<Record<string, Relation>>

/** Why a call may not go on. */
export interface RelationRefusal {
  readonly rule: string
  /** For the client. */
  readonly text: string
  /** Descope gave no answer, so that nobody knows. */
  readonly isFailure: boolean
}

/** The rules of a target about relations. */
export interface RelationGuard {
  /** Tells whether a rule is about a tool. */
  covers(tool: string): boolean
  /** Checks whether a call may go on; `undefined` at once where no rule is about the tool. */
  check(
    tool: string,
    message: Message,
    principal: Principal | undefined,
  ): Promise<RelationRefusal | undefined> | undefined
}

/** Longest value that is put into a template. */
const MAX_VALUE = 256

/** Prepares the rules of a target for the names of its tools. */
function compileRules(rules: RelationRules | undefined) {
  return Object.entries(rules ?? {}).map(([pattern, templates]) => ({
    rule: `tools.fga ${JSON.stringify(pattern)}`,
    // restricts, so that it holds for all names that fold to the same
    matches: createGlobMatcher([foldName(pattern)]),
    templates,
  }))
}

/** Names the rules about a tool. */
export function relationRulesOf(rules: RelationRules | undefined, tool: string): string[] {
  const folded = foldName(tool)
  return compileRules(rules)
    .filter(({ matches }) => matches(folded))
    .map(({ rule }) => rule)
}

/** Creates the guard of a target; `undefined` without rules. Without `check`, what has a rule is refused. */
export function createRelationGuard(
  target: string,
  rules: RelationRules | undefined,
  check: RelationCheck | undefined,
): RelationGuard | undefined {
  const all = compileRules(rules)
  if (all.length === 0) return undefined
  const about = (tool: string) => {
    const folded = foldName(tool)
    return all.filter(({ matches }) => matches(folded))
  }
  return {
    covers: (tool) => about(tool).length > 0,
    check(tool, message, principal) {
      const met = about(tool)
      return met.length === 0 ? undefined : decide(met, { target, tool, message, principal })
    },
  }

  async function decide(met: typeof all, call: Call): Promise<RelationRefusal | undefined> {
    for (const { rule, templates } of met) {
      const { principal } = call
      const relation = fill(templates, call)
      if (principal === undefined || relation === undefined) {
        const text = `Not allowed: the call does not say clearly which resource it is about (${rule})`
        return { rule, text, isFailure: false }
      }
      if (check === undefined) {
        const text =
          'Not allowed: relations are checked by `serve` only, with descope.managementKey'
        return { rule, text, isFailure: true }
      }
      try {
        if ((await check(relation, principal)) === true) continue
      } catch (error) {
        const hint = error instanceof ProxyError && error.hint ? `. ${error.hint}` : ''
        return { rule, text: `Not allowed: ${messageOf(error)}${hint}`, isFailure: true }
      }
      return { rule, text: 'Not allowed for this resource', isFailure: false }
    }
    return undefined
  }
}

interface Call {
  readonly target: string
  readonly tool: string
  readonly message: Message
  readonly principal: Principal | undefined
}

function fill(templates: Relation, call: Call): Relation | undefined {
  const resourceType = fillOne(templates.resourceType, call)
  const resource = fillOne(templates.resource, call)
  const relation = fillOne(templates.relation, call)
  if (!resourceType || !resource || !relation) return undefined
  return { resourceType, resource, relation }
}

/**
 * Fills a template. A value that another one follows may not hold the character behind it: else two
 * resources could have one name, as `a:b` and `c` have with `a` and `b:c` in `{x}:{y}`.
 */
function fillOne(template: string, call: Call): string | undefined {
  let isWhole = true
  const text = template.replace(TEMPLATE_PART, (all, part: string, at: number) => {
    const value = partValue(part, call)
    const isFit = value !== undefined && value !== '' && value.length <= MAX_VALUE
    const rest = template.slice(at + all.length)
    const end = rest.search(TEMPLATE_PART) < 0 ? undefined : rest.charAt(0)
    const isClear = isFit && (end === undefined || !value.includes(end))
    if (!isClear || /\p{Surrogate}/u.test(value)) isWhole = false
    return value ?? ''
  })
  return isWhole ? text : undefined
}

function partValue(part: string, { target, tool, message, principal }: Call): string | undefined {
  if (part === 'target') return target
  if (part === 'tool') return tool
  if (part === 'tenant') return principal?.tenant
  if (part === 'claims.sub') return principal?.subject
  if (part === 'claims.client_id') return principal?.clientId
  if (part.startsWith('claims.')) {
    const claim = ownMember(principal?.claims ?? {}, part.slice('claims.'.length))
    return typeof claim === 'string' ? claim : undefined
  }
  return argumentOf(message, part.split('.').slice(1))
}

/**
 * Reads an argument from the text that is sent. Where a lenient target could read another member, by a
 * name that stands twice or differs in case only, there is none.
 */
function argumentOf({ text, spans }: Message, path: readonly string[]): string | undefined {
  let at = spans.get('arguments')
  for (const name of path) {
    if (at === undefined) return undefined
    const folded = foldName(name)
    const [member, ...others] = membersAt(text, at.start).filter(
      ({ key }) => foldName(key) === folded,
    )
    if (member?.key !== name || others.length > 0) return undefined
    at = member
  }
  if (at === undefined) return undefined
  const written = text.slice(at.start, at.end)
  const isScalar = !/^[{[]/.test(written)
  const value: unknown = isScalar ? JSON.parse(written) : undefined
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return written
  // 1.0, 1e2 and numbers beyond 2^53 are read differently by different targets
  return Number.isSafeInteger(value) && String(value) === written ? written : undefined
}
