import { isObject, type JsonObject } from '../util/json.js'
import { type Lines, pathId, readJson } from './read-json.js'
import { readYaml } from './read-yaml.js'

export interface Document {
  content: JsonObject
  lines: Lines
}

/**
 * Reads the text of a configuration file: YAML, or JSON, in which comments and trailing commas are
 * allowed. Never runs code and never reads another file. What programs take differently is refused:
 * of a member that stands twice, some take the first and some the last.
 *
 * @param name Path of the file, to tell its format by its ending.
 * @param member The one member of the file that is ours; what else stands there may stand twice.
 * @returns The document, or why the text is none, and where.
 */
export function parseDocument(name: string, text: string, member?: string): Document | string {
  const plain = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text
  const isJson = name.endsWith('.json') || (!/\.ya?ml$/.test(name) && /^\s*(\{|\/[/*])/.test(plain))
  const found = isJson ? readJson(plain, member) : readYaml(plain)
  if (typeof found === 'string') return found
  const { content = {}, lines } = found
  return isObject(content) ? { content, lines } : 'it holds no object'
}

/** Finds the line of a member, or of the nearest thing around it that is known. */
export function lineOf(lines: Lines, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(pathId(path.slice(0, length)))
    if (line !== undefined) return line
  }
  return undefined
}
