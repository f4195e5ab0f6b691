import { isObject, type JsonObject, stringMember, stringsMember } from '../util/json.js'

/** One tool, as a person wants to see it. */
export interface ToolFinding {
  readonly name: string
  /** `search(query, limit?)`: what has to be given, and what may be. */
  readonly signature: string
  /** The tool says so itself; nobody has checked it. */
  readonly readOnly: boolean
}

/** Writes a tool as a function of its arguments. */
export function describeTool(tool: JsonObject): ToolFinding {
  const name = stringMember(tool, 'name') ?? ''
  const schema = isObject(tool['inputSchema']) ? tool['inputSchema'] : {}
  const properties = isObject(schema['properties']) ? Object.keys(schema['properties']) : []
  const required = new Set(stringsMember(schema, 'required'))
  // what is required comes first, as in most languages
  const given = [
    ...properties.filter((property) => required.has(property)),
    ...properties.filter((property) => !required.has(property)).map((property) => `${property}?`),
  ]
  const { annotations } = tool
  const readOnly = isObject(annotations) && annotations['readOnlyHint'] === true
  return { name, signature: `${name}(${given.join(', ')})`, readOnly }
}
