import type { Principal } from '../../auth/principal.js'
import type { Message } from '../../mcp/message.js'
import { endOfString, isDeeper, isObject } from '../../util/json.js'
import { foldName } from '../../util/text.js'
import { EvaluationError, type FactMap } from './expression.js'

const MAX_DEPTH = 32

const MAX_CHARS = 1_048_576

/** What macros may go through, so that no caller makes them take long. */
const MAX_LOOPED_CHARS = 16_384

const MAX_LOOPED_ITEMS = 1_000

const EMPTY: FactMap = new Map()

/** The arguments of a call, for rules. */
export interface CallArguments {
  readonly values: FactMap
  /** They are small enough for macros. */
  readonly isSmall: boolean
}

/**
 * Reads the arguments of a call for rules. What the target may read otherwise than we do has no value:
 * members that some readers take for the same one, and numbers that only some readers know exactly.
 *
 * @throws {EvaluationError}
 */
export function readArguments({
  params,
  spans,
  text,
}: Pick<Message, 'params' | 'spans' | 'text'>): CallArguments {
  const span = spans.get('arguments')
  const given = params['arguments']
  if (span === undefined || given === undefined || given === null) {
    return { values: EMPTY, isSmall: true }
  }
  const written = text.slice(span.start, span.end)
  if (!isObject(given)) throw new EvaluationError('arguments_not_an_object')
  if (written.length > MAX_CHARS) throw new EvaluationError('arguments_too_large')
  if (isDeeper(written, MAX_DEPTH)) throw new EvaluationError('arguments_too_deep')
  const counts = { members: 0, items: 0 }
  const values = toFacts(given, counts, true) as FactMap
  // of members that stand twice, the parser keeps one
  if (colonsOf(written) !== counts.members) throw new EvaluationError('arguments_ambiguous')
  const isSmall = written.length <= MAX_LOOPED_CHARS && counts.items <= MAX_LOOPED_ITEMS
  return { values, isSmall }
}

const callers = new WeakMap<Principal, FactMap>()

/**
 * The claims of a caller's token for rules; `roles`, `permissions` and `scopes` are always there, as the
 * other settings see them.
 */
export function callerFacts(principal: Principal | undefined): FactMap {
  const known = principal && callers.get(principal)
  if (known !== undefined) return known
  const claims = toFacts(principal?.claims ?? {}, { members: 0, items: 0 }, false) as FactMap
  const { roles = [], permissions = [], scopes = [] } = principal ?? {}
  const facts = new Map(claims)
    .set('roles', [...roles])
    .set('permissions', [...permissions])
    .set('scopes', [...scopes])
  if (principal !== undefined) callers.set(principal, facts)
  return facts
}

/** Makes a map of an object that a target or a token holds. */
export function mapOf(value: unknown): FactMap {
  return isObject(value) ? (toFacts(value, { members: 0, items: 0 }, false) as FactMap) : EMPTY
}

/** @param isStrict Throws for what others may read otherwise. */
function toFacts(
  value: unknown,
  counts: { members: number; items: number },
  isStrict: boolean,
  depth = MAX_DEPTH,
): unknown {
  if (typeof value === 'number' && isStrict && !isExact(value)) {
    throw new EvaluationError('arguments_number_not_exact')
  }
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    counts.items += value.length
    return depth > 0 ? value.map((item) => toFacts(item, counts, isStrict, depth - 1)) : []
  }
  const map = new Map<string, unknown>()
  const entries = Object.entries(value)
  counts.members += entries.length
  counts.items += entries.length
  if (isStrict && areAmbiguous(entries)) throw new EvaluationError('arguments_ambiguous')
  if (depth <= 0) return map
  for (const [name, item] of entries) map.set(name, toFacts(item, counts, isStrict, depth - 1))
  return map
}

function areAmbiguous(entries: readonly [string, unknown][]): boolean {
  if (entries.some(([name]) => name === '__proto__')) return true
  return new Set(entries.map(([name]) => foldName(name))).size < entries.length
}

/** Some readers have integers of 64 bits or more, where others have the nearest double. */
function isExact(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value))
}

/** Counts the members of a valid JSON text. */
function colonsOf(text: string): number {
  let colons = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x22) i = endOfString(text, i)
    else if (c === 0x3a) colons += 1
  }
  return colons
}
