import { join } from 'node:path'
import { ProxyError } from '../util/errors.js'
import { secretsOfUrl } from '../util/redact.js'
import type { Runtime } from '../util/runtime.js'
import { buildConfig } from './build.js'
import { checkTogether, missingForServe } from './checks.js'
import { type ConfigFile, findFile } from './file.js'
import { fileLayers, readDotEnv } from './file-layers.js'
import { type Sourced, treeLayer } from './layers.js'
import type { ValueFindings } from './read-value.js'
import { placePrefix, type Resolution, resolveLayers, targetNames } from './resolve.js'
import type { Flags } from './settings.js'
import {
  environmentLayer,
  flagLayer,
  platformLayer,
  type Variables,
  warnOfUnknownVariables,
} from './sources.js'
import type { LOOKUPS } from './table.js'
import type { ConfigInput, ConfigUse, ProxyConfig } from './types.js'

export interface LoadedConfig {
  config: ProxyConfig
  /** The effective value of each setting and where it comes from. Holds secrets. */
  origins: ReadonlyMap<string, Sourced>
  /** Each as `what is suspicious (origin) — what to write instead`. */
  warnings: readonly string[]
  /** Every secret value, for redaction. */
  secrets: readonly string[]
  /** Path of the configuration file, if one was read. */
  file: string | undefined
  /** The file was found in the working directory, and not named by the user. */
  isProjectFile: boolean
  /** Every file that was read, or would be if it were there. */
  files: readonly string[]
}

export interface LoadOptions {
  flags: Flags
  for: ConfigUse
  /** Read only the configuration file; variables still fill its references. */
  fileOnly?: boolean
}

/** Every setting and every finding, whether the configuration is valid or not. */
export interface Settings extends Resolution {
  file: ConfigFile | undefined
  /** Problems that matter to `serve` only: required settings that are not set. */
  missing: readonly string[]
}

type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/**
 * Reads the configuration from flags, environment, `.env` and file. Runs no code and sends no requests.
 *
 * @throws {ConfigError} `CONFIG_INVALID` with every problem that was found.
 */
export function loadConfig(runtime: Where, options: LoadOptions): LoadedConfig {
  return finish(readSettings(runtime, options), runtime.env, options.for)
}

/**
 * Checks a configuration that a program gives, with the same rules as a file. `${NAME}` and the
 * settings' own variables are looked up in `env`; `input` takes precedence over them.
 *
 * @throws {ConfigError} `CONFIG_INVALID` with every problem that was found.
 */
export function resolveConfig(
  input: ConfigInput,
  {
    env = {},
    for: use = 'serve',
    cwd = '.',
  }: { env?: Variables; for?: ConfigUse; cwd?: string } = {},
): LoadedConfig {
  const findings: ValueFindings = { problems: [], warnings: [], secrets: new Set() }
  const from = (path: readonly string[]) => `option ${path.join('.')}`
  const given = treeLayer({ ...input }, { from, folder: cwd, problems: findings.problems })
  const layers = [given, environmentLayer(env, 'env', cwd), platformLayer(env, cwd)]
  const targets = targetNames(layers, findings)
  const lookUp = (name: string) => {
    const value = env[name]
    return value === undefined ? undefined : { value, from: `env ${name}` }
  }
  const context = { lookUp, homeDir: cwd }
  const resolution = resolveLayers(layers, targets, use, context, findings)
  checkTogether(resolution, env, use)
  const missing = missingForServe(resolution, env)
  return finish({ ...resolution, file: undefined, missing }, env, use)
}

function finish(settings: Settings, env: Variables, use: ConfigUse): LoadedConfig {
  const problems = [...settings.problems, ...(use === 'serve' ? settings.missing : [])]
  const files = filesOf(settings)
  if (problems.length > 0) throw new ConfigError(problems, SHOW_HINT, files)
  const config = buildConfig(settings, env)
  return {
    config,
    origins: settings.values,
    warnings: settings.warnings,
    secrets: [
      ...settings.secrets,
      ...config.targets.flatMap(({ url }) => secretsOfUrl(url)),
      ...secretsOfUrl(config.limits.store),
    ],
    file: settings.file?.path,
    isProjectFile: settings.file?.isProjectFile === true,
    files,
  }
}

function filesOf({ file, files = new Set() }: Settings): string[] {
  return [...(file === undefined ? [] : [file.path]), ...files]
}

/** Reads every setting and collects problems instead of throwing, for commands that report. */
export function readSettings(
  runtime: Where,
  { flags, for: use, fileOnly = false }: LoadOptions,
): Settings {
  const { cwd, env } = runtime
  const files = new Set<string>()
  const findings: ValueFindings = { problems: [], warnings: [], secrets: new Set(), files }
  const inProject = use !== 'stdio'
  const dotEnv = inProject ? readDotEnv(cwd, findings) : {}
  if (inProject) files.add(join(cwd, '.env'))
  findings.warnings.push(
    ...warnOfUnknownVariables(env, 'env'),
    ...warnOfUnknownVariables(dotEnv, '.env'),
  )

  const lookUp = (name: string) => {
    const value = env[name] || dotEnv[name] || env[name]
    if (value === undefined) return undefined
    return { value, from: `${env[name] || value !== dotEnv[name] ? 'env' : '.env'} ${name}` }
  }
  const named = lookupOf('config', flags, env, dotEnv)
  const found = findFile(runtime, named && { ...named, path: named.value }, inProject)
  findings.problems.push(...found.problems)
  findings.warnings.push(...found.warnings)
  const profile = lookupOf('profile', flags, env, dotEnv)

  const around = fileOnly
    ? []
    : [environmentLayer(env, 'env', cwd), environmentLayer(dotEnv, '.env', cwd)]
  const given = flagLayer(fileOnly ? {} : flags, cwd, findings.problems)
  const weaker = [
    ...around,
    ...fileLayers(found.file, profile, findings.problems),
    platformLayer(env, cwd),
  ]
  const targets = targetNames([given, ...weaker], findings)
  const layers = [placePrefix(given, targets, findings.problems), ...weaker]
  const context = { lookUp, homeDir: runtime.homeDir }
  const resolution = resolveLayers(layers, targets, use, context, findings)
  checkTogether(resolution, env, use)
  const missing = missingForServe(resolution, { ...dotEnv, ...env })
  return { ...resolution, file: found.file, missing }
}

function lookupOf(
  key: (typeof LOOKUPS)[number]['key'],
  flags: Flags,
  env: Variables,
  dotEnv: Variables,
): Sourced<string> | undefined {
  const flag = flags[key]
  if (typeof flag === 'string') return { value: flag, from: `flag --${key}` }
  const name = `MCP_DESCOPE_${key.toUpperCase()}`
  if (env[name]) return { value: env[name], from: `env ${name}` }
  return dotEnv[name] ? { value: dotEnv[name], from: `.env ${name}` } : undefined
}

const SHOW_HINT =
  'Run `mcp-descope-proxy config show` to see every setting and where it comes from.'

/** Every problem of a configuration at once, each as `what is wrong (origin) — what to write`. */
export class ConfigError extends ProxyError {
  readonly problems: readonly string[]
  /** The files that were read. */
  readonly files: readonly string[]

  constructor(
    problems: readonly string[],
    hint: string = SHOW_HINT,
    files: readonly string[] = [],
  ) {
    super('CONFIG_INVALID', summarize(problems), { hint })
    this.problems = problems
    this.files = files
  }
}

function summarize(problems: readonly string[]): string {
  if (problems.length === 1) return String(problems[0])
  return [`The configuration has ${problems.length} problems:`, ...problems].join('\n  ')
}
