import { posix, win32 } from 'node:path'
import type { Runtime } from '../util/runtime.js'

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
