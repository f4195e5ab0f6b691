import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { isNoFile, readOptional } from './file.js'
import type { Findings } from './read-value.js'
import type { Variables } from './sources.js'

/** Reads the `.env` of a folder; one that is not there, or is a folder, holds nothing. */
export function readDotEnv(
  folder: string,
  { problems, warnings }: Pick<Findings, 'problems' | 'warnings'> = { problems: [], warnings: [] },
): Variables {
  const { text, why } = readOptional(join(folder, '.env'))
  if (text !== undefined) return parseEnv(text)
  if (isNoFile(why)) return {}
  // whoever may not read it was given its variables another way
  const isForbidden = /^(EACCES|EPERM)$/.test(why)
  const said = isForbidden ? warnings : problems
  said.push(`.env cannot be read (${why}) (.env) — let us read it, or delete it`)
  return {}
}
