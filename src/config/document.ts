import { isObject, type JsonObject } from '../util/json.js'
import { type Lines, pathId, readJson } from './read-json.js'
import { readYaml } from './read-yaml.js'

export interface Document {
  content: JsonObject
  lines: Lines
}

/**
 * Reads the text of a configuration file: YAML, or JSON, in which comments and trailing commas are
 * allowed. Never runs code and never reads another file. Duplicate members are refused, because
 * some programs take the first and some the last.
 *
 * @param name Path of the file, whose ending tells the format.
 * @param member The only member that is read; duplicates outside it are ignored.
 * @returns The document, or what is wrong with the text, and where.
 */
export function parseDocument(name: string, text: string, member?: string): Document | string {
  const plain = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text
  const isJson = name.endsWith('.json') || (!/\.ya?ml$/.test(name) && /^\s*(\{|\/[/*])/.test(plain))
  const found = isJson ? readJson(plain, member) : readYaml(plain)
  if (typeof found === 'string') return found
  const { content = {}, lines } = found
  return isObject(content) ? { content, lines } : 'it is not an object'
}

/** Finds the line of a member, or of the closest object around it that has one. */
export function lineOf(lines: Lines, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(pathId(path.slice(0, length)))
    if (line !== undefined) return line
  }
  return undefined
}
