import { isAbsolute, resolve } from 'node:path'
import { readOptional, unlessMissing } from './file.js'

/** What a text became once its references were replaced. */
export interface Expanded {
  text: string
  /** Values that came from variables or from a file. */
  parts: string[]
  /** The variables that were named. */
  names: string[]
  /** The file that was to be read. */
  file?: string
  /** What is wrong, and what to write instead; messages put the origin between the two. */
  problem?: readonly [wrong: string, write: string]
}

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g

/** Tells whether a text refers to a variable, so that it is not the value itself. */
export function hasReference(text: string): boolean {
  return /(?<!\$)\$\{/.test(text)
}

/**
 * Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`.
 *
 * The default applies when the variable is unset or empty. An unset variable without a default is a
 * problem, never an empty text.
 */
export function expandVariables(
  text: string,
  lookUp: (name: string) => string | undefined,
): Expanded {
  const expanded: Expanded = { text, parts: [], names: [] }
  expanded.text = text.replace(REFERENCE, (whole, inner: string | undefined, end: string) => {
    if (inner === undefined) return '${'
    const [, name, fallback] = /^([A-Za-z_]\w*)(?::-([\s\S]*))?$/.exec(inner) ?? []
    if (name === undefined || end === '') {
      expanded.problem ??= [
        `${JSON.stringify(whole)} is not a valid reference`,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
        '${NAME} or ${NAME:-default}, and $${ for the characters ${ themselves',
      ]
      return ''
    }
    const value = lookUp(name)
    const chosen = fallback === undefined ? value : value || fallback
    if (chosen === undefined) {
      expanded.problem ??= [
        `the variable ${name} is not set`,
        `\${${name}:-default}, or set ${name} in the environment`,
      ]
      return ''
    }
    if (value && chosen === value) {
      expanded.parts.push(value)
      expanded.names.push(name)
    }
    return chosen
  })
  return expanded
}

/** Tells whether the text of a secret names a file that holds it: `@/path`, `@./path`, `@~/path`. */
export function isFileReference(text: string): boolean {
  return /^@(\/|\.{1,2}\/|~\/|[A-Za-z]:[\\/])/.test(text)
}

/** Reads the secret that `@path` names, without the line break at its end. */
export function readSecretFile(text: string, folder: string, homeDir: string): Expanded {
  const named = text.slice(1)
  const path = named.startsWith('~/') ? resolve(homeDir, named.slice(2)) : named
  const file = isAbsolute(path) ? path : resolve(folder, path)
  const { text: content, why } = readOptional(file)
  const secret = content?.replace(/\r?\n$/, '')
  if (secret) return { text: secret, parts: [secret], names: [], file }
  const state = content === undefined ? `cannot be read${unlessMissing(why)}` : 'is empty'
  const problem = [
    `the file ${named} ${state}`,
    'the path of a file that holds the secret',
  ] as const
  return { text: '', parts: [], names: [], file, problem }
}

/** Returns the variables that a text refers to without a default. */
export function variablesIn(text: string): string[] {
  const inner = [...text.matchAll(REFERENCE)].map(([, name]) => name ?? '')
  return inner.filter((name) => /^[A-Za-z_]\w*$/.test(name))
}
