import type { Logger } from '../../util/logger.js'
import type { Clock } from '../../util/runtime.js'
import { createKnownTools, type KnownTools, type MakeTool } from './known-tools.js'
import type { CompiledRule, RuleSettings, Rules } from './rules.js'

/** The rules of one target, and where the configuration has them. */
export interface RulesOfTarget {
  readonly name: string
  readonly rules?: { readonly from: string; readonly list: readonly RuleSettings[] } | undefined
}

/** What a target needs to decide by rules. */
export interface CompiledRules {
  readonly rules: Rules
  readonly makeTool: MakeTool
  /** Present where a rule is about tools. */
  readonly knownTools: KnownTools | undefined
}

/** How often the log is told that a rule cannot be evaluated, milliseconds. */
const TELL_AGAIN_MS = 60_000

/**
 * Compiles the rules of all targets. What reads CEL is loaded only where there are rules.
 *
 * @returns The rules by the name of their target, and what is wrong with them.
 */
export async function compileRules(
  targets: readonly RulesOfTarget[],
  { clock, logger }: { clock: Pick<Clock, 'now'>; logger?: Pick<Logger, 'warn'> },
): Promise<{ rules: ReadonlyMap<string, CompiledRules>; problems: readonly string[] }> {
  const problems: string[] = []
  const rules = new Map<string, CompiledRules>()
  const ruled = targets.filter((target) => (target.rules?.list.length ?? 0) > 0)
  if (ruled.length === 0) return { rules, problems }
  const [{ compileExpression, ExpressionError, ToolFacts }, { createRules }, { mapOf }] =
    await Promise.all([import('./expression.js'), import('./rules.js'), import('./facts.js')])
  const makeTool = (name: string, annotations: unknown) => new ToolFacts(name, mapOf(annotations))
  for (const { name, rules: given } of ruled) {
    const compiled: CompiledRule[] = []
    for (const [index, { when, deny }] of (given?.list ?? []).entries()) {
      try {
        compiled.push({ when, deny, expression: compileExpression(when) })
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error
        const { line, column } = error.at
        const place = `targets.${name}.rules[${index}].when, line ${line}, column ${column}`
        problems.push(
          `${place}: ${error.message} (${given?.from}) — write a CEL expression over caller, tool, arguments, target and now that is true for what is denied`,
        )
      }
    }
    const toldAt = new Map<string, number>()
    const onFailure = (rule: string, code: string) => {
      const key = `${rule} ${code}`
      if (clock.now() - (toldAt.get(key) ?? Number.NEGATIVE_INFINITY) < TELL_AGAIN_MS) return
      toldAt.set(key, clock.now())
      const text = `${rule} of target "${name}" could not be evaluated (${code}), and denies`
      logger?.warn('rule_failed', text, { target: name, rule, code })
    }
    const made = createRules(compiled, { target: name, clock, onFailure })
    const knownTools = made.needsTool ? createKnownTools(makeTool, clock) : undefined
    rules.set(name, { rules: made, knownTools, makeTool })
  }
  return { rules, problems }
}
