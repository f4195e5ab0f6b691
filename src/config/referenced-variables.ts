import type { Runtime } from '../util/runtime.js'
import { parseDocument, readOptional } from './file.js'
import { readDotEnv } from './file-layers.js'
import type { LoadedConfig } from './load.js'
import { variablesIn } from './references.js'
import { OTHER_VARIABLES } from './settings.js'

/** The variables that the configuration file refers to; a name may come twice. */
export function* referencedVariables({ file }: LoadedConfig): Generator<string> {
  const text = file === undefined ? undefined : readOptional(file).text
  const document = file === undefined || text === undefined ? '' : parseDocument(file, text)
  if (typeof document === 'string') return
  for (const found of textsIn(document.content)) yield* variablesIn(found)
}

/** Variables that could make a process run foreign code or trust a foreign server. */
const NOT_FROM_A_FILE = /^(NODE|LD|DYLD|OPENSSL|SSL|GCONV)_|^(PATH|HOME|BROWSER)$|_PROXY$/i

const PROFILE = 'MCP_DESCOPE_PROFILE'

/** Variables in place of flags, which decide where tokens go, what is trusted and what is written. */
const OF_FLAGS: readonly string[] = OTHER_VARIABLES.filter((name) => name !== PROFILE)

/**
 * Returns the variables of `.env` that a bridge needs, which does not read that file itself: only
 * those that the configuration uses, and none that could lead to running code.
 */
export function dotEnvFor(
  { cwd }: Pick<Runtime, 'cwd'>,
  loaded: LoadedConfig,
): Record<string, string> {
  const values = readDotEnv(cwd)
  const used = [...loaded.origins.values()].map(({ from }) => /^\.env (\w+)$/.exec(from)?.[1])
  const names = new Set([...used, ...referencedVariables(loaded), PROFILE])
  return Object.fromEntries(
    Object.entries(values).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        names.has(entry[0]) &&
        !OF_FLAGS.includes(entry[0]) &&
        !NOT_FROM_A_FILE.test(entry[0]),
    ),
  )
}

function* textsIn(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value
  else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) yield* textsIn(inner)
  }
}
