import { isObject, type JsonObject, ownMember } from '../../util/json.js'
import { percentEncode } from '../../util/text.js'

interface Operator {
  /** What stands before the values of an expression. */
  readonly first: string
  readonly between: string
  readonly isNamed?: boolean
  /** Nothing is escaped. */
  readonly isRaw?: boolean
}

const SIMPLE: Operator = { first: '', between: ',' }

const OPERATORS: Readonly<Record<string, Operator>> = {
  '+': { first: '', between: ',', isRaw: true },
  '#': { first: '#', between: ',', isRaw: true },
  '.': { first: '.', between: '.' },
  '/': { first: '/', between: '/' },
  ';': { first: ';', between: ';', isNamed: true },
  '?': { first: '?', between: '&', isNamed: true },
  '&': { first: '&', between: '&', isNamed: true },
}

/** A template as a glob: `*` stands for all that is not known. */
export interface TemplateGlob {
  readonly glob: string
  /** Everything is known: it is a URI. */
  readonly isWhole: boolean
}

/**
 * Writes known values into a URI template.
 *
 * @see [RFC 6570](https://www.rfc-editor.org/rfc/rfc6570)
 */
export function globOfTemplate(template: string, known: JsonObject = {}): TemplateGlob {
  let glob = ''
  let isWhole = true
  let at = 0
  for (;;) {
    const start = template.indexOf('{', at)
    if (start < 0) return { glob: glob + template.slice(at), isWhole }
    const end = template.indexOf('}', start)
    const expression = end < 0 ? undefined : expand(template.slice(start + 1, end), known)
    if (expression === undefined) isWhole = false
    glob += template.slice(at, start) + (expression ?? '*')
    if (end < 0) return { glob, isWhole }
    at = end + 1
  }
}

/** @returns `undefined` when a value is not known, or would not be written whole. */
function expand(expression: string, known: JsonObject): string | undefined {
  const sign = expression.charAt(0)
  const operator = ownMember(OPERATORS, sign)
  const { first, between, isNamed, isRaw } = operator ?? SIMPLE
  const written: string[] = []
  for (const name of expression.slice(operator === undefined ? 0 : 1).split(',')) {
    const value = ownMember(known, name)
    if (typeof value !== 'string') return undefined
    const text = isRaw ? value : percentEncode(value)
    written.push(isNamed ? `${name}=${text}` : text)
  }
  return first + written.join(between)
}

/** The values that a completion says to be known already. */
export function knownArguments(context: unknown): JsonObject {
  const given = isObject(context) ? ownMember(context, 'arguments') : undefined
  if (!isObject(given)) return {}
  return Object.fromEntries(Object.entries(given).filter(([, value]) => typeof value === 'string'))
}
