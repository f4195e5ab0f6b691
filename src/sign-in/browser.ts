import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, ownMember, tryParseJson } from '../util/json.js'
import { readPrivateFile, writePrivateFile } from '../util/private-files.js'
import type { Runtime } from '../util/runtime.js'
import { isCi } from './options.js'

type Where = Pick<Runtime, 'env' | 'platform'>

/** What a sign-in needs to know about the machine. */
export interface Environment {
  /** A browser that the user sees can be opened from here. */
  readonly hasBrowser: boolean
  /** Why not, as the start of a sentence; `undefined` when it can. */
  readonly why: string | undefined
  readonly isWsl: boolean
}

/** Finds out whether the user's browser is on this machine; with `$BROWSER` set, it is. */
export function detectEnvironment(where: Where): Environment {
  const isWsl = detectWsl(where)
  const why = reasonAgainstBrowser(where, isWsl)
  return { hasBrowser: why === undefined, why, isWsl }
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

/**
 * Opens a URL in the user's browser: `$BROWSER` when set, else the platform's opener. Arguments go
 * as a list and never through a shell.
 *
 * @returns Whether a browser was started; whether it shows the page is unknown.
 */
export async function openBrowser(
  where: Pick<Runtime, 'env' | 'platform' | 'system'>,
  url: string,
  isWsl: boolean,
): Promise<boolean> {
  if (!isOpenable(url)) return false
  for (const [command, ...args] of openers(where, url, isWsl)) {
    if (await where.system.launch(command, args)) return true
  }
  return false
}

/** Tells whether a URL may be opened: a web page, without control characters and credentials. */
export function isOpenable(url: string): boolean {
  if (!URL.canParse(url)) return false
  const { protocol, username, password } = new URL(url)
  const isWeb = protocol === 'https:' || protocol === 'http:'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return isWeb && username === '' && password === '' && !/[\u0000-\u0020\u007f]/.test(url)
}

type Opener = [command: string, ...args: string[]]

function openers({ env, platform }: Where, url: string, isWsl: boolean): Opener[] {
  const own = env['BROWSER']
  if (own) return [[own, url]]
  if (platform === 'darwin') return [['/usr/bin/open', url]]
  if (platform === 'win32') return [['rundll32', 'url.dll,FileProtocolHandler', url]]
  const linux: Opener = ['xdg-open', url]
  return isWsl ? [['wslview', url], powershell(url), linux] : [linux]
}

/** Passes the command in base64, so that nothing in the URL can be read as PowerShell. */
function powershell(url: string): Opener {
  const command = `Start-Process '${url.replaceAll("'", "''")}'`
  const encoded = Buffer.from(command, 'utf16le').toString('base64')
  return ['powershell.exe', '-NoProfile', '-NonInteractive', '-EncodedCommand', encoded]
}

const TAB_PAUSE_MS = 10 * 60_000

const DAY_MS = 24 * 60 * 60_000

const TABS_A_DAY = 3

/** Tabs in 10 minutes that led to a token which the target accepted. */
const USED_TABS = 3

const STEP_UP_PAUSE_MS = 10 * 60_000

/**
 * Limits how many tabs are opened, even by a program that is restarted again and again. The counts are
 * stored on disk for each target, for all processes; callers hold the sign-in lock.
 */
export interface BrowserTabQuota {
  /**
   * Takes one tab, if one is left. Tabs without a token that the target accepted: one in 10 minutes,
   * three a day. Tabs with one: three in 10 minutes.
   */
  takeTab(): Promise<boolean>
  /** Counts all tabs as used: the target accepted a token. */
  prove(): Promise<void>
  /** Starts over, after a user signed in by hand. */
  reset(): Promise<void>
  /** Takes a step-up to these scopes, if there were fewer than `times` in the last 10 minutes. */
  takeStepUp(scopes: readonly string[], times?: number): Promise<boolean>
}

interface Spent {
  /** When tabs were opened, milliseconds since the epoch. */
  tabs: number[]
  /** When tabs were opened that led to a token which the target accepted. */
  used: number[]
  /** When a step-up to these scopes was started. */
  stepUps: Record<string, number>
}

/** @param folder The user's data folder. @param now Milliseconds since the epoch. */
export function createTabQuota(folder: string, key: string, now: () => number): BrowserTabQuota {
  const path = join(folder, 'sign-in', `${key}.budget.json`)
  const load = async (): Promise<Spent> => parseSpent(await readPrivateFile(path), now())
  const save = (spent: Spent) => writePrivateFile(path, JSON.stringify(spent))
  return {
    async takeTab() {
      const spent = await load()
      const newest = Math.max(0, ...spent.tabs)
      if (spent.tabs.length >= TABS_A_DAY || now() - newest < TAB_PAUSE_MS) return false
      if (spent.used.length >= USED_TABS) return false
      await save({ ...spent, tabs: [...spent.tabs, now()] })
      return true
    },
    async prove() {
      const spent = await load()
      if (spent.tabs.length > 0) {
        await save({ ...spent, tabs: [], used: [...spent.used, ...spent.tabs] })
      }
    },
    async reset() {
      await save({ ...(await load()), tabs: [], used: [] })
    },
    async takeStepUp(scopes, times = 1) {
      const spent = await load()
      const all = [...scopes].sort().join(' ')
      const isFree = (name: string) =>
        now() - (ownMember(spent.stepUps, name) ?? 0) >= STEP_UP_PAUSE_MS
      const names = Array.from({ length: times }, (_, count) => (count ? `${all} #${count}` : all))
      const name = names.find(isFree)
      if (name === undefined) return false
      await save({ ...spent, stepUps: { ...spent.stepUps, [name]: now() } })
      return true
    },
  }
}

/** Drops entries that are too old, or in the future because the clock was set back. */
function parseSpent(text: string | undefined, now: number): Spent {
  const file = text === undefined ? undefined : tryParseJson(text)
  const { tabs, used, stepUps } = isObject(file) ? file : {}
  const counts = (at: unknown, for_: number): at is number =>
    typeof at === 'number' && at <= now && now - at < for_
  const kept = Object.entries(isObject(stepUps) ? stepUps : {}).filter(
    (entry): entry is [string, number] => counts(entry[1], STEP_UP_PAUSE_MS),
  )
  const times = (list: unknown, for_: number) =>
    Array.isArray(list) ? list.filter((at) => counts(at, for_)) : []
  return {
    tabs: times(tabs, DAY_MS),
    used: times(used, TAB_PAUSE_MS),
    stepUps: Object.fromEntries(kept),
  }
}
