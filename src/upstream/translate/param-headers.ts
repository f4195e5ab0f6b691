import { encodeHeaderValue } from '../../mcp/headers.js'
import { isObject, type JsonObject, ownMember, stringMember } from '../../util/json.js'

/** An argument that a tool wants clients to repeat in a header. */
export interface MirroredParam {
  /** The whole name, such as `mcp-param-region`. */
  readonly header: string
  /** The members that lead to it from the arguments. */
  readonly path: readonly string[]
}

/** The arguments that a tool wants repeated, or why its annotations are not valid. */
export type ParamScan =
  | { valid: true; params: readonly MirroredParam[] }
  | { valid: false; reason: string }

const ANNOTATION = 'x-mcp-header'

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const TYPES: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean'])

/** Keywords that hold values and no schemas. */
const VALUES = new Set(['const', 'default', 'enum', 'example', 'examples', ANNOTATION])

/** Keywords that hold schemas by names of their own. */
const MAPS = new Set([
  'properties',
  'patternProperties',
  'dependentSchemas',
  '$defs',
  'definitions',
])

/** Deeper schemas are refused, so that the recursion has a limit. */
const MAX_DEPTH = 128

/**
 * Finds the arguments that a tool wants repeated in `Mcp-Param-*`.
 *
 * @see [MCP 2026-07-28, schema extension](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#schema-extension)
 */
export function scanParams(inputSchema: unknown): ParamScan {
  const params: MirroredParam[] = []
  try {
    collect(inputSchema, { path: [], reachable: true, depth: 0 }, params)
  } catch (error) {
    if (error instanceof InvalidAnnotation) return { valid: false, reason: error.message }
    throw error
  }
  return { valid: true, params }
}

class InvalidAnnotation extends Error {}

interface Place {
  /** Where the schema applies. */
  readonly path: readonly string[]
  /** Nothing but `properties` leads there. */
  readonly reachable: boolean
  readonly depth: number
}

function collect(schema: unknown, place: Place, params: MirroredParam[]): void {
  const { path, reachable } = place
  const depth = place.depth + 1
  if (depth > MAX_DEPTH) throw new InvalidAnnotation(`its schema is deeper than ${MAX_DEPTH}`)
  if (Array.isArray(schema)) {
    for (const item of schema) collect(item, { path, reachable: false, depth }, params)
    return
  }
  if (!isObject(schema)) return
  if (ANNOTATION in schema) params.push(readAnnotation(schema, path, reachable, params))
  for (const [keyword, value] of Object.entries(schema)) {
    if (VALUES.has(keyword)) continue
    if (!MAPS.has(keyword) || !isObject(value)) {
      collect(value, { path, reachable: false, depth }, params)
    } else {
      const goesOn = reachable && keyword === 'properties'
      for (const [name, inner] of Object.entries(value)) {
        collect(inner, { path: [...path, name], reachable: goesOn, depth }, params)
      }
    }
  }
}

function readAnnotation(
  schema: JsonObject,
  path: readonly string[],
  reachable: boolean,
  params: readonly MirroredParam[],
): MirroredParam {
  const refuse = (reason: string) => {
    throw new InvalidAnnotation(`${ANNOTATION} at ${path.join('.') || 'the top'} ${reason}`)
  }
  if (!reachable || path.length === 0) refuse('stands where no plain property is')
  const name = stringMember(schema, ANNOTATION) ?? ''
  if (!TOKEN.test(name)) refuse('is no name for a header')
  if (!TYPES.has(schema['type'])) refuse('is on something else than a string, integer or boolean')
  const header = `mcp-param-${name.toLowerCase()}`
  if (params.some((other) => other.header === header)) refuse('has a name that stands there twice')
  return { header, path }
}

/** Makes the headers for a call's arguments, names and values in turn. */
export function paramHeaders(params: readonly MirroredParam[], args: unknown): string[] {
  const headers: string[] = []
  for (const { header, path } of params) {
    const text = asText(valueAt(args, path))
    if (text !== undefined) headers.push(header, encodeHeaderValue(text))
  }
  return headers
}

function valueAt(from: unknown, path: readonly string[]): unknown {
  let value = from
  for (const key of path) {
    if (!isObject(value)) return undefined
    value = ownMember(value, key)
  }
  return value
}

/** Integers beyond the safe range may not be sent, and nothing else can be. */
function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return String(value)
  return undefined
}
