import { RE2JS } from '@bufbuild/re2'
import { type ASTNode, Environment } from '@marcbachmann/cel-js'
import { messageOf } from '../../util/errors.js'
import { isObject } from '../../util/json.js'
import { createPositions, type Position } from '../../util/text.js'

/** What an expression may be about. */
export type Variable = 'caller' | 'tool' | 'arguments' | 'target' | 'now'

/** A tool as expressions see it: always the same object for the same name and annotations. */
export class ToolFacts {
  /** The target's own. */
  readonly name: string
  /** As the target lists them; empty where it has none. */
  readonly annotations: FactMap

  constructor(name: string, annotations: FactMap) {
    this.name = name
    this.annotations = annotations
  }
}

/** A JSON object as an expression sees it: nothing of it can be taken for a prototype. */
export type FactMap = ReadonlyMap<string, unknown>

/** The values of the variables. */
export type Facts = Partial<Record<Variable, unknown>>

/** A CEL expression that was parsed and whose types were checked. */
export interface Expression {
  readonly mentions: ReadonlySet<Variable>
  /** It goes through a list or a map: its cost grows with what a caller sends. */
  readonly hasMacro: boolean
  /** Those that `&&` joins at its top; the expression itself where there is one. */
  readonly conjuncts: readonly Expression[]
  /** @throws {EvaluationError} When it cannot be evaluated, or is neither true nor false. */
  evaluate(facts: Facts): boolean
}

/** Why text is no expression, and where. */
export class ExpressionError extends Error {
  readonly at: Position

  constructor(message: string, at: Position) {
    super(message)
    this.at = at
  }
}

/** Why an expression has no value: never what a caller wrote. */
export class EvaluationError extends Error {
  readonly code: string

  constructor(code: string) {
    super(code)
    this.code = code
  }
}

const LIMITS = {
  maxAstNodes: 2_000,
  maxDepth: 64,
  maxListElements: 1_000,
  maxMapEntries: 100,
  maxCallArguments: 16,
}

const MAX_PATTERN = 1_000

/** How much text one evaluation matches against patterns, which takes time for each character. */
const MAX_MATCHED = 131_072

const VARIABLES: ReadonlySet<string> = new Set<Variable>([
  ...(['caller', 'tool', 'arguments', 'target', 'now'] as const),
])

/** The macros that go through a list or a map. */
const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter'])

/** Takes the place of `matches`, whose JavaScript engine goes back and forth for as long as the text likes. */
const SAFE_MATCHES = 'matchesLinearly'

/** What is left to match in the evaluation under way; evaluations do not interleave. */
let leftToMatch = 0

/** By pattern; patterns come from the configuration alone. */
const patterns = new Map<string, RE2JS>()

const environment = new Environment({ limits: LIMITS })
  .registerType('Tool', {
    ctor: ToolFacts,
    fields: { name: 'string', annotations: 'map<string, dyn>' },
  })
  .registerVariable('caller', 'map<string, dyn>')
  .registerVariable('tool', 'Tool')
  .registerVariable('arguments', 'map<string, dyn>')
  .registerVariable('target', 'string')
  .registerVariable('now', 'google.protobuf.Timestamp')
  .registerFunction(`string.${SAFE_MATCHES}(string): bool`, (text: string, pattern: string) => {
    leftToMatch -= text.length
    const compiled = patterns.get(pattern)
    if (leftToMatch < 0 || compiled === undefined) throw new EvaluationError('too_much_to_match')
    return compiled.test(text)
  })

/**
 * Parses an expression and checks its types: variables, fields of known types, functions, operators.
 *
 * @throws {ExpressionError}
 */
export function compileExpression(text: string): Expression {
  const positions = createPositions(text)
  const fail = (message: string, offset: number) => {
    throw new ExpressionError(message, positions(Math.min(offset, text.length)))
  }
  const { root } = prepare(text, fail)
  const joined = conjunctsOf(root).map(({ start, end }) => text.slice(start, end))
  const whole = compileOne(text, fail)
  // what could not stand alone is not taken apart
  const parts = joined.length > 1 ? joined.map(tryCompile) : []
  const isApart = parts.length > 0 && parts.every((part) => part !== undefined)
  return { ...whole, conjuncts: isApart ? (parts as Expression[]) : [whole] }
}

type Fail = (message: string, offset: number) => void

function tryCompile(text: string): Expression | undefined {
  try {
    return compileOne(text, (message) => {
      throw new Error(message)
    })
  } catch {
    return undefined
  }
}

