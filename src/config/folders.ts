import { posix, win32 } from 'node:path'
import type { Runtime } from '../util/runtime.js'

const NAME = 'mcp-descope-proxy'

type Where = Pick<Runtime, 'env' | 'homeDir' | 'platform'>

/** Names the folder of the user's own configuration. It need not exist. */
export function configFolder(where: Where): string {
  return folder(where, { variable: 'XDG_CONFIG_HOME', unix: '.config', windows: 'APPDATA' })
}

/** Names the folder of what the program keeps for the user: tokens, locks, logs. It need not exist. */
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
  // The XDG specification wants relative values ignored.
  const base = env[platform === 'win32' ? names.windows : names.variable]
  if (base && path.isAbsolute(base)) return path.join(base, NAME)
  if (platform !== 'win32') return path.join(homeDir, names.unix, NAME)
  const fallback = names.windows === 'APPDATA' ? 'Roaming' : 'Local'
  return path.join(homeDir, 'AppData', fallback, NAME)
}
