import { z } from 'zod'
import { isObject, type JsonObject, ownMember, setMember } from '../util/json.js'
import { SETTING_KINDS } from './kinds.js'
import { PARSERS } from './parsers.js'
import { SETTINGS } from './settings.js'
import { LOOKUPS, type Setting } from './table.js'

const REFERENCE = { $ref: '#/$defs/reference' }

/** Makes the JSON Schema of the configuration file, which ships in the package for editors. */
export function configJsonSchema(): JsonObject {
  const properties = propertiesOf()
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of mcp-descope-proxy',
    type: 'object',
    properties: {
      $schema: { type: 'string' },
      ...properties,
      profiles: {
        type: 'object',
        description: 'Settings to lay over these, chosen by --profile or MCP_DESCOPE_PROFILE.',
        additionalProperties: { $ref: '#/$defs/profile' },
      },
    },
    additionalProperties: false,
    $defs: {
      reference: {
        type: 'string',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
        description: 'An environment variable: ${NAME} or ${NAME:-default}.',
        pattern: '\\$\\{[A-Za-z_]\\w*(:-[^}]*)?\\}',
      },
      profile: {
        type: 'object',
        properties: Object.fromEntries(
          Object.keys(properties).map((name) => [name, { $ref: `#/properties/${name}` }]),
        ),
        additionalProperties: false,
      },
    },
  }
}

/** Nests the rows of the table: a `*` becomes `additionalProperties`. */
function propertiesOf(): JsonObject {
  const root: JsonObject = { type: 'object', properties: {} }
  for (const row of SETTINGS) {
    const path = row.key.split('.')
    let here = root
    for (const [index, member] of path.entries()) {
      const isLast = index === path.length - 1
      here = child(here, member, () =>
        isLast ? leaf(row) : { type: 'object', properties: {}, additionalProperties: false },
      )
    }
  }
  return root['properties'] as JsonObject
}

function child(parent: JsonObject, member: string, make: () => JsonObject): JsonObject {
  const [place, name] =
    member === '*' ? [parent, 'additionalProperties'] : [parent['properties'] as JsonObject, member]
  if (member === '*') {
    delete parent['properties']
    parent['propertyNames'] = { pattern: '^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$' }
  }
  const known = ownMember(place, name)
  if (isObject(known)) return known
  const made = make()
  setMember(place, name, made)
  return made
}

function leaf(row: Setting): JsonObject {
  const unit = row.unit ? ` In ${row.unit}.` : ''
  const takes = row.secret ? ` Takes ${SETTING_KINDS[row.kind].expects}; never in plain text.` : ''
  const byDefault = row.default === undefined ? {} : { default: row.default }
  return { description: `${row.help}${unit}${takes}`, ...byDefault, ...shapeOf(row) }
}

function shapeOf(row: Setting): JsonObject {
  if (row.kind === 'sessionSecrets' || row.kind === 'identityKeys')
    return { type: 'array', items: { type: 'string' } }
  if (row.secret) return { type: 'string' }
  const { $schema: _, ...schema } = z.toJSONSchema(PARSERS[row.kind], { target: 'draft-7' })
  return withReferences(schema)
}

/** Allows a reference wherever a value is not free text already. */
function withReferences(schema: JsonObject): JsonObject {
  const { items, additionalProperties } = schema
  if (isObject(items)) return { ...schema, items: withReferences(items) }
  if (isObject(additionalProperties)) {
    return { ...schema, additionalProperties: withReferences(additionalProperties) }
  }
  const isFree = schema['type'] === 'string' && !('pattern' in schema) && !('enum' in schema)
  return isFree ? schema : { anyOf: [schema, REFERENCE] }
}

/** Renders the table of all settings in Markdown, as the README shows it. */
export function renderSettingsTable(): string {
  const lookups = LOOKUPS.map(({ flag, env, help }) => ['', code(flag), code(env), '', help])
  const settings = SETTINGS.map((row) => [
    code(row.key.replace('*', '<name>')),
    row.flag ? code(row.flag) : '',
    row.env.map(code).join(' '),
    defaultOf(row),
    row.help,
  ])
  const head = ['Setting', 'Flag', 'Environment', 'Default', 'Meaning']
  return [head, head.map(() => '---'), ...lookups, ...settings]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}

const code = (text: string) => `\`${text}\``

function defaultOf(row: Setting): string {
  const { default: value, unit } = row
  if (value === undefined) return row.secret ? 'none; secret' : ''
  if (typeof value === 'object') {
    return Object.values(value as object).length === 0 ? '' : code(JSON.stringify(value))
  }
  return `${code(String(value))}${unit ? ` ${unit}` : ''}`
}
