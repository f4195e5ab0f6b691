import { posix, win32 } from 'node:path'
import type { Runtime } from '../util/runtime.js'
import { nearest } from '../util/text.js'
import type { Layer, Raw } from './layers.js'
import {
  ENVIRONMENT_TARGET,
  type Flags,
  findSetting,
  OTHER_VARIABLES,
  SETTINGS,
} from './settings.js'

export type Variables = Readonly<Record<string, string | undefined>>

/** The name of a flag as it is typed: `--port`. */
const flagName = (flag: string): string => flag.split(' ', 1)[0] ?? flag

/** Reads flags. `--prefix` keeps its `*`, because the target's name is not known yet. */
export function flagLayer(flags: Flags, cwd: string, problems: string[]): Layer {
  const layer = new Map<string, Raw>()
  for (const [key, value] of Object.entries(flags)) {
    const row = findSetting(key)
    if (!row?.flag || value === undefined) continue
    const from = `flag ${flagName(row.flag)}`
    const raw = (text: string): Raw => ({ value: text, from, isText: true, folder: cwd })
    if (key === 'targets.*.url') {
      for (const text of [value].flat()) {
        const [, name = ENVIRONMENT_TARGET, url = ''] =
          /^(?:([A-Za-z0-9_-]+)=)?(.*)$/s.exec(String(text)) ?? []
        const own = `targets.${name}.url`
        if (layer.has(own)) {
          problems.push(
            `The target "${name}" is given twice (${from}) — write ${from.slice(5)} <name>=<url> with a name for each`,
          )
        }
        layer.set(own, raw(url))
      }
    } else {
      layer.set(key, raw(Array.isArray(value) ? value.join(',') : String(value)))
    }
  }
  return layer
}

/**
 * Reads the settings among environment variables. An empty variable counts as not set.
 *
 * @param where `env`, or the name of the file that the variables come from.
 */
export function environmentLayer(variables: Variables, where: string, cwd: string): Layer {
  const layer = new Map<string, Raw>()
  for (const row of SETTINGS) {
    const name = row.env.find((candidate) => variables[candidate])
    if (name === undefined) continue
    const from = `${where} ${name}`
    const raw: Raw = { value: variables[name], from, isText: true, folder: cwd }
    const key = row.key.replace('*', ENVIRONMENT_TARGET)
    layer.set(key, raw)
    if (row.key === 'targets.*.credential.token') {
      layer.set(key.replace(/token$/, 'type'), { ...raw, value: 'bearer' })
    }
  }
  return layer
}

/** Reads the public URL from Vercel's variables, which differ for previews and production. */
export function platformLayer(env: Variables, cwd: string): Layer {
  if (!isVercel(env)) return new Map()
  const production = env['VERCEL_ENV'] === 'production' && env['VERCEL_PROJECT_PRODUCTION_URL']
  const name = production ? 'VERCEL_PROJECT_PRODUCTION_URL' : 'VERCEL_URL'
  const host = env[name]
  if (!host) return new Map()
  const raw: Raw = { value: `https://${host}`, from: `env ${name}`, isText: true, folder: cwd }
  return new Map([['server.publicUrl', raw]])
}

/** Tells whether the process runs on Vercel. */
export const isVercel = (env: Variables): boolean => env['VERCEL'] === '1'

/** Returns the host names that Vercel assigned to this deployment. */
export function vercelHosts(env: Variables): string[] {
  const names = ['VERCEL_URL', 'VERCEL_BRANCH_URL', 'VERCEL_PROJECT_PRODUCTION_URL']
  return [...new Set(names.flatMap((name) => env[name] || []))]
}

/** Warns of variables that have our prefix and do not exist. */
export function warnOfUnknownVariables(variables: Variables, where: string): string[] {
  const known = [...SETTINGS.flatMap((row) => row.env), ...OTHER_VARIABLES]
  return Object.keys(variables)
    .filter((name) => name.startsWith('MCP_DESCOPE_') && !known.includes(name))
    .map((name) => `Unknown variable ${name} (${where} ${name})${suggest(name, known)}`)
}

function suggest(name: string, known: readonly string[]): string {
  const word = name.slice('MCP_DESCOPE_'.length)
  const found =
    known.find((candidate) => candidate === word || candidate.endsWith(`_${word}`)) ??
    nearest(name, known)
  return found
    ? ` — did you mean ${found}?`
    : ' — run `mcp-descope-proxy config show` for all names'
}

const NAME = 'mcp-descope-proxy'

type Where = Pick<Runtime, 'env' | 'homeDir' | 'platform'>

/** Returns the folder of the user's own configuration. It need not exist. */
export function configFolder(where: Where): string {
  return folder(where, { variable: 'XDG_CONFIG_HOME', unix: '.config', windows: 'APPDATA' })
}

/** Returns the folder for the user's tokens, locks and logs. It need not exist. */
export function dataFolder(where: Where): string {
  return folder(where, { variable: 'XDG_DATA_HOME', unix: '.local/share', windows: 'LOCALAPPDATA' })
}

function folder(
  { env, homeDir, platform }: Where,
  names: { variable: string; unix: string; windows: string },
): string {
  const path = platform === 'win32' ? win32 : posix
  const own = env['MCP_DESCOPE_HOME']
  if (own) return path.isAbsolute(own) ? own : path.join(homeDir, own)
  // the XDG specification says to ignore relative values
  const base = env[platform === 'win32' ? names.windows : names.variable]
  if (base && path.isAbsolute(base)) return path.join(base, NAME)
  if (platform !== 'win32') return path.join(homeDir, names.unix, NAME)
  const fallback = names.windows === 'APPDATA' ? 'Roaming' : 'Local'
  return path.join(homeDir, 'AppData', fallback, NAME)
}
