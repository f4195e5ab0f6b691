import type { Principal } from '../../auth/principal.js'
import type { Message } from '../../mcp/message.js'
import type { Clock } from '../../util/runtime.js'
import type { Decision } from '../routing/policy.js'
import { EvaluationError, type Expression, type Facts, ToolFacts } from './expression.js'
import { type CallArguments, callerFacts, readArguments } from './facts.js'

/** A rule as the configuration has it. */
export interface RuleSettings {
  /** A CEL expression. */
  readonly when: string
  /** What a caller is told to whom it applies. */
  readonly deny: string
}

/** Which calls of a target's tools are denied, beyond what lists of names and roles can say. */
export interface Rules {
  /** A rule is about the tool, which has to be known before a call is decided on. */
  readonly needsTool: boolean
  /** A rule is about arguments, which headers of a call may repeat. */
  readonly needsArguments: boolean
  readonly dependsOnCaller: boolean
  /** Decides on a tool in a list: by all rules but those about arguments. `undefined` denies nothing. */
  decideListed(tool: ToolFacts, principal: Principal | undefined): Decision | undefined
  /** Decides on a call, by the rules of the list and those about arguments. */
  decideCall(
    tool: ToolFacts,
    principal: Principal | undefined,
    message: Pick<Message, 'params' | 'spans' | 'text'>,
  ): Decision | undefined
  /** Names the rules about arguments that may still deny a call of a tool which a list shows. */
  namesOfLater(tool: ToolFacts, principal: Principal | undefined): string[]
  /** Decides on what is ours: by those rules that are about the caller alone. */
  decideOurs(principal: Principal | undefined): Decision | undefined
}

export interface CompiledRule extends RuleSettings {
  readonly expression: Expression
}

export interface RulesOptions {
  readonly target: string
  readonly clock: Pick<Clock, 'now'>
  /** Learns that a rule could not be evaluated, and why. */
  onFailure?(rule: string, code: string): void
}

interface Rule {
  readonly index: number
  readonly name: string
  readonly expression: Expression
  /** What of it is false rules it out, whatever the rest is. */
  readonly aboutTool: readonly Expression[]
  readonly aboutCaller: readonly Expression[]
  readonly isAboutArguments: boolean
  readonly isTimely: boolean
  readonly refusal: Decision
  readonly failure: Decision
}

/** What is known of a caller and a tool without time and arguments. */
interface Prepared {
  readonly refusal: Decision | undefined
  /** The rules that remain to be evaluated for each list, and for each call. */
  readonly timely: readonly Rule[]
  readonly later: readonly Rule[]
}

/** Stands for every tool where no rule is about the tool. */
const ANY_TOOL = new ToolFacts('', new Map())

/** Stands for callers without a principal. */
const NOBODY = {}

/**
 * Creates the rules of a target. What depends on the tool alone is evaluated once per tool, what depends on the
 * caller once a caller, and of a call only what time and arguments may change.
 */
