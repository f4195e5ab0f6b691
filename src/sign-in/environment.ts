import { existsSync, readFileSync } from 'node:fs'
import type { Runtime } from '../util/runtime.js'

/** Where this process runs, as far as signing in is concerned. */
export interface Surroundings {
  /** A browser that the user sees can be opened from here. */
  readonly hasBrowser: boolean
  /** Why not, as the start of a sentence; `undefined` when it can. */
  readonly why: string | undefined
  readonly isWsl: boolean
}

type Where = Pick<Runtime, 'env' | 'platform'>

/** Finds out whether the user's browser is on this machine. `$BROWSER` settles it. */
export function detectSurroundings(where: Where): Surroundings {
  const isWsl = detectWsl(where)
  const why = reasonAgainstBrowser(where, isWsl)
  return { hasBrowser: why === undefined, why, isWsl }
}

/** Tells whether nobody is there to sign in. */
export function isCi(env: Where['env']): boolean {
  const value = env['CI']
  return value !== undefined && value !== '' && value !== '0' && value !== 'false'
}

function reasonAgainstBrowser({ env, platform }: Where, isWsl: boolean): string | undefined {
  if (env['BROWSER']) return undefined
  if (isCi(env)) return 'This runs in CI'
  if (env['SSH_CONNECTION'] || env['SSH_TTY'] || env['SSH_CLIENT']) return 'This is an SSH session'
  if (env['CODESPACES']) return 'This is a codespace'
  if (env['REMOTE_CONTAINERS']) return 'This is a development container'
  const hasDisplay = Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY'])
  if (platform === 'darwin' || platform === 'win32' || isWsl || hasDisplay) return undefined
  return isContainer() ? 'This is a container without a display' : 'There is no display here'
}

function detectWsl({ env, platform }: Where): boolean {
  if (platform !== 'linux') return false
  if (env['WSL_DISTRO_NAME'] || env['WSL_INTEROP']) return true
  try {
    return /microsoft/i.test(readFileSync('/proc/version', 'utf8')) && !isContainer()
  } catch {
    return false
  }
}

function isContainer(): boolean {
  return existsSync('/.dockerenv') || existsSync('/run/.containerenv')
}