function compileOne(text: string, fail: Fail): Expression {
  const { run, root, mentions, hasMacro } = prepare(text, fail)
  const { valid, type = '', error } = run.check()
  if (!valid) fail(summaryOf(error), offsetOf(error))
  if (type !== 'bool' && type !== 'dyn') {
    fail(`It gives a value of the type ${type}, and not true or false`, root.start)
  }
  const whole: Expression = {
    mentions,
    hasMacro,
    get conjuncts() {
      return [whole]
    },
    evaluate(facts) {
      leftToMatch = MAX_MATCHED
      const value = evaluate(run, facts)
      if (typeof value !== 'boolean') throw new EvaluationError('not_a_boolean')
      return value
    },
  }
  return whole
}

type Run = ReturnType<typeof environment.parse>

function evaluate(run: Run, facts: Facts): unknown {
  try {
    return run(facts)
  } catch (error) {
    // the message may hold what a caller sent
    const code = isObject(error) ? error['code'] : undefined
    throw new EvaluationError(typeof code === 'string' ? code : 'failed')
  }
}

interface Prepared {
  readonly run: Run
  readonly root: ASTNode
  readonly mentions: ReadonlySet<Variable>
  readonly hasMacro: boolean
}

/** Parses, and refuses what could cost more than it should. */
function prepare(text: string, fail: Fail): Prepared {
  let run: Run
  try {
    run = environment.parse(text)
  } catch (error) {
    fail(summaryOf(error), offsetOf(error))
    throw error
  }
  const mentions = new Set<Variable>()
  let hasMacro = false
  const walk = (node: unknown, isLooping: boolean): void => {
    if (Array.isArray(node)) return node.forEach((item) => void walk(item, isLooping))
    if (!isNode(node)) return
    if (node.op === 'id' && isVariable(node.args)) mentions.add(node.args)
    if (node.op !== 'rcall') return walk(node.args, isLooping)
    const [name, receiver, given] = node.args
    walk(receiver, isLooping)
    const [first, pattern] = [given[0], literalOf(given[0])]
    if (LOOPS.has(name)) {
      if (isLooping)
        fail(`A ${name}() within another macro is not allowed: it costs too much`, node.pos)
      hasMacro = true
    }
    if (LOOPS.has(name) || name === 'bind') {
      if (first?.op === 'id' && isVariable(first.args)) {
        fail(
          `"${first.args}" is the name of a variable already: give the macro's another one`,
          first.start,
        )
      }
    } else if (name === 'matches') {
      if (pattern === undefined) {
        fail('The pattern of matches() must be written in the rule', first?.start ?? node.pos)
      } else {
        const problem = learnPattern(pattern)
        if (problem !== undefined) fail(problem, first?.start ?? node.pos)
      }
      const args: unknown[] = node.args
      args[0] = SAFE_MATCHES
    } else if (name === SAFE_MATCHES) fail(`Unknown function: ${name}`, node.pos)
    walk(given, isLooping || LOOPS.has(name))
  }
  walk(run.ast, false)
  return { run, root: run.ast, mentions, hasMacro }
}

function learnPattern(pattern: string): string | undefined {
  if (pattern.length > MAX_PATTERN) return `The pattern is longer than ${MAX_PATTERN} characters`
  try {
    if (!patterns.has(pattern)) patterns.set(pattern, new RE2JS(pattern))
    return undefined
  } catch (error) {
    return `The pattern is no RE2 expression: ${messageOf(error)}`
  }
}

function conjunctsOf(node: ASTNode): readonly ASTNode[] {
  return node.op === '&&' ? node.args.flatMap(conjunctsOf) : [node]
}

function isNode(value: unknown): value is ASTNode {
  return isObject(value) && typeof value['op'] === 'string' && 'args' in value
}

function isVariable(name: unknown): name is Variable {
  return typeof name === 'string' && VARIABLES.has(name)
}

function literalOf(node: ASTNode | undefined): string | undefined {
  return node?.op === 'value' && typeof node.args === 'string' ? node.args : undefined
}

function summaryOf(error: unknown): string {
  const summary = isObject(error) ? error['summary'] : undefined
  return typeof summary === 'string' ? summary : messageOf(error)
}

function offsetOf(error: unknown): number {
  const range = isObject(error) ? error['range'] : undefined
  const start = isObject(range) ? range['start'] : undefined
  return typeof start === 'number' ? start : 0
}
