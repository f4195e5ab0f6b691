import { SETTING_KINDS, type SettingKind } from './kinds.js'

/** One setting. Flags, variables, documentation and checks are derived from it. */
export interface Setting<K extends string = string, T extends SettingKind = SettingKind> {
  /** Its place in the configuration; `*` stands for the name of a target. */
  readonly key: K
  readonly kind: T
  readonly default: unknown
  readonly help: string
  /** As commander takes it: `--port <port>`. Flags of settings are those of `serve`. */
  readonly flag: string | undefined
  /** The flag may be given several times. */
  readonly repeatable: boolean
  /** Environment variables; the first one that is set counts. */
  readonly env: readonly string[]
  readonly unit: string | undefined
  readonly secret: boolean
}

interface More {
  flag?: string
  env?: readonly string[]
  unit?: string
}

/** Writes one row of the table. Without `env`, the variable's name is made from the key. */
export function setting<const K extends string, const T extends SettingKind>(
  key: K,
  kind: T,
  byDefault: unknown,
  help: string,
  { flag, env, unit = kind === 'seconds' ? 'seconds' : undefined }: More = {},
): Setting<K, T> {
  return {
    key,
    kind,
    default: byDefault,
    help,
    flag,
    repeatable: SETTING_KINDS[kind].from === 'list' || key === 'targets.*.url',
    env: env ?? (key.includes('*') ? [] : [variableName(key)]),
    unit,
    secret: SETTING_KINDS[kind].secret ?? false,
  }
}

/** Makes the environment variable's name of a key: `log.level` → `MCP_DESCOPE_LOG_LEVEL`. */
export function variableName(key: string): string {
  const words = key.replace(/([a-z])([A-Z])/g, '$1_$2').replaceAll('.', '_')
  return `MCP_DESCOPE_${words.toUpperCase()}`
}

/** Say which configuration to read, and so cannot be settings in a file. */
export const LOOKUPS = [
  {
    key: 'config',
    flag: '--config <file>',
    env: 'MCP_DESCOPE_CONFIG',
    help: 'Configuration file, JSON or YAML.',
  },
  {
    key: 'profile',
    flag: '--profile <name>',
    env: 'MCP_DESCOPE_PROFILE',
    help: 'Profile of the configuration file to lay over it.',
  },
] as const
