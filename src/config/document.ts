import { defaultLoaders } from 'cosmiconfig'
import { messageOf } from '../util/errors.js'
import { isObject, type JsonObject } from '../util/json.js'
import { type Lines, locateJson, locateYaml } from './locate.js'

export interface Document {
  content: JsonObject
  lines: Lines
}

/**
 * Reads the text of a configuration file: YAML, or JSON, in which comments and trailing commas are
 * allowed. Never runs code and never reads another file.
 *
 * @param name Path of the file, to tell its format by its ending.
 * @returns The document, or one sentence that says why the text is none.
 */
export function parseDocument(name: string, text: string): Document | string {
  const isJson = name.endsWith('.json') || (!/\.ya?ml$/.test(name) && /^\s*(\{|\/[/*])/.test(text))
  const plain = isJson ? toPlainJson(text) : text
  try {
    // Only these two loaders: cosmiconfig's explorer would run scripts of the working directory.
    const content = defaultLoaders[isJson ? '.json' : '.yaml'](name, plain) ?? {}
    if (!isObject(content)) return 'it holds no object'
    return { content, lines: isJson ? locateJson(plain) : locateYaml(plain) }
  } catch (error) {
    return reasonOf(error)
  }
}

/** Blanks out comments and trailing commas, so that every line and column stays what it was. */
export function toPlainJson(text: string): string {
  const blank = (part: string) => part.replace(/[^\n]/g, ' ')
  const noComments = text
    .replace(/^\uFEFF/, ' ')
    .replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (part) =>
      part.startsWith('"') ? part : blank(part),
    )
  return noComments.replace(/"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])/g, (part) =>
    part.startsWith('"') ? part : ' ',
  )
}

/** Takes the first line that says something; the loaders put the file's name before it. */
function reasonOf(error: unknown): string {
  const lines = messageOf(error).split('\n')
  const first = lines[0]?.includes(' Error in ') ? lines[1] : lines[0]
  return (first ?? '').trim() || 'it cannot be read'
}
