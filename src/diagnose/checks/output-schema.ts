import { Ajv, type ErrorObject } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { messageOf } from '../../util/errors.js'
import { type JsonObject, jsonPath, ownMember, stringMember } from '../../util/json.js'

/** A problem of a tool's result, or of its schema. */
export interface OutputProblem {
  readonly of: 'schema' | 'result'
  readonly text: string
}

const OPTIONS = {
  strict: false,
  validateSchema: false,
  validateFormats: false,
  logger: false,
} as const

/**
 * Checks structured content against the tool's own schema: JSON Schema 2020-12, or draft-07 where the
 * schema says so. Formats are not enforced, as in both drafts.
 *
 * @see [MCP 2025-11-25, output schema](https://modelcontextprotocol.io/specification/2025-11-25/server/tools#output-schema)
 */
export function outputProblem(schema: JsonObject, content: unknown): OutputProblem | undefined {
  const isOlder = /json-schema\.org\/draft-0[467]\//.test(stringMember(schema, '$schema') ?? '')
  const ajv = isOlder ? new Ajv(OPTIONS) : new Ajv2020(OPTIONS)
  try {
    const validate = ajv.compile(schema)
    if (validate(content)) return undefined
    const [error] = validate.errors ?? []
    return { of: 'result', text: error === undefined ? 'does not fit' : describe(error, content) }
  } catch (error) {
    return { of: 'schema', text: messageOf(error) }
  }
}

function describe({ instancePath, params, message = 'is wrong' }: ErrorObject, content: unknown) {
  const path: PropertyKey[] = ['result', 'structuredContent']
  let place = content
  for (const part of instancePath.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
    path.push(Array.isArray(place) ? Number(key) : key)
    place = ownMember(place as JsonObject, key)
  }
  const extra: unknown = params['additionalProperty'] ?? params['unevaluatedProperty']
  const named = typeof extra === 'string' ? ` (${JSON.stringify(extra)})` : ''
  return `${jsonPath(path)} ${message}${named}`
}
