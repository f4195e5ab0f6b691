import { dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { isObject, type JsonObject } from '../util/json.js'
import { nearest } from '../util/text.js'
import { type ConfigFile, isNoFile, lineOf, readOptional } from './file.js'
import { type Layer, type Sourced, treeLayer } from './layers.js'
import type { ValueFindings } from './read-value.js'
import type { Variables } from './sources.js'

/**
 * Reads the settings of a configuration file.
 *
 * @param profile The profile to lay over the file, if one is named.
 * @returns The profile's layer, if any, and the file's own; strongest first. All profiles are
 *   checked, whichever is named.
 */
export function fileLayers(
  file: ConfigFile | undefined,
  profile: Sourced<string> | undefined,
  problems: string[],
): Layer[] {
  const profiles = isObject(file?.content['profiles']) ? file.content['profiles'] : {}
  if (profile && !Object.hasOwn(profiles, profile.value)) {
    problems.push(unknownProfile(profile, Object.keys(profiles), file))
  }
  if (file === undefined) return []
  const from = (path: readonly string[]) => {
    const line = lineOf(file.lines, [...file.root, ...path])
    return `file ${file.shown}${line === undefined ? '' : `:${line}`}`
  }
  const read = (content: JsonObject, start: readonly string[], besides: readonly string[] = []) =>
    treeLayer(content, {
      from: (path) => from([...start, ...path]),
      folder: dirname(file.path),
      problems,
      besides,
    })
  if (file.content['profiles'] !== undefined && !isObject(file.content['profiles'])) {
    problems.push(
      `profiles is not an object (${from(['profiles'])}) — write an object with a member for each profile`,
    )
  }
  const layers = new Map<string, Layer>()
  for (const [name, content] of Object.entries(profiles)) {
    if (isObject(content)) layers.set(name, read(content, ['profiles', name]))
    else {
      problems.push(
        `profiles.${name} is not an object (${from(['profiles', name])}) — write an object with settings`,
      )
    }
  }
  const base = read(file.content, [], ['$schema', 'profiles'])
  const chosen = profile && layers.get(profile.value)
  return chosen ? [chosen, base] : [base]
}

function unknownProfile(
  { value, from }: Sourced<string>,
  names: readonly string[],
  file: ConfigFile | undefined,
): string {
  const near = nearest(value, names)
  const write = near
    ? `did you mean "${near}"?`
    : names.length > 0
      ? `write one of ${names.join(', ')}`
      : 'write a configuration file with "profiles", or leave it out'
  return `Unknown profile "${value}"${file ? ` in ${file.shown}` : ''} (${from}) — ${write}`
}

/** Reads the `.env` of a folder; a missing one, or one that is a folder, counts as empty. */
export function readDotEnv(
  folder: string,
  { problems, warnings }: Pick<ValueFindings, 'problems' | 'warnings'> = {
    problems: [],
    warnings: [],
  },
): Variables {
  const { text, why } = readOptional(join(folder, '.env'))
  if (text !== undefined) return parseEnv(text)
  if (isNoFile(why)) return {}
  // without permission to read it, the variables were presumably set another way
  const isForbidden = /^(EACCES|EPERM)$/.test(why)
  const said = isForbidden ? warnings : problems
  said.push(`.env cannot be read (${why}) (.env) — make it readable, or delete it`)
  return {}
}
