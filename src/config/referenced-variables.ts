import type { Runtime } from '../util/runtime.js'
import { parseDocument } from './document.js'
import { readOptional } from './file.js'
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

/** Variables by which a process could be made to run somebody's code, or to trust somebody. */
const NOT_FROM_A_FILE = /^(NODE|LD|DYLD|OPENSSL|SSL|GCONV)_|^(PATH|HOME|BROWSER)$|_PROXY$/i

const PROFILE = 'MCP_DESCOPE_PROFILE'

/** Those that stand for flags: where the bridge keeps tokens, what it trusts, where it writes. */
const OF_FLAGS: readonly string[] = OTHER_VARIABLES.filter((name) => name !== PROFILE)

/**
 * Gives what `.env` adds to the settings, for a bridge, which does not read that file: only what the
 * configuration came from, and only what cannot lead to code.
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
