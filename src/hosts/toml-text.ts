import type { JsonObject } from '../util/json.js'

/** Writes one table of TOML, with a line break after each line. */
export function tomlTable(path: readonly string[], table: JsonObject, lineBreak = '\n'): string {
  const lines = Object.entries(table).map(([key, value]) => `${tomlKey(key)} = ${tomlValue(value)}`)
  return [`[${path.map(tomlKey).join('.')}]`, ...lines, ''].join(lineBreak)
}

function tomlKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : tomlString(key)
}

function tomlValue(value: unknown): string {
  if (typeof value === 'string') return tomlString(value)
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`
  const members = Object.entries(value as JsonObject)
  return `{ ${members.map(([key, inner]) => `${tomlKey(key)} = ${tomlValue(inner)}`).join(', ')} }`
}

/** Every escape of JSON is one of TOML; only U+007F stands bare in JSON and must not in TOML. */
const tomlString = (text: string) => JSON.stringify(text).replaceAll('\u007f', '\\u007f')