export function createRules(
  compiled: readonly CompiledRule[],
  { target, clock, onFailure }: RulesOptions,
): Rules {
  const rules = compiled.map(toRule)
  const needsTool = compiled.some(({ expression }) => expression.mentions.has('tool'))
  const onlyCaller = rules.filter(
    ({ expression, isAboutArguments }) => !isAboutArguments && !expression.mentions.has('tool'),
  )
  const byTool = new WeakMap<ToolFacts, readonly Rule[]>()
  const byCaller = new WeakMap<object, WeakMap<ToolFacts, Prepared>>()
  const callerPart = new WeakMap<object, Map<number, boolean>>()
  /** One object for all evaluations, which do not interleave. */
  const facts: Facts = {
    ...{ target, caller: new Map(), tool: ANY_TOOL, arguments: new Map(), now: new Date(0) },
  }

  /** The rules that are not ruled out by the tool alone. */
  function candidatesOf(tool: ToolFacts): readonly Rule[] {
    let found = byTool.get(tool)
    if (found === undefined) {
      facts.tool = tool
      found = rules.filter(({ aboutTool }) => !aboutTool.some(isFalse))
      byTool.set(tool, found)
    }
    return found
  }

  function isFalse(part: Expression): boolean {
    try {
      return !part.evaluate(facts)
    } catch {
      return false
    }
  }

  function mayBeAbout({ index, aboutCaller }: Rule, parts: Map<number, boolean>): boolean {
    if (aboutCaller.length === 0) return true
    let may = parts.get(index)
    if (may === undefined) {
      may = !aboutCaller.some(isFalse)
      parts.set(index, may)
    }
    return may
  }

  function prepare(tool: ToolFacts, principal: Principal | undefined): Prepared {
    const who = principal ?? NOBODY
    let tools = byCaller.get(who)
    if (tools === undefined) {
      tools = new WeakMap()
      byCaller.set(who, tools)
      callerPart.set(who, new Map())
    }
    let prepared = tools.get(tool)
    if (prepared === undefined) {
      const candidates = candidatesOf(tool)
      facts.tool = tool
      facts.caller = callerFacts(principal)
      const parts = callerPart.get(who) ?? new Map<number, boolean>()
      const open = candidates.filter((rule) => mayBeAbout(rule, parts))
      const settled = open.filter((rule) => !rule.isAboutArguments && !rule.isTimely)
      const later = open.filter((rule) => rule.isAboutArguments || rule.isTimely)
      const timely = later.filter((rule) => !rule.isAboutArguments)
      prepared = { refusal: first(settled), timely, later }
      tools.set(tool, prepared)
    }
    return prepared
  }

  /** The first rule that denies, or that cannot be evaluated. */
  function first(among: readonly Rule[], args?: () => CallArguments): Decision | undefined {
    for (const rule of among) {
      try {
        if (rule.isAboutArguments) facts.arguments = argumentsFor(rule, args)
        if (rule.expression.evaluate(facts)) return rule.refusal
      } catch (error) {
        onFailure?.(rule.name, error instanceof EvaluationError ? error.code : 'failed')
        return rule.failure
      } finally {
        facts.arguments = undefined
      }
    }
    return undefined
  }

  function decide(
    among: readonly Rule[],
    tool: ToolFacts,
    principal: Principal | undefined,
    args?: () => CallArguments,
  ): Decision | undefined {
    if (among.length === 0) return undefined
    facts.tool = tool
    facts.caller = callerFacts(principal)
    facts.now = new Date(clock.now())
    return first(among, args)
  }

  const seen = (tool: ToolFacts) => (needsTool ? tool : ANY_TOOL)
  return {
    needsTool,
    needsArguments: rules.some(({ isAboutArguments }) => isAboutArguments),
    dependsOnCaller: rules.some(({ expression: { mentions } }) => {
      return mentions.has('caller') || mentions.has('now')
    }),
    decideListed(tool, principal) {
      const { refusal, timely } = prepare(seen(tool), principal)
      return refusal ?? decide(timely, tool, principal)
    },
    decideCall(tool, principal, message) {
      const { refusal, later } = prepare(seen(tool), principal)
      return (
        refusal ??
        decide(
          later,
          tool,
          principal,
          once(() => readArguments(message)),
        )
      )
    },
    namesOfLater(tool, principal) {
      const { later } = prepare(seen(tool), principal)
      return later.filter((rule) => rule.isAboutArguments).map(({ name }) => name)
    },
    decideOurs: (principal) => decide(onlyCaller, ANY_TOOL, principal),
  }
}

function argumentsFor({ expression }: Rule, args: (() => CallArguments) | undefined) {
  const { values, isSmall } = args?.() ?? { values: new Map(), isSmall: true }
  if (expression.hasMacro && !isSmall) throw new EvaluationError('arguments_too_large')
  return values
}

function once<T>(read: () => T): () => T {
  let value: { of: T } | undefined
  return () => {
    value ??= { of: read() }
    return value.of
  }
}

function toRule({ expression, deny }: CompiledRule, index: number): Rule {
  const { conjuncts, mentions } = expression
  const about = (variable: 'tool' | 'caller') =>
    conjuncts.filter((part) => {
      return [...part.mentions].every((name) => name === variable || name === 'target')
    })
  const name = `rules[${index}]`
  const refused = { allowed: false, hidden: true, rule: name, reason: deny } as const
  return {
    index,
    name,
    expression,
    aboutTool: about('tool'),
    aboutCaller: about('caller'),
    isAboutArguments: mentions.has('arguments'),
    isTimely: mentions.has('now'),
    refusal: refused,
    failure: { ...refused, rule: `${name} could not be evaluated` },
  }
}
