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

/** Kind, default, meaning, and what else is known of a setting. */
type Row = readonly [
  kind: SettingKind,
  byDefault: unknown,
  help: string,
  more?: { flag?: string; env?: readonly string[]; unit?: string },
]

/** Writes the rows of one section of the table. Without `env`, the variable's name is made from the key. */
export function section<const S extends string, const R extends Readonly<Record<string, Row>>>(
  name: S,
  rows: R,
) {
  return Object.entries(rows).map(([member, [kind, byDefault, help, more = {}]]) => {
    const key = `${name}.${member}`
    const { flag, env, unit = kind === 'seconds' ? 'seconds' : undefined } = more
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
  }) as { [M in keyof R & string]: Setting<`${S}.${M}`, R[M][0]> }[keyof R & string][]
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

/** Flags that can also be set by `MCP_DESCOPE_` and their name: hosts pass arguments badly, variables well. */
export const VARIABLES_OF_FLAGS: readonly string[] = [
  'ALLOW_HTTP',
  'CA',
  'CALLBACK_HOST',
  'CALLBACK_PORT',
  'HEADER',
  'IPV4',
  'LOG_FILE',
  'LOG_LEVEL',
  'LOGIN',
  'LOGIN_WAIT',
  'NO_BROWSER',
  'NO_PROXY_ENV',
  'NO_RESOURCE',
  'PROTOCOL',
  'SCOPE',
  'STORE',
  'TRANSPORT',
  'USE_SYSTEM_CA',
  'WAIT_FOR_LOGIN',
].map((name) => `MCP_DESCOPE_${name}`)

/** The rows of the audit trail. */
export const AUDIT_ROWS = {
  file: ['file', undefined, 'File that audit records are added to, one JSON object a line.'],
  stdout: ['boolean', false, 'Write audit records to stdout.'],
  descope: ['boolean', false, 'Send audit records to Descope, with descope.managementKey.'],
  arguments: ['boolean', false, 'Record the arguments of tools and prompts too.'],
  key: [
    'sessionSecret',
    undefined,
    'Key without which nobody can write an audit record; the same for `audit verify`.',
  ],
} as const

/** The rows of what restricts a target's prompts or resources, as its tools are restricted. */
export const rulesOf = <const What extends string>(what: What) =>
  ({
    allow: ['globs', ['*'], `${what} to offer; an empty list offers none.`],
    deny: ['globs', [], `${what} to hide, and to refuse.`],
    scopes: ['globMap', {}, `${what} that need scopes, all of them.`],
    roles: ['globMap', {}, `${what} for which the caller needs one of these roles.`],
    permissions: ['globMap', {}, `${what} for which the caller needs one of these permissions.`],
    tenants: ['globMap', {}, `${what} for which the caller needs one of these tenants.`],
    whenScopeMissing: [
      'whenScopeMissing',
      'list',
      `${what} whose scopes the caller lacks: list or hide.`,
    ],
  }) as const
