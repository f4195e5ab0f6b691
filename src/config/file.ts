import { existsSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import { getDefaultSearchPlacesSync } from 'cosmiconfig'
import { readText } from '../util/bounded-file.js'
import { isObject, type JsonObject } from '../util/json.js'
import { fileErrorCode } from '../util/private-files.js'
import type { Runtime } from '../util/runtime.js'
import { type Lines, pathId, readJson } from './read-json.js'
import { readYaml } from './read-yaml.js'
import { configFolder } from './sources.js'

const NAME = 'mcp-descope-proxy'

const ENDINGS = ['.json', '.yaml', '.yml']

/** No file written by hand is larger, and parsing would take long. */
const MAX_BYTES = 262_144

const IS_SCRIPT = /\.[cm]?[jt]s$/

/**
 * Places of a project's configuration, in the order of the search: those of cosmiconfig without
 * scripts. cosmiconfig does not search itself, because it would run scripts of the folder.
 */
export const PROJECT_PLACES: readonly string[] = [
  ...getDefaultSearchPlacesSync(NAME).filter((place) => !IS_SCRIPT.test(place)),
  ...ENDINGS.map((ending) => `${NAME}.config${ending}`),
]

/** Scripts that other programs would run as configuration; we only warn of them. */
const SCRIPTS = ['js', 'mjs', 'cjs', 'ts', 'mts', 'cts'].map((ending) => `${NAME}.config.${ending}`)

export interface ConfigFile extends Document {
  path: string
  /** The path in its short form: `./x.json`, `~/.config/…`, else absolute. */
  shown: string
  /** Path to the configuration inside the file: the property of a `package.json`. */
  root: readonly string[]
  /** It was found because the working directory, or the `.env` there, names it. */
  isProjectFile: boolean
}

export interface FoundFile {
  file: ConfigFile | undefined
  problems: string[]
  warnings: string[]
}

type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/**
 * Finds and reads the configuration file. Reads JSON and YAML only and runs nothing.
 *
 * @param named A file named by a flag or variable, which is then the only candidate.
 * @param inProject Whether to search the working directory before the user's own folder.
 */
export function findFile(
  where: Where,
  named: { path: string; from: string } | undefined,
  inProject: boolean,
): FoundFile {
  const found: FoundFile = { file: undefined, problems: [], warnings: [] }
  if (named) {
    const path = resolve(where.cwd, named.path)
    const wrong = (what: string) =>
      found.problems.push(
        `The configuration file ${named.path} ${what} (${named.from}) — name a JSON or YAML file that exists`,
      )
    const read = IS_SCRIPT.test(path) ? undefined : readOptional(path, MAX_BYTES)
    if (read === undefined) wrong('is a script, and configuration never runs code')
    else if (read.text === undefined) wrong(`cannot be read${unlessMissing(read.why)}`)
    else take(found, where, path, read.text, named.from.startsWith('.env '))
    return found
  }
  const own = ENDINGS.map((ending) => join(configFolder(where), `config${ending}`))
  const project = inProject ? PROJECT_PLACES.map((place) => join(where.cwd, place)) : []
  for (const path of project) tryPlace(found, where, path, true)
  if (inProject) warnOfScripts(found, where)
  for (const path of own) if (!found.file) tryPlace(found, where, path, false)
  return found
}

function tryPlace(found: FoundFile, where: Where, path: string, isProjectFile: boolean): void {
  const { text, why } = readOptional(path, MAX_BYTES)
  if (text === undefined) {
    const isPackage = basename(path) === 'package.json'
    // a folder that we may not enter has no file for us: another user's home, in a container
    const isShut = why === 'EACCES' && !existsSync(path)
    if (isPackage || isNoFile(why) || isShut) return
    const shown = shorten(where, path)
    found.problems.push(
      `${shown} cannot be read (${why}) (file ${shown}) — make it readable, or delete it`,
    )
    return
  }
  if (found.file === undefined && found.problems.length === 0) {
    take(found, where, path, text, isProjectFile)
  } else if (basename(path) !== 'package.json') {
    const reason = found.file ? `${found.file.shown} comes first` : 'an earlier file is broken'
    found.warnings.push(
      `${shorten(where, path)} is not read, because ${reason} — delete one of them`,
    )
  }
}

function take(
  found: FoundFile,
  where: Where,
  path: string,
  text: string,
  isProjectFile: boolean,
): void {
  const isPackage = basename(path) === 'package.json'
  if (isPackage && !text.includes(`"${NAME}"`)) return
  const shown = shorten(where, path)
  const document = parseDocument(path, text, isPackage ? NAME : undefined)
  if (typeof document === 'string') {
    found.problems.push(
      `${shown} is broken: ${document} (file ${shown}) — write valid JSON or YAML`,
    )
    return
  }
  const content = isPackage ? document.content[NAME] : document.content
  if (isPackage && content === undefined) return
  if (isObject(content)) {
    const root = isPackage ? [NAME] : []
    found.file = { path, shown, content, root, isProjectFile, lines: document.lines }
  } else {
    found.problems.push(`"${NAME}" is not an object (file ${shown}) — write an object`)
  }
}

function warnOfScripts(found: FoundFile, where: Where): void {
  for (const name of SCRIPTS) {
    if (!existsSync(join(where.cwd, name))) continue
    found.warnings.push(`./${name} is not read — write ${NAME}.config.json or .yaml instead`)
  }
}

/** Reads a text file, or says why it cannot be read: a code of the system, or a reason in words. */
export function readOptional(
  path: string,
  maxBytes?: number,
): { text: string; why?: undefined } | { text?: undefined; why: string } {
  try {
    return { text: readText(path, maxBytes) }
  } catch (error) {
    return { why: fileErrorCode(error) ?? 'unknown reason' }
  }
}

/** The reason in brackets; none for a missing file, where the code adds nothing. */
export const unlessMissing = (why: string): string => (why === 'ENOENT' ? '' : ` (${why})`)

/** Tells from the reason whether there is no file to read. */
export const isNoFile = (why: string): boolean => /^(ENOENT|ENOTDIR|EISDIR)$/.test(why)

/** Shortens a path by the working directory or the home folder. */
export function shorten({ cwd, homeDir }: Pick<Where, 'cwd' | 'homeDir'>, path: string): string {
  for (const [base, sign] of [
    [cwd, '.'],
    [homeDir, '~'],
  ] as const) {
    const rest = relative(base, path)
    if (rest !== '' && !rest.startsWith('..') && rest !== path) {
      return `${sign}/${rest.split(sep).join('/')}`
    }
  }
  return path
}

interface Document {
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
