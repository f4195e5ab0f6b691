import { readdirSync } from 'node:fs'
import { posix, win32 } from 'node:path'
import type { Where } from './host.js'

/** Lists a folder; empty when it cannot be read. */
export type ListFolder = (path: string) => readonly string[]

const listFolder: ListFolder = (path) => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

/** Joins a path in the style of the given platform. */
export function joinPath({ platform }: Pick<Where, 'platform'>, ...parts: string[]): string {
  return (platform === 'win32' ? win32 : posix).join(...parts)
}

/** A file in the home folder, or in the folder that a variable names instead. */
export function homeFile(where: Where, parts: readonly string[], variable?: string): string {
  const own = variable === undefined ? undefined : where.env[variable]
  if (own) return joinPath(where, own, ...parts.slice(-1))
  return joinPath(where, where.homeDir, ...parts)
}

/** A file in the platform's settings folder of desktop programs. */
export function settingsFile(where: Where, ...parts: string[]): string {
  const { env, homeDir, platform } = where
  if (platform === 'darwin') {
    return posix.join(homeDir, 'Library', 'Application Support', ...parts)
  }
  if (platform === 'win32') {
    return win32.join(env['APPDATA'] || win32.join(homeDir, 'AppData', 'Roaming'), ...parts)
  }
  const xdg = env['XDG_CONFIG_HOME']
  // the XDG specification says to ignore relative values
  const base = xdg && posix.isAbsolute(xdg) ? xdg : posix.join(homeDir, '.config')
  return posix.join(base, ...parts)
}

/**
 * The file of Claude Desktop. On Windows a program from the Store has its own settings folder, and
 * does not read the usual one.
 */
export function claudeDesktopFile(where: Where, list: ListFolder = listFolder): string {
  const parts = ['Claude', 'claude_desktop_config.json']
  if (where.platform !== 'win32') return settingsFile(where, ...parts)
  const local = where.env['LOCALAPPDATA'] || win32.join(where.homeDir, 'AppData', 'Local')
  const packages = win32.join(local, 'Packages')
  const store = [...list(packages)].sort().find((name) => name.startsWith('Claude_'))
  if (store === undefined) return settingsFile(where, ...parts)
  return win32.join(packages, store, 'LocalCache', 'Roaming', ...parts)
}
